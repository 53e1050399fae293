"""What a trace tells, put together by run, problem and node."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from guided.errors import InputError
from guided.trace import VERSION, read_trace

Record = Mapping[str, Any]

#: What a node keeps of its record.
_NODE = ("id", "parent", "round", "text", "tokens", "log_p", "log_q", "reason")
_NUMBERS = (int, float)
#: What records must hold, by kind, and of which type.
_FORMS: dict[str, dict[str, Any]] = {
    "run": {"version": int, "method": str},
    "problem": {"problem": int, "prompt": (str, list)},
    "node": {"problem": int, "id": int, "text": str, "tokens": int, "log_p": _NUMBERS,
             "log_q": _NUMBERS},
    "score": {"problem": int, "id": int, "value": _NUMBERS, "steps": list},
    "facts": {"problem": int, "id": int},
    "round": {"problem": int, "number": int, "alive": list},
    "tokens": {"problem": int, "id": int, "tokens": list},
    "result": {"problem": int, "best": int, "text": str},
}  # fmt: skip
_TOKEN = {"text": str, "log_p": _NUMBERS, "log_q": _NUMBERS, "allowed": int, "alternatives": list}


def read_sections(path: str | Path) -> dict[str, Any]:
    """All runs of a trace file, as plain data that JSON can hold.

    Returns:
        `runs`, a list with `method`, `settings`, `vocabulary` and `problems` of each; a problem
        has its `number`, `prompt`, `nodes`, `rounds` and `result`; a node what was recorded about
        it, wherever that stood. `note` says that the file breaks off, where it does.

    Raises:
        InputError: a line that is no record, or one that does not fit what came before it; says
            which. No record at all; a trace of a later version.
    """
    sections = _Sections()
    note = None
    for where, record in _records(Path(path)):
        if isinstance(record, str):
            note = record
        else:
            sections.add(where, record)
    if not sections.runs:
        raise InputError(f"{path} holds no trace: it has no record of the kind 'run'")
    return {"runs": sections.runs, "note": note}


def _records(path: Path) -> Iterator[tuple[str, Record | str]]:
    """Where each record stands, and the record; a note for a last line that breaks off."""
    try:
        for number, record in enumerate(read_trace(path), 1):
            yield f"{path}, line {number}", record
    except InputError as error:
        # Whoever writes a trace may be ended in the middle of a line; what came before is whole.
        if _last_line_breaks_off(path, error):
            yield str(path), f"The trace breaks off in its last line; it was not closed. ({error})"
        else:
            raise
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is no trace: it is not UTF-8 text ({error.reason})") from error


def _last_line_breaks_off(path: Path, error: InputError) -> bool:
    data = path.read_bytes()
    last = data.count(b"\n") + 1
    return not data.endswith(b"\n") and f"line {last}:" in str(error)


class _Sections:
    """Takes records one by one."""

    def __init__(self) -> None:
        self.runs: list[dict[str, Any]] = []
        self._problems: dict[int, dict[str, Any]] = {}
        self._nodes: dict[tuple[int, int], dict[str, Any]] = {}

    def add(self, where: str, record: Record) -> None:
        """Puts a record where it belongs.

        Raises:
            InputError: it does not fit.
        """
        kind = record["kind"]
        if kind not in _FORMS:
            return
        _check(where, kind, record, _FORMS[kind])
        if kind == "run":
            self._run(where, record)
        elif not self.runs:
            raise InputError(f"{where}: a {kind!r} before the first 'run'")
        elif kind == "problem":
            self._problem(record)
        else:
            if record["problem"] not in self._problems:
                raise InputError(f"{where}: there is no problem {record['problem']} before it")
            getattr(self, f"_{kind}")(where, record)

    def _run(self, where: str, record: Record) -> None:
        if record["version"] > VERSION:
            raise InputError(
                f"{where}: a trace of version {record['version']}; this is guided for traces up "
                f"to {VERSION}, use a later one"
            )
        told = {name: record.get(name) for name in ("method", "settings", "vocabulary")}
        self.runs.append(_plain({**told, "problems": []}))
        self._problems, self._nodes = {}, {}

    def _problem(self, record: Record) -> None:
        problem = {
            "number": record["problem"], "prompt": _prompt(record["prompt"]), "nodes": [],
            "rounds": [], "result": None,
        }  # fmt: skip
        self._problems[record["problem"]] = problem
        self.runs[-1]["problems"].append(problem)

    def _node(self, where: str, record: Record) -> None:
        key, parent = (record["problem"], record["id"]), record.get("parent")
        if key in self._nodes:
            raise InputError(f"{where}: node {record['id']} is there twice")
        if parent is not None and (record["problem"], parent) not in self._nodes:
            raise InputError(f"{where}: its parent {parent!r} is not there before it")
        nodes = self._problems[record["problem"]]["nodes"]
        if (parent is None) != (not nodes):
            raise InputError(f"{where}: the first node of a problem, and no other, has no parent")
        node = _plain({name: record.get(name) for name in _NODE})
        self._nodes[key] = node
        nodes.append(node)

    def _known(self, where: str, record: Record, name: str = "id") -> dict[str, Any]:
        node = self._nodes.get((record["problem"], record[name]))
        if node is None:
            raise InputError(f"{where}: there is no node {record[name]} before it")
        return node

    def _score(self, where: str, record: Record) -> None:
        node = self._known(where, record)
        node.update(_plain({name: record.get(name) for name in ("value", "steps", "spent")}))

    def _facts(self, where: str, record: Record) -> None:
        facts = {k: v for k, v in record.items() if k not in ("kind", "problem", "id")}
        self._known(where, record).setdefault("facts", {}).update(_plain(facts))

    def _tokens(self, where: str, record: Record) -> None:
        for token in record["tokens"]:
            if not isinstance(token, Mapping):
                raise InputError(f"{where}: a token is an object, not {token!r}")
            _check(where, "tokens", token, _TOKEN)
        self._known(where, record)["details"] = _plain(record["tokens"])

    def _round(self, where: str, record: Record) -> None:
        told = {name: record.get(name) for name in ("number", "alive", "info", "best", "spent")}
        self._problems[record["problem"]]["rounds"].append(_plain(told))

    def _result(self, where: str, record: Record) -> None:
        self._known(where, record, "best")
        names = ("best", "stopped", "spent", "text", "value", "certificate")
        told = {name: record.get(name) for name in names}
        self._problems[record["problem"]]["result"] = _plain(told)


def _check(where: str, kind: str, record: Record, form: Mapping[str, Any]) -> None:
    for name, kinds in form.items():
        value = record.get(name)
        if not isinstance(value, kinds) or isinstance(value, bool):
            raise InputError(f"{where}: the {name!r} of a {kind!r} record cannot be {value!r}")


def _prompt(prompt: str | Iterable[Any]) -> str:
    """A prompt as text; chat messages one after the other."""
    if isinstance(prompt, str):
        return prompt
    return "\n".join(
        f"{m.get('role', '?')}: {m.get('content', '')}" if isinstance(m, Mapping) else str(m)
        for m in prompt
    )


def _plain(value: Any) -> Any:
    """The same without numbers that JSON has no word for; those become text."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("∞" if value > 0 else "−∞")
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in value.items() if each is not None}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value


__all__ = ["read_sections"]
