"""Every example runs, and every marked snippet of the README and the docs prints what it says."""

import contextlib
import doctest
import io
import re
import runpy
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
_BLOCK = re.compile(r"^```(?P<kind>python run|text output)\n(?P<text>.*?)^```$", re.M | re.S)
_FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


class Snippet(NamedTuple):
    line: int
    code: str
    output: str | None


def snippets(page: Path) -> list[Snippet]:
    """The runnable blocks of a page, each with the output block that follows it, if any."""
    text = page.read_text()
    found: list[Snippet] = []
    for block in _BLOCK.finditer(text):
        if block["kind"] == "python run":
            line = text.count("\n", 0, block.start()) + 1
            found.append(Snippet(line, block["text"], None))
        else:
            assert found, f"{page.name}: output before any code"
            assert found[-1].output is None, f"{page.name}: two outputs of one snippet"
            found[-1] = found[-1]._replace(output=block["text"])
    return found


@pytest.fixture(autouse=True)
def _in_the_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def test_there_is_something_to_run() -> None:
    assert len(EXAMPLES) >= 7
    assert sum(len(snippets(page)) for page in PAGES) >= 10


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_example_runs_and_prints_something(
    example: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", [str(example)])
    # A script finds its neighbours beside it.
    monkeypatch.syspath_prepend(str(example.parent))
    runpy.run_path(str(example), run_name="__main__")
    assert capsys.readouterr().out.strip()


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_the_snippets_of_a_page_print_what_it_says(page: Path) -> None:
    # The blocks of a page are one program, as a reader would type them.
    space: dict[str, object] = {"__name__": page.stem}
    checker = doctest.OutputChecker()
    for snippet in snippets(page):
        printed = io.StringIO()
        code = compile("\n" * snippet.line + snippet.code, str(page), "exec")
        with contextlib.redirect_stdout(printed):
            exec(code, space)
        if snippet.output is not None and not checker.check_output(
            snippet.output, printed.getvalue(), _FLAGS
        ):
            pytest.fail(
                f"{page.name}:{snippet.line} says\n{snippet.output}\nbut prints\n"
                f"{printed.getvalue()}"
            )


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text())
    assert [target for target in targets if not (page.parent / target).exists()] == []
