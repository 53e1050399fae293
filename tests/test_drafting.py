"""What `draft=` takes, and what it refuses before any pass."""

from __future__ import annotations

import gc
import weakref

import pytest

import guided
from guided.decoding import Speculation
from guided.decoding.drafters import GrammarText, Lookup, Recycling
from guided.drafting import speculation
from guided.errors import InputError
from guided.testing import fake_model, table_model


def test_auto_is_remembered_for_its_model() -> None:
    first, second = fake_model("a"), fake_model("a")
    assert speculation(first, "auto") is speculation(first, "auto")
    assert speculation(first, "auto") is not speculation(second, "auto")
    assert speculation(first, None) is None


def test_what_was_learnt_beside_a_small_model_is_remembered_for_both() -> None:
    model, small, other = (table_model(5, seed=seed) for seed in (1, 2, 3))
    helped = speculation(model, small)
    assert helped is not None
    assert speculation(model, small) is helped
    assert speculation(model, other) is not helped
    # Neither what was said nor what pays is shared: the ways can be compared.
    auto = speculation(model, "auto")
    assert auto is not None
    assert set(auto.drafters).isdisjoint(helped.drafters)
    assert auto.policy is not helped.policy


def test_a_small_model_is_let_go_of_with_its_last_user() -> None:
    model, small = table_model(5, seed=1), table_model(5, seed=2)
    speculation(model, small)
    gone = weakref.ref(small)
    del small
    gc.collect()
    assert gone() is None


def test_drafters_alone_or_in_a_list_are_taken() -> None:
    model = fake_model('["aa", "aa", "aa"]')
    schema = {"type": "array", "items": {"enum": ["aa", "bb"]}, "maxItems": 3}
    wanted = guided.run(model, "Say: ", schema=schema, draft=None)
    for draft in (
        Lookup(),
        [GrammarText(model.vocabulary), Lookup()],
        Speculation([Recycling(model.vocabulary)]),
    ):
        result = guided.run(model, "Say: ", schema=schema, draft=draft)
        assert result.tokens == wanted.tokens
        assert result.value == ["aa", "aa", "aa"]


@pytest.mark.parametrize("draft", ["fast", 3, [], [3]])
def test_what_cannot_draft_is_refused_by_name(draft: object) -> None:
    model = fake_model("a")
    with pytest.raises(InputError, match=r"draft must be|no drafter"):
        guided.run(model, "Say: ", choices=["a"], draft=draft)  # type: ignore[arg-type]


def test_a_small_model_with_another_vocabulary_is_refused() -> None:
    model = table_model(4)
    with pytest.raises(InputError, match="another vocabulary: token 4"):
        guided.run(model, "a", draft=table_model(6))


def test_a_small_model_with_the_same_vocabulary_saves_passes() -> None:
    model = table_model(5, seed=1, horizon=30)
    options = {"temperature": 0.4, "seed": 2, "max_new_tokens": 24, "heal": False}
    plain = guided.run(model, "ab", draft=None, **options)
    result = guided.run(model, "ab", draft=table_model(5, seed=1, horizon=30), **options)
    assert result.tokens == plain.tokens
