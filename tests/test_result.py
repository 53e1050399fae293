"""Results: per-field log-probabilities, usage, where JSON values stand."""

from __future__ import annotations

import json
import math
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

import guided
from guided.json_spans import json_spans
from guided.testing import fake_model, tiny_model


class Pair(BaseModel):
    name: str
    sizes: list[int]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=9,
)  # fmt: skip


def lookup(document: Any, pointer: str) -> Any:
    for part in pointer.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        document = document[int(name)] if isinstance(document, list) else document[name]
    return document


def count(document: Any) -> int:
    if isinstance(document, dict):
        return 1 + sum(map(count, document.values()))
    return 1 + sum(map(count, document)) if isinstance(document, list) else 1


@settings(max_examples=150, deadline=None)
@given(document=JSON, indent=st.sampled_from([None, 2]), plain=st.booleans())
def test_every_value_is_found_where_it_stands(document: Any, indent: Any, plain: bool) -> None:
    text = json.dumps(document, indent=indent, ensure_ascii=plain)
    spans = json_spans(text)
    assert len(spans) == count(document)
    for pointer, (begin, end) in spans.items():
        data = text.encode(errors="surrogatepass")[begin:end]
        assert json.loads(data.decode(errors="surrogatepass")) == lookup(document, pointer)


def test_a_text_that_is_cut_short_or_no_json_gives_what_is_there() -> None:
    assert json_spans('{"a": [1, tru') == {"/a/0": (7, 8)}
    assert json_spans("hello") == {}
    assert json_spans("") == {}
    assert json_spans("[" * 20000) == {}


def test_a_very_deep_text_is_scanned() -> None:
    assert len(json_spans("[" * 5000 + "]" * 5000)) == 5000


def test_fields_add_up_to_what_their_tokens_were_worth() -> None:
    result = guided.run(
        tiny_model(), "x", schema=Pair, temperature=1.0, max_new_tokens=60, whitespace="compact"
    )
    fields = result.fields
    assert set(fields) >= {"", "/name", "/sizes"}
    assert json.loads(fields["/name"].text) == result.value.name
    assert math.isclose(fields[""].log_p, sum(result.log_p[: len(fields[""].tokens)]))
    assert fields["/name"].log_p >= fields[""].log_p
    texts = [tiny_model().decode([t]) for t in result.tokens]
    inside = "".join(texts[i] for i, t in enumerate(result.tokens) if t in fields["/name"].tokens)
    assert fields["/name"].text.strip('"') in inside or "\ufffd" in inside


def test_fields_know_which_value_was_unlikely() -> None:
    model = fake_model('{"name": "a", "sizes": [1]}')
    fields = guided.run(model, "x", schema=Pair).fields
    assert {"/name", "/sizes", "/sizes/0", ""} == set(fields)
    assert all(score.log_p > -0.01 for score in fields.values())
    forced = guided.run(model, "x", schema={"const": {"name": "zz"}}).fields
    assert forced["/name"].log_p < -10


def test_fields_of_a_healed_text_have_the_right_tokens() -> None:
    result = guided.run(fake_model("7"), "How many? ", schema=int)
    assert result.text.strip() == "7"
    tokens = result.fields[""].tokens
    assert tiny_model().decode(tokens) == "7" or len(tokens) == 1


def test_usage_of_a_result() -> None:
    result = guided.run(fake_model("yes"), "Sure?", choices=["yes", "no"])
    usage = result.usage
    assert (usage.tokens, usage.forced) == (3, 2)
    assert usage.passes == 2
    # Nothing is read after the last token, which ends the text.
    assert usage.positions == len("Sure?") + 2
    assert usage.seconds > 0
    assert (usage + usage).tokens == 6
    assert (usage + usage - usage) == usage
