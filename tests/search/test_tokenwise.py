"""The candidates for a next token."""

import torch

from guided.decoding import Decoder
from guided.search.tokenwise import likeliest
from guided.testing import table_model


def test_the_likeliest_come_first_and_of_equals_the_lowest_id() -> None:
    law = torch.tensor([-2.0, -1.0, -2.0, -torch.inf, -1.0, -2.0], dtype=torch.float64)
    assert likeliest(law, 3) == ([1, 4, 0], [-1.0, -1.0, -2.0])
    assert likeliest(law, 4)[0] == [1, 4, 0, 2]
    assert likeliest(law, None)[0] == [1, 4, 0, 2, 5]


def test_what_is_impossible_is_no_candidate() -> None:
    law = torch.full((5,), -torch.inf, dtype=torch.float64)
    assert likeliest(law, 3) == ([], [])
    law[2] = 0
    assert likeliest(law, 3) == ([2], [0.0])


def test_the_first_candidate_is_what_greedy_decoding_takes() -> None:
    for seed in range(20):
        model = table_model(6, seed=seed)
        decoder = Decoder(model.network, model.vocabulary)
        (branch,) = decoder.open([[1, 2]])
        tokens, log_law = likeliest(branch.law(), None)
        assert tokens[0] == int(branch.law().argmax())
        assert log_law == sorted(log_law, reverse=True)
