"""One copy of a prefix for all its branches: the same logits, a fraction of the memory."""

from __future__ import annotations

import pytest
import torch

from guided.controls import BanTokens
from guided.decoding import Decoder, Network
from guided.decoding.attention import merged, partial_attention
from guided.decoding.stage import Stage
from tests.decoding.drafting import LETTERS, grown, texts


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every prefix that two branches have is shared, however short it is."""
    monkeypatch.setattr("guided.decoding.stage.SHARE_LEAST", 0)


PROMPT = [7, 8, 9, 10, 11, 12, 3, 9, 30]


def test_parts_of_attention_merge_exactly() -> None:
    generator = torch.Generator().manual_seed(0)
    q, k, v = (
        torch.randn(2, 3, n, 8, generator=generator, dtype=torch.float64) for n in (4, 11, 11)
    )
    whole = torch.nn.functional.scaled_dot_product_attention(q, k, v)
    cuts = [(0, 5), (5, 6), (6, 11)]
    parts = [partial_attention(q, k[:, :, a:b], v[:, :, a:b], None, 8**-0.5) for a, b in cuts]
    assert torch.allclose(merged(parts), whole, atol=1e-14)


@pytest.mark.usefixtures("always")
def test_branches_of_one_prompt_draw_what_they_draw_alone(network: Network) -> None:
    prompts = [PROMPT] * 5 + [[4, 5]] + [[6, 6, 6]] * 2
    decoder = Decoder(network, LETTERS)
    branches = decoder.open(prompts, seed=3, max_new_tokens=9)
    decoder.extend(branches, until=lambda branch: len(branch.tokens) >= 2)
    (rig,) = decoder._rigs.values()
    shared = [piece for piece in rig.stages[0].trunks if piece is not None]
    assert len(shared) == 7
    decoder.extend(branches)
    for row, branch in enumerate(branches):
        (alone,) = grown(
            Decoder(network, LETTERS), [prompts[row]], seed=3, max_new_tokens=9, rows=[row]
        )
        assert branch.tokens == alone.tokens
        assert branch.log_p == pytest.approx(alone.log_p, abs=1e-10)


@pytest.mark.usefixtures("always")
def test_forks_of_forks_go_on_like_fresh_branches(network: Network) -> None:
    decoder = Decoder(network, LETTERS)
    (root,) = decoder.open([PROMPT], seed=3, max_new_tokens=12)
    family = [root]
    for depth in (2, 5, 8):
        decoder.extend(family, until=lambda branch, depth=depth: len(branch.tokens) >= depth)
        family += [child for parent in list(family) for child in decoder.fork(parent)]
    laws = [branch.law() for branch in family if branch.finish_reason is None]
    going = [branch for branch in family if branch.finish_reason is None]
    assert len(going) > 4
    for branch, law in zip(going, laws, strict=True):
        # A branch that reads the same text from the start.
        (fresh,) = Decoder(network, LETTERS).open([branch.text], seed=3)
        assert torch.allclose(law, fresh.law(), atol=1e-10)
    decoder.extend(going)
    for branch in going:
        (fresh,) = Decoder(network, LETTERS).open([branch.text[:-1]])
        drawn = float(fresh.law()[branch.tokens[-1]])
        assert branch.log_q[-1] == pytest.approx(drawn, abs=1e-9)


def test_a_fork_copies_nothing(network: Network) -> None:
    decoder = Decoder(network, LETTERS)
    (branch,) = decoder.open([PROMPT], max_new_tokens=9)
    decoder.fork(branch)
    held = decoder.ledger.held
    decoder.fork(branch, 50)
    assert decoder.ledger.held == held


@pytest.mark.usefixtures("always")
def test_the_prompt_is_stored_once(network: Network) -> None:
    prompt = [1 + i % 39 for i in range(400)]
    decoder = Decoder(network, LETTERS)
    branches = decoder.open([prompt] * 16, seed=1, max_new_tokens=6)
    one = network.bytes_per_token * len(prompt)
    decoder.extend(branches, until=lambda branch: len(branch.tokens) >= 4)
    rows = 16 * 8 * network.bytes_per_token  # slots come in blocks of 8
    assert decoder.ledger.held <= 1.01 * one + rows


def test_memory_of_branches_that_are_gone_is_given_back(network: Network) -> None:
    decoder = Decoder(network, LETTERS)
    branches = decoder.open([PROMPT, [4, 5]], max_new_tokens=9)
    decoder.extend(branches, until=lambda branch: len(branch.tokens) >= 3)
    decoder.close(branches)
    decoder.extend(grown(decoder, [[3]], max_new_tokens=2))
    del branches
    assert decoder.ledger.held == 0


def test_short_prefixes_are_not_worth_sharing(network: Network) -> None:
    decoder = Decoder(network, LETTERS)
    branches = decoder.open([PROMPT] * 4, seed=3, max_new_tokens=9)
    decoder.extend(branches, until=lambda branch: len(branch.tokens) >= 2)
    (rig,) = decoder._rigs.values()
    stage = rig.stages[0]
    assert isinstance(stage, Stage)
    assert set(stage.trunks) <= {None}
    assert len(texts(branches)) == 4


def test_short_pieces_of_many_forks_add_no_parts_to_attention(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("guided.decoding.stage.SHARE_LEAST", 100)
    decoder = Decoder(network, LETTERS)
    (branch,) = decoder.open([PROMPT * 4], [[BanTokens([0])]], max_new_tokens=90)
    for depth in range(1, 13):
        children = decoder.fork(branch, 4)
        decoder.extend(children, lambda each, depth=depth: len(each.tokens) >= 3 * depth)
        (rig,) = decoder._rigs.values()
        assert len(rig.stages[0]._prefixes()) <= 2
        branch = children[depth % 4]
    fresh = Decoder(network, LETTERS)
    (again,) = fresh.open([branch.text])
    assert branch.logits is not None
    assert again.logits is not None
    assert torch.allclose(branch.logits[0], again.logits[0], atol=1e-12)
