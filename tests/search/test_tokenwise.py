"""The candidates for a next token."""

import pytest
import torch
from torch import Tensor

from guided.controls import BanTokens
from guided.decoding import Decoder
from guided.errors import DeadEndError, LogitsError
from guided.model import Model
from guided.search import CNTP, AdaDec, DeAL, Search
from guided.search.tokenwise import likeliest
from guided.testing import PrefixModel, table_model
from guided.testing.prefix_model import PrefixConfig


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


class Broken(PrefixModel):
    """NaN from the fourth token on."""

    def law(self, prefix: tuple[int, ...]) -> Tensor:
        return torch.full((5,), torch.nan if len(prefix) > 3 else 0.0, dtype=torch.float64)


@pytest.mark.parametrize(
    "method", [DeAL(weight=0.0), AdaDec(-1.0), AdaDec(9.0), CNTP(), CNTP(n_max=1)]
)
def test_logits_that_are_no_numbers_are_told(method: Search) -> None:
    model = Model(Broken(PrefixConfig(vocab_size=5)), vocabulary=table_model(5).vocabulary)
    with pytest.raises(LogitsError, match="position"):
        method.run(model, "ab", controls=[BanTokens([0])], heal=False)


def test_controls_that_leave_nothing_are_told() -> None:
    with pytest.raises(DeadEndError, match="position 0"):
        DeAL(weight=0.0).run(table_model(3), "ab", controls=[BanTokens([0, 1, 2])], heal=False)
