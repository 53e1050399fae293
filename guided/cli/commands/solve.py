"""guided solve: questions, answered by a search that a reward guides."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from guided.cli.reading import name, read
from guided.errors import InputError

if TYPE_CHECKING:
    from guided.drafting import Draft
    from guided.search.search import Search
    from guided.solving import Problem, Solution, Solver
    from guided.trace import Trace

_ABOUT = """\
Answers questions by a search over solutions, guided by a reward. Without --model it runs the tiny
model, the process reward model and the problems of a clone of the repository.

  guided solve
  guided solve "Kim found 10 badges. Then Kim triples the number of badges. ..."
  guided solve --problems problems.jsonl --method best-of-n --set n=16 --budget-tokens 2000
  guided solve --compare greedy best-of-n:n=4 astar:width=3 --limit 40 --plot compare.html
  guided solve --model Qwen/Qwen2.5-Math-1.5B-Instruct --reward Qwen/Qwen2.5-Math-PRM-7B "..."
"""
#: What --compare compares if it is not told.
COMPARED = ("greedy", "majority:n=8", "best-of-n:n=8", "weighted-majority:n=8", "astar")
_BUDGET = ("tokens", "reward_passes", "rounds", "seconds")


def add(commands: Any) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "solve",
        help="answer questions by a search that a reward guides",
        description=_ABOUT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("question", nargs="?", help="one question; else --problems")
    _add_what(parser.add_argument_group("problems"))
    _add_how(parser.add_argument_group("method"))
    _add_models(parser.add_argument_group("models"))
    _add_drawing(parser.add_argument_group("drawing"))
    _add_output(parser.add_argument_group("output"))
    parser.set_defaults(command=_solve)


def _add_what(group: Any) -> None:
    group.add_argument("--problems", metavar="FILE", help="JSON lines with a question each, and "
                       "the answer if it is known; - for standard input")  # fmt: skip
    group.add_argument("--answer", help="the right answer of the question on the command line")
    group.add_argument("--limit", type=int, metavar="N", help="only the first N problems")


def _add_how(group: Any) -> None:
    group.add_argument("--method", default="astar", help="the search; astar if not given, "
                       "`--method list` lists all")  # fmt: skip
    group.add_argument("--set", action="append", default=[], metavar="NAME=VALUE",
                       help="a setting of the method; may be repeated")  # fmt: skip
    group.add_argument("--compare", nargs="*", metavar="METHOD", help="compare methods on the same "
                       f"problems, with settings like best-of-n:n=4; {' '.join(COMPARED)} if not "
                       "given")  # fmt: skip
    for what in _BUDGET:
        flag = f"--budget-{what.replace('_', '-')}"
        kind = float if what == "seconds" else int
        group.add_argument(flag, type=kind, metavar="N", help="the most for each problem")


def _add_models(group: Any) -> None:
    group.add_argument("--model", help="a folder or a Hub id; the embedded tiny-math if not given")
    group.add_argument("--reward", help="the folder or Hub id of a process reward model; "
                       "`equations` (a program: are they true), or `none`; the embedded tiny-prm "
                       "if there is no --model either")  # fmt: skip
    group.add_argument("--draft", help="a small model of the same vocabulary that guesses ahead, a "
                       "folder or a Hub id; `auto` for guesses without one, `none`; the texts are "
                       "the same. The embedded tiny-math-draft if there is no --model, else "
                       "`auto`")  # fmt: skip
    group.add_argument("--preset", help="how the reward model wants to be called")
    group.add_argument("--aggregate", default="min", choices=["min", "prod", "mean", "last", "sum"],
                       help="how the rewards of steps become one; min if not given")  # fmt: skip
    group.add_argument("--dtype", help="of both models: float32, bfloat16, …")
    group.add_argument("--device-map", help="of both models: auto, cuda:0, …")
    group.add_argument("--prompt", metavar="TEXT", help="a text with {question}; without it chat "
                       "messages, or for a model without a chat template 'Question: {question}' "
                       "and a line break")  # fmt: skip
    group.add_argument("--system", help="the system's message of the chat")


def _add_drawing(group: Any) -> None:
    group.add_argument("--temperature", type=float, help="the method's own if not given")
    group.add_argument("--top-p", type=float)
    group.add_argument("--top-k", type=int)
    group.add_argument("--min-p", type=float)
    group.add_argument("--seed", type=int, default=0)
    group.add_argument("--max-new-tokens", type=int)
    group.add_argument("--delimiter", metavar="TEXT", help="what ends a step (\\n is read as a "
                       "line break); as the reward says if not given")  # fmt: skip
    group.add_argument("--at-once", type=int, default=8, metavar="N", help="problems in one batch")


def _add_output(group: Any) -> None:
    group.add_argument("--json", action="store_true", help="an object for every problem, a line "
                       "each (with --compare: for every method)")  # fmt: skip
    group.add_argument("--trace", metavar="FILE", help="record the search; see guided trace")
    group.add_argument("--trace-tokens", action="store_true", help="record also what else could "
                       "have come at every token of the results")  # fmt: skip
    group.add_argument("--plot", metavar="FILE", help="with --compare: accuracy against cost, as "
                       ".svg or .html")  # fmt: skip
    group.add_argument("--quiet", action="store_true", help="no progress bar")


def _solve(options: argparse.Namespace) -> int:
    from guided.solving.methods import make_method, method_names

    if options.method == "list":
        print("\n".join(method_names()))
        return 0
    # Everything that can be wrong is looked at before a model is loaded.
    _check(options)
    if options.compare is None:
        methods = [make_method(options.method, options.set)]
    else:
        methods = [make_method(spec) for spec in options.compare or COMPARED]
    problems = _problems(options)
    solver = _solver(options, methods)
    with _trace(options) as trace:
        if options.compare is not None:
            return _compare(options, solver, methods, problems, trace)
        return _run(options, solver, problems, trace)


def _check(options: argparse.Namespace) -> None:
    given = vars(options)
    if options.question is not None and options.problems is not None:
        raise InputError("give a question or --problems, not both")
    if options.answer is not None and options.question is None:
        raise InputError("--answer belongs to a question on the command line")
    if options.compare is not None and options.set:
        raise InputError("with --compare settings stand at the method: best-of-n:n=4")
    if options.compare is None and options.plot is not None:
        raise InputError("--plot draws a comparison; add --compare")
    if options.trace_tokens and options.trace is None:
        raise InputError("--trace-tokens needs --trace FILE")
    if options.preset is not None and options.reward is None:
        raise InputError("--preset says how --reward is called; give that, too")
    for flag in ("limit", "at_once"):
        if given[flag] is not None and given[flag] < 1:
            raise InputError(f"--{flag.replace('_', '-')} must be at least 1, not {given[flag]}")
    if options.plot is not None:
        from guided.solving.plot import check_plot

        check_plot(options.plot)


def _problems(options: argparse.Namespace) -> list[Problem]:
    from guided.solving import Problem, read_problems
    from guided.solving.embedded import embedded

    if options.question is not None:
        text = read("-") if options.question == "-" else options.question
        if not text.strip():
            raise InputError("the question is empty")
        problems, where = [Problem(text.strip(), options.answer)], "the command line"
    else:
        path, default = options.problems, None
        if path is None:
            path = str(embedded("data/word_problems.jsonl", "a question, or --problems FILE"))
            default = 40 if options.compare is not None else 10
        problems, where = read_problems(read(path), name(path)), name(path)
        problems = problems[: options.limit or default]
    if options.compare is not None and any(each.answer is None for each in problems):
        raise InputError(f"--compare needs the answer of every problem; {where} lacks some")
    return problems


def _solver(options: argparse.Namespace, methods: list[Search]) -> Solver:
    from guided.loading import load
    from guided.search import Budget, Delimiter
    from guided.solving import Prompting, Solver
    from guided.solving.embedded import embedded

    budget = Budget(**{what: getattr(options, f"budget_{what}") for what in _BUDGET})
    drawing = ("temperature", "top_p", "top_k", "min_p", "seed", "max_new_tokens", "at_once")
    how = {flag: getattr(options, flag) for flag in drawing}
    if options.delimiter is not None:
        how["segmenter"] = Delimiter(options.delimiter.replace("\\n", "\n"))
    plain = None if options.prompt is None else options.prompt.replace("\\n", "\n")
    prompting = None if plain is None else Prompting(plain)
    if options.system is not None and prompting is None:
        prompting = Prompting(system=options.system)
    path = options.model or str(embedded("models/tiny-math", "--model and --reward"))
    reward = _reward(options) if any(each.needs_reward for each in methods) else None
    model = load(path, **_hf(options))
    how["draft"] = _draft(options)
    return Solver(
        model, methods[0], reward, prompting or Prompting.for_model(model), budget,
        options.aggregate, how,
    )  # fmt: skip


def _draft(options: argparse.Namespace) -> Draft:
    from guided.loading import load
    from guided.solving.embedded import embedded

    path = options.draft
    if path == "none":
        return None
    if path is None and options.model is None:
        path = str(embedded("models/tiny-math-draft", "--draft"))
    return "auto" if path in (None, "auto") else load(path, **_hf(options))


def _hf(options: argparse.Namespace) -> dict[str, Any]:
    flags = ("dtype", "device_map")
    return {flag: getattr(options, flag) for flag in flags if getattr(options, flag) is not None}


def _reward(options: argparse.Namespace) -> Any:
    """The reward; None for none."""
    from guided.solving import Equations
    from guided.solving.embedded import embedded

    path = options.reward
    if path == "none":
        return None
    if path == "equations":
        return Equations()
    if path is None and options.model is not None:
        raise InputError("give the --reward that is to guide the search on this --model")
    from guided.rewards import PRM

    if path is None:
        path = str(embedded("models/tiny-prm", "--reward"))
    return PRM(path, options.preset, **_hf(options))


@contextmanager
def _trace(options: argparse.Namespace) -> Iterator[Trace | None]:
    from guided.trace import Trace

    if options.trace is None:
        yield None
        return
    with Trace(options.trace, tokens=options.trace_tokens) as trace:
        yield trace


def _run(
    options: argparse.Namespace, solver: Solver, problems: list[Problem], trace: Trace | None
) -> int:
    from guided.solving.progress import Progress
    from guided.solving.report import as_record, as_text, summary

    began, solutions = time.perf_counter(), list[Any]()
    with Progress(len(problems), quiet=options.quiet) as progress:
        for solution in solver.solve(problems, trace=trace, on_round=progress.on_round):
            solutions.append(solution)
            progress.on_solution(solution)
            record = json.dumps(as_record(solution), ensure_ascii=False) if options.json else None
            progress.write(record if record is not None else as_text(solution))
    if not options.json:
        print(summary(solutions, time.perf_counter() - began))
    return _status(solutions)


def _compare(
    options: argparse.Namespace,
    solver: Solver,
    methods: list[Search],
    problems: list[Problem],
    trace: Trace | None,
) -> int:
    from dataclasses import asdict

    from guided.solving.comparison import compare, table
    from guided.solving.plot import text_plot, write_plot
    from guided.solving.progress import Progress

    tallies, solutions = list[Any](), list[Any]()
    with Progress(len(problems) * len(methods), quiet=options.quiet) as progress:

        def keep(solution: Solution) -> None:
            solutions.append(solution)
            progress.on_solution(solution)

        told = compare(
            solver, methods, problems, trace=trace, on_round=progress.on_round, on_solution=keep
        )
        for tally in told:
            tallies.append(tally)
            if options.json:
                progress.write(json.dumps({**asdict(tally), "accuracy": tally.accuracy}))
    if not options.json:
        print(table(tallies))
        print(f"\naccuracy against tokens per problem\n{text_plot(tallies)}")
    if options.plot is not None:
        write_plot(tallies, options.plot)
    return _status(solutions)


def _status(solutions: list[Any]) -> int:
    """1 where the reward has failed, 130 after an interrupt; what was found is printed before."""
    stops = {solution.result.stopped for solution in solutions}
    return 130 if "interrupt" in stops else 1 if "reward" in stops else 0
