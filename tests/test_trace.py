"""Traces of searches, and the page that shows one: in a real browser where there is one."""

import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from guided.cli import main
from guided.errors import InputError
from guided.trace import VERSION, Trace, read_trace
from guided.trace_page import read_sections, render_trace, trace_page
from tests.chromium import Browser, find_chromium

#: Texts that would break out of a page that took them for markup.
NASTY = [
    "</script><script>window.broken = 1</script>",
    "<img src=x onerror='window.broken = 2'>",
    "<!-- <script> ]]> \u2028\u2029 & &amp; \" ' ` ${window.broken = 3}",
    "Straße 日本 \U0001f389 \x00\x07 \ud800",
]


def write(path: Path, records: list[dict[str, Any]]) -> Path:
    with Trace(path) as trace:
        for record in records:
            trace.write(**record)
    return path


def node(number: int, parent: int | None, text: str = "", **more: Any) -> dict[str, Any]:
    told = {"round": 0, "tokens": len(text), "log_p": -1.5, "log_q": -1.0, "reason": None}
    return (
        {"kind": "node", "problem": 0, "id": number, "parent": parent, "text": text} | told | more
    )


RUN = {"kind": "run", "version": VERSION, "method": "AStar", "settings": {"width": 2}}
PROBLEM = {"kind": "problem", "problem": 0, "prompt": "How many?"}
SMALL = [
    RUN,
    PROBLEM,
    node(0, None),
    node(1, 0, "1+1=2\n"),
    node(2, 0, "1+1=3\n"),
    {"kind": "score", "problem": 0, "id": 1, "value": 0.9, "steps": [0.9],
     "spent": {"tokens": 6, "reward_passes": 1}},
    {"kind": "facts", "problem": 0, "id": 1, "g": 0.1, "f": float("inf")},
    {"kind": "round", "problem": 0, "number": 1, "alive": [1, 2], "info": {"frontier": 2},
     "best": 1, "spent": {"tokens": 6}},
    node(3, 1, "Answer: 2", reason="stop"),
    {"kind": "score", "problem": 0, "id": 3, "value": 0.8, "steps": [0.9, 0.8],
     "spent": {"tokens": 16, "reward_passes": 2}},
    {"kind": "tokens", "problem": 0, "id": 3, "tokens": [
        {"text": "Answer", "log_p": -0.5, "log_q": 0.0, "allowed": 1,
         "alternatives": [["Answer", 0.6, 1.0], ["1", 0.3, None]]},
        {"text": ": 2", "log_p": -1.0, "log_q": -0.4, "allowed": 7,
         "alternatives": [[": 2", 0.4, 0.7], [": 3", 0.3, 0.2]]}]},
    {"kind": "result", "problem": 0, "best": 3, "stopped": None, "spent": {"tokens": 16},
     "text": "1+1=2\nAnswer: 2", "value": None},
]  # fmt: skip


# --- what is read


def test_records_come_together_by_node(tmp_path: Path) -> None:
    sections = read_sections(write(tmp_path / "a.jsonl", SMALL))
    (run,) = sections["runs"]
    (problem,) = run["problems"]
    assert sections["note"] is None
    assert (run["method"], run["settings"]) == ("AStar", {"width": 2})
    assert [each["id"] for each in problem["nodes"]] == [0, 1, 2, 3]
    first, last = problem["nodes"][1], problem["nodes"][3]
    assert (first["value"], first["steps"], first["facts"]) == (0.9, [0.9], {"g": 0.1, "f": "∞"})
    assert [token["allowed"] for token in last["details"]] == [1, 7]
    assert problem["result"]["best"] == 3
    assert problem["rounds"][0]["alive"] == [1, 2]


def test_several_runs_of_several_prompts_stay_apart(tmp_path: Path) -> None:
    other = [{**r, "problem": 1} if "problem" in r else r for r in SMALL[1:]]
    path = write(tmp_path / "a.jsonl", [*SMALL, *other, {**RUN, "method": "SMC"}, *SMALL[1:]])
    runs = read_sections(path)["runs"]
    assert [run["method"] for run in runs] == ["AStar", "SMC"]
    assert [[p["number"] for p in run["problems"]] for run in runs] == [[0, 1], [0]]


def test_what_a_search_writes_can_be_read(tmp_path: Path) -> None:
    from guided.search import BestOfN
    from guided.testing import table_model

    path = tmp_path / "a.jsonl"
    model = table_model(4, seed=3, horizon=9)
    with Trace(path, tokens=True) as trace:
        found = BestOfN(3).run(model, ["ab", "c"], lambda p, t: len(t), heal=False, trace=trace)
    (run,) = read_sections(path)["runs"]
    assert run["vocabulary"] == 4
    for problem, result in zip(run["problems"], found, strict=True):
        nodes = {each["id"]: each for each in problem["nodes"]}
        best = nodes[problem["result"]["best"]]
        assert problem["result"]["text"] == best["text"] == result.text
        assert best["value"] == result.score
        assert len(best["details"]) == len(result.best.tokens)
        assert (
            max(each["spent"]["reward_passes"] for each in nodes.values() if "spent" in each)
            == (result.spent["reward_passes"])
        )


def test_a_line_that_breaks_off_is_told_and_the_rest_is_shown(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", SMALL)
    path.write_bytes(path.read_bytes()[:-20])
    sections = read_sections(path)
    assert "breaks off" in sections["note"]
    assert sections["runs"][0]["problems"][0]["result"] is None
    assert len(sections["runs"][0]["problems"][0]["nodes"]) == 4


def changed(number: int, **facts: Any) -> list[dict[str, Any]]:
    return [{**r, **facts} if i == number else r for i, r in enumerate(SMALL)]


@pytest.mark.parametrize(
    ("records", "says"),
    [
        ([], "no trace"),
        (SMALL[1:], "line 1: a 'problem' before the first 'run'"),
        (changed(0, version=VERSION + 1), "line 1: a trace of version"),
        (changed(1, prompt=7), "line 2: the 'prompt' of a 'problem' record cannot be 7"),
        (changed(3, problem=5), "line 4: there is no problem 5"),
        (changed(3, parent=9), "line 4: its parent 9"),
        (changed(3, parent=None), "line 4: the first node"),
        (changed(4, id=1), "line 5: node 1 is there twice"),
        (changed(5, id=8), "line 6: there is no node 8"),
        (changed(5, value="high"), "line 6: the 'value' of a 'score' record cannot be 'high'"),
        (changed(10, tokens=["a"]), "line 11: a token is an object"),
        (changed(11, best=77), "line 12: there is no node 77"),
    ],
)
def test_records_that_do_not_fit_are_refused_by_line(
    records: list[dict[str, Any]], says: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=re.escape(says)):
        read_sections(write(tmp_path / "a.jsonl", records))


def test_text_that_is_no_trace_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"kind": "run"}\nnonsense\n{}\n')
    with pytest.raises(InputError, match="line 1: the 'version'"):
        read_sections(path)
    path.write_text(json.dumps(RUN) + "\nnonsense\n")
    with pytest.raises(InputError, match="line 2: no JSON"):
        read_sections(path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="not UTF-8"):
        read_sections(path)


def test_what_later_versions_may_add_is_skipped(tmp_path: Path) -> None:
    more = [*SMALL, {"kind": "weather", "sky": "blue"}]
    assert read_sections(write(tmp_path / "a.jsonl", more)) == read_sections(
        write(tmp_path / "b.jsonl", SMALL)
    )
    assert list(read_trace(tmp_path / "a.jsonl"))[-1]["sky"] == "blue"


# --- the page


class Elements(HTMLParser):
    """What a browser would make of a page: elements, and the texts in scripts."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data: str) -> None:
        if self.found and self.found[-1][0] == "script":
            self.scripts[-1] += data


def nasty_records() -> list[dict[str, Any]]:
    records: list[dict[str, Any]] = [
        {**RUN, "method": NASTY[0], "settings": {NASTY[1]: NASTY[0]}},
        {**PROBLEM, "prompt": "".join(NASTY)},
        node(0, None),
    ]
    for number, text in enumerate(NASTY, 1):
        records.append(node(number, 0, text, reason="stop"))
        records.append({"kind": "facts", "problem": 0, "id": number, NASTY[1]: text})
        token = {"text": text, "log_p": -1.0, "log_q": -1.0, "allowed": 1,
                 "alternatives": [[text, 0.5, 0.5], [NASTY[0], 0.1, None]]}  # fmt: skip
        records.append({"kind": "tokens", "problem": 0, "id": number, "tokens": [token]})
    result = {"kind": "result", "problem": 0, "best": 1, "stopped": NASTY[1], "text": NASTY[0]}
    return [*records, result]


def test_texts_stay_data(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps(each) + "\n" for each in nasty_records()), encoding="utf-8")
    page = render_trace(read_sections(path), NASTY[0])
    elements = Elements(page)
    assert [tag for tag, _ in elements.found].count("script") == 2
    assert "img" not in [tag for tag, _ in elements.found]
    data = json.loads(elements.scripts[0])
    assert data["title"] == NASTY[0]
    assert [each["text"] for each in data["runs"][0]["problems"][0]["nodes"]] == ["", *NASTY]
    page.encode()  # half of a surrogate pair would not be written


def test_the_page_needs_nothing_else(tmp_path: Path) -> None:
    page = trace_page(write(tmp_path / "a.jsonl", SMALL)).read_text()
    elements = Elements(page)
    assert not [at for _, at in elements.found if {"src", "href", "srcset", "data"} & set(at)]
    assert "url(" not in page
    assert "@import" not in page
    policy = next(at["content"] for _, at in elements.found if "http-equiv" in at)
    assert policy is not None
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy


# --- on the command line


def test_the_page_is_written_beside_the_trace(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "a.jsonl", SMALL)
    assert main(["trace", str(path)]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'a.html'}\n"
    assert main(["trace", str(path), "-o", str(tmp_path / "b.htm")]) == 0
    assert (tmp_path / "a.html").read_text() == (tmp_path / "b.htm").read_text()


@pytest.mark.parametrize("name", ["missing.jsonl", "empty.jsonl", "page.html"])
def test_what_cannot_be_shown_is_told_in_a_line(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty.jsonl").write_text("")
    write(tmp_path / "page.html", SMALL)
    assert main(["trace", str(tmp_path / name)]) == 1
    told = capsys.readouterr().err
    assert told.startswith("guided: ")
    assert name in told
    assert told.count("\n") == 1


def test_a_trace_needs_its_file(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["trace"])
    assert caught.value.code == 2


# --- in a browser

WHERE = "document.getElementById('where').textContent"
TEXT = "document.getElementById({!r}).textContent"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = find_chromium()
    if path is None:
        pytest.skip("no Chromium here (apt-get install chromium, or CHROMIUM=/path/to/it)")
    with Browser(path) as found:
        yield found


def shown(browser: Browser, tmp_path: Path, records: list[dict[str, Any]]) -> Browser:
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps(each) + "\n" for each in records))
    browser.complaints.clear()
    browser.open(trace_page(path))
    browser.ask("document.getElementById('canvas').focus()")
    return browser


def test_the_page_opens_at_the_result(browser: Browser, tmp_path: Path) -> None:
    shown(browser, tmp_path, SMALL)
    assert browser.ask(WHERE).startswith("Node 3, depth 2, score 0.8")
    summary = browser.ask(TEXT.format("summary"))
    assert "AStar (width = 2)" in summary
    assert "1+1=2\nAnswer: 2" in summary
    details = browser.ask("document.getElementById('details').innerText")
    for part in ("-1.5", "-3", "Answer: 2", "1+1=2", "0.900  1+1=2", "0.800  Answer: 2"):
        assert part in details
    assert browser.ask("document.querySelectorAll('#charts svg').length") == 1
    colours = "new Set(new Uint32Array(document.getElementById('canvas').getContext('2d').getImageData(0, 0, 900, 400).data.buffer)).size"  # noqa: E501
    browser.ask("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert browser.ask(colours) > 5
    assert browser.complaints == []


def test_keys_move_and_fold(browser: Browser, tmp_path: Path) -> None:
    shown(browser, tmp_path, SMALL)
    for key, begin in [
        ("ArrowLeft", "Node 1,"),
        ("ArrowDown", "Node 2,"),
        ("ArrowUp", "Node 1,"),
        ("ArrowLeft", "Node 0,"),
        (" ", "Node 0,"),
        ("ArrowRight", "Node 1,"),
        ("n", "Node 3,"),
        ("p", "Node 1,"),
        ("b", "Node 3,"),
        ("l", "Node 3,"),
        ("f", "Node 3,"),
        ("0", "Node 3,"),
    ]:
        browser.press(key)
        assert browser.ask(WHERE).startswith(begin), key
    browser.press("t")
    first = browser.ask("document.documentElement.dataset.theme")
    browser.press("t")
    assert {first, browser.ask("document.documentElement.dataset.theme")} == {"dark", "light"}
    browser.press("?")
    assert not browser.ask("document.getElementById('keys').hidden")
    assert browser.complaints == []


def test_a_click_chooses_a_node(browser: Browser, tmp_path: Path) -> None:
    shown(browser, tmp_path, SMALL)
    box = browser.ask(
        "(() => { const b = document.getElementById('canvas').getBoundingClientRect();"
        " return [b.left, b.top, b.width, b.height]; })()"
    )
    reached = set()
    for row in range(10):
        for column in range(12):
            browser.click(box[0] + box[2] * (column + 0.5) / 12, box[1] + box[3] * (row + 0.5) / 10)
        reached.add(browser.ask(WHERE).split(",")[0])
    assert len(reached) > 1
    assert browser.complaints == []


def test_search_goes_from_hit_to_hit(browser: Browser, tmp_path: Path) -> None:
    shown(browser, tmp_path, SMALL)
    browser.press("/")
    browser.call("Input.insertText", text="1+1")
    assert browser.ask(TEXT.format("found")) == "1 of 2"
    assert browser.ask(WHERE).startswith("Node 1,")
    browser.call("Input.dispatchKeyEvent", type="keyDown", key="Enter", code="Enter")
    assert browser.ask(WHERE).startswith("Node 2,")


def test_tokens_show_what_else_could_have_come(browser: Browser, tmp_path: Path) -> None:
    shown(browser, tmp_path, SMALL)
    buttons = "[...document.querySelectorAll('.tokens button')]"
    assert browser.ask(f"{buttons}.map((b) => b.textContent)") == ["Answer", ":␣2"]
    assert browser.ask(f"{buttons}[0].classList.contains('forced')")
    browser.ask(f"{buttons}[0].click()")
    table = browser.ask("document.querySelector('#details table').innerText")
    assert "⊘ forbidden" in table
    assert "1 allowed" in table


def test_particles_are_shown_by_round(browser: Browser, tmp_path: Path) -> None:
    records = [{**RUN, "method": "SMC"}, PROBLEM, node(0, None)]
    alive, made = [0, 0, 0], 1
    for number in range(1, 5):
        parents, alive = ([alive[0]] * 3 if number == 3 else alive), []
        for parent in parents:
            records.append(node(made, parent, f"{number}.{made} ", round=number))
            alive.append(made)
            made += 1
        info = {"ess": 3.0 / number, "resampled": [1, 1, 1] if number == 3 else []}
        records.append({"kind": "round", "problem": 0, "number": number, "alive": alive,
                        "info": info, "best": None, "spent": {}})  # fmt: skip
    shown(browser, tmp_path, records)
    assert browser.ask("document.getElementById('layout').value") == "rounds"
    assert browser.ask("document.querySelectorAll('#charts .event').length") == 1
    assert "the trace ends before it" in browser.ask(TEXT.format("summary"))
    for key in ("ArrowRight", "ArrowDown", "ArrowDown"):
        browser.press(key)
    assert browser.ask(WHERE).startswith("Node 3,")
    assert browser.complaints == []


def test_prompts_can_be_chosen(browser: Browser, tmp_path: Path) -> None:
    second = [{**r, "problem": 1} if "problem" in r else r for r in SMALL[1:]]
    second[0]["prompt"] = "And how many now?"
    shown(browser, tmp_path, [*SMALL, *second, {**RUN, "method": "SMC"}, *SMALL[1:]])
    assert browser.ask("document.getElementById('problems').options.length") == 3
    browser.press("]")
    assert browser.ask("document.getElementById('problems').selectedOptions[0].text") == (
        "2. And how many now?"
    )
    browser.press("]")
    assert "SMC" in browser.ask(TEXT.format("summary"))


def test_nothing_in_a_trace_runs(browser: Browser, tmp_path: Path) -> None:
    shown(browser, tmp_path, nasty_records())
    for number in range(1, len(NASTY) + 1):
        browser.press("ArrowLeft")
        browser.press("ArrowRight")
        for _ in range(number - 1):
            browser.press("ArrowDown")
        browser.ask("document.querySelector('.tokens button')?.click()")
    assert browser.ask("window.broken") is None
    assert browser.ask("document.querySelectorAll('img').length") == 0
    # What came in by some other way would be stopped by the page's policy.
    browser.ask(
        "document.body.append(Object.assign(document.createElement('script'),"
        " {textContent: 'window.broken = 4'}))"
    )
    assert browser.ask("window.broken") is None


def test_five_thousand_nodes_can_be_moved_through(browser: Browser, tmp_path: Path) -> None:
    records = [RUN, PROBLEM, node(0, None)]
    for number in range(1, 5000):
        records.append(node(number, (number - 1) // 3, f"{number}+1={number + 1}\n"))
        score = {"kind": "score", "problem": 0, "id": number, "value": number % 100 / 100}
        records.append({**score, "steps": [0.5], "spent": {"tokens": number, "reward_passes": 1}})
    # A chain as deep as no search makes one.
    records += [node(number, number - 1, ".") for number in range(5000, 6000)]
    result = {"kind": "result", "problem": 0, "best": 4321, "stopped": None, "text": "x"}
    shown(browser, tmp_path, [*records, result])
    assert browser.ask(WHERE).startswith("Node 4321,")
    frames = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
    for key in ("ArrowLeft", "ArrowUp", "f", "u", "0", "l", "0"):
        browser.press(key)
        browser.ask(frames)
    assert "6,000 nodes" in browser.ask(TEXT.format("summary"))
    assert browser.complaints == []
