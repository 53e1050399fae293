"""Made schemas against jsonschema in both directions: what is accepted, and what is generated."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from guided.errors import GuidedError, UnsatisfiableSchemaError
from guided.grammars.json_schema import json_schema

from .. import oracle
from . import walks
from .made_schemas import document, made_schema, value
from .subjects import SlowError, Subject, time_limit

DOCUMENTS, WALKS = 24, 2
SECONDS = 10.0
#: Members of unlisted names may replace one another, and are then left out (docs/json_schema.md).
MANY = "valid, left out, several members"
#: Where one alternative asks for items that differ, the others are kept to it (the same page).
REPEATED = "valid, left out, items repeat"


@dataclass
class Judged:
    """What came of one schema: counts by what was seen, and the faults with their texts."""

    source: str
    counts: list[str] = field(default_factory=list)
    faults: list[tuple[str, str]] = field(default_factory=list)


def judge(number: int, seed: int) -> Judged:
    """One random schema, compiled for documents of others, and all that is asked of it."""
    rng = random.Random(f"{seed} {number}")
    made = made_schema(rng)
    found = Judged(json.dumps(made, ensure_ascii=False))
    validator = oracle.validator(found.source)
    texts = list(dict.fromkeys(_texts(made, rng)))
    valid = {text for text in texts if oracle.schema_fault(validator, text) is None}
    try:
        with time_limit(SECONDS):
            grammar = json_schema(found.source, property_order="any", numbers="any")
    except UnsatisfiableSchemaError:
        found.counts.append("unsatisfiable")
        found.faults += [("the schema is said to have no document", text) for text in valid]
        return found
    except (GuidedError, SlowError) as error:
        found.counts.append(f"refused: {type(error).__name__}")
        return found
    found.counts.append("compiled")
    for text in texts:
        is_accepted = grammar.accepts(text.encode())
        found.counts.append(f"{'valid' if text in valid else 'invalid'} documents")
        if is_accepted and text not in valid:
            found.faults.append(("an invalid document is accepted", text))
        elif text in valid and not is_accepted:
            if _has_several_members(text):
                found.counts.append(MANY)
            elif _may_be_kept_apart(made, text):
                found.counts.append(REPEATED)
            else:
                found.faults.append(("a valid document is rejected", text))
    subject = Subject(
        "schema", f"made {number}", found.source, grammar, partial(oracle.schema_fault, validator)
    )
    for turn in range(WALKS):
        text, faults = walks.walk(subject, number * WALKS + turn, walks.BYTES, seed, checks=0.02)
        found.counts.append("texts written")
        found.faults += [(fault.what, fault.text.decode(errors="replace")) for fault in faults]
        if text is not None and (what := subject.fault(text)):
            found.faults.append((what, text))
    return found


def _texts(made: Any, rng: random.Random) -> Iterator[str]:
    for at in range(DOCUMENTS):
        some = document(made, made, rng) if at % 4 else value(rng, 2)
        yield json.dumps(some, ensure_ascii=False)


def _has_several_members(text: str) -> bool:
    """Whether some object in the document has two members or more."""

    def several(some: Any) -> bool:
        if isinstance(some, dict):
            return len(some) > 1 or any(several(each) for each in some.values())
        return isinstance(some, list) and any(several(each) for each in some)

    return several(json.loads(text))


def _may_be_kept_apart(made: Any, text: str) -> bool:
    """Whether the schema asks somewhere for items that differ, and the document repeats one."""

    def asks(some: Any) -> bool:
        if isinstance(some, dict):
            return "uniqueItems" in some or any(map(asks, some.values()))
        return isinstance(some, list) and any(map(asks, some))

    def repeats(some: Any) -> bool:
        if isinstance(some, dict):
            return any(map(repeats, some.values()))
        if not isinstance(some, list):
            return False
        texts = [json.dumps(each, sort_keys=True) for each in some]
        return len(set(texts)) < len(texts) or any(map(repeats, some))

    return asks(made) and repeats(json.loads(text))
