"""Every example runs, and every marked snippet of the README and the docs prints what it says.

`make outputs` runs this file as a program, which writes what the snippets print into the pages.
"""

import contextlib
import doctest
import io
import re
import runpy
import sys
from collections.abc import Iterator
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


def run(page: Path) -> Iterator[tuple[Snippet, str]]:
    """Every snippet of a page with what it prints; one program, as a reader would type it."""
    space: dict[str, object] = {"__name__": page.stem}
    for snippet in snippets(page):
        printed = io.StringIO()
        code = compile("\n" * snippet.line + snippet.code, str(page), "exec")
        with contextlib.redirect_stdout(printed):
            exec(code, space)
        yield snippet, printed.getvalue()


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
    checker = doctest.OutputChecker()
    for snippet, printed in run(page):
        if snippet.output is not None and not checker.check_output(snippet.output, printed, _FLAGS):
            pytest.fail(
                f"{page.name}:{snippet.line} says\n{snippet.output}\nbut prints\n{printed}\n"
                "(make outputs writes what is printed into the pages)"
            )


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    # Code may index and call: that is no link.
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.M | re.S)
    targets = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text)
    assert [target for target in targets if not (page.parent / target).exists()] == []


def write_outputs(page: Path) -> None:
    """Put what the snippets print into the output blocks that follow them."""
    printed = iter([text for snippet, text in run(page) if snippet.output is not None])

    def written(block: re.Match[str]) -> str:
        if block["kind"] == "python run":
            return block[0]
        return f"```text output\n{next(printed).rstrip()}\n```"

    page.write_text(_BLOCK.sub(written, page.read_text()))


if __name__ == "__main__":
    with contextlib.chdir(ROOT):
        for each in PAGES:
            print(each.name)
            write_outputs(each)
