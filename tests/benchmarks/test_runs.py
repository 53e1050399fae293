"""Every benchmark runs, on little."""

import json
from pathlib import Path

import pytest

pytest.importorskip("mistral_common")

import maskbench
from harness import data


def _three_schemas(folder: Path) -> Path:
    lines = data.OWN_SET.read_text(encoding="utf-8").splitlines()
    names = ("flat_person", "enum_mixed", "recursive_tree")
    kept = [line for line in lines if any(f'"Own---{name}"' in line for name in names)]
    path = folder / "three.jsonl"
    path.write_text("\n".join(kept), encoding="utf-8")
    return path


def _run(folder: Path, engine: str) -> dict[str, object]:
    out = folder / "out.json"
    given = [str(_three_schemas(folder)), "--engines", engine, "--json", str(out)]
    options = maskbench.arguments(given)
    maskbench.run(options).finish(options.json)
    written: dict[str, object] = json.loads(out.read_text(encoding="utf-8"))
    return written


def test_guided_passes_three_schemas_through_the_harness(tmp_path: Path):
    figures = {f["name"]: f for f in _run(tmp_path, "guided")["figures"]}
    assert figures["coverage"]["value"] == 100
    assert figures["wrong_acceptances"]["value"] == 0
    assert figures["crashes"]["holds"]
    assert figures["timeouts"]["holds"]
    assert figures["tbm_mean"]["value"] > 0


@pytest.mark.parametrize(
    ("engine", "module"), [("llguidance", "llguidance"), ("xgrammar", "xgrammar")]
)
def test_peers_go_through_the_same_harness(tmp_path: Path, engine: str, module: str):
    pytest.importorskip(module)
    tables = _run(tmp_path, engine)["tables"]
    counts = {row[0]: row[1] for row in tables[0]["rows"]}
    assert counts["schemas tried"] == "3"
    assert counts["compiled"] == "3"


def test_an_unknown_engine_is_named_in_the_error(tmp_path: Path):
    with pytest.raises(SystemExit):
        maskbench.arguments(["--engines", "no-such-engine"])
