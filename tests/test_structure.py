"""The shape of the code: imports point down the floors, no cycles, one purpose a file."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDERS = {
    "guided": "guided",
    "grammars": "guided.grammars",
    "rewards": "guided.rewards",
    "search": "guided.search",
    "kernels": "guided.kernels",
}
#: Floors from the ground. A module belongs to the longest prefix of its name that stands here.
FLOORS = {
    "guided.errors": 0,
    "guided.kernels": 1,
    "guided.grammars": 2,
    "guided": 3,
    "guided.rewards": 4,
    "guided.search": 6,
    "guided.alignment": 6,
    "guided.generation": 6,
    "guided.streaming": 6,
    "guided.hf": 6,
    "guided.solving": 6,
    "guided.cli": 7,
    "guided.testing": 6,
}
LONGEST_FILE = 400


def modules() -> dict[str, Path]:
    """Every product file by its module name."""
    found = {}
    for folder, package in FOLDERS.items():
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT / folder).with_suffix("").parts
            name = ".".join((package, *parts))
            found[name.removesuffix(".__init__")] = path
    return found


MODULES = modules()


def nodes(tree: ast.AST, for_types: bool) -> Iterator[ast.AST]:
    """All nodes below `tree`; without `for_types`, not those under `if TYPE_CHECKING`."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING" and not for_types:
            continue
        yield node
        yield from nodes(node, for_types)


def imported_names(path: Path, for_types: bool = True) -> Iterator[str]:
    """Absolute names that a file imports, wherever in it the import stands."""
    for node in nodes(ast.parse(path.read_text()), for_types):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def module_of(name: str) -> str:
    """The product module that an imported name comes from."""
    while name not in MODULES:
        name = name.rpartition(".")[0]
    return name


def edges(for_types: bool = True) -> dict[str, set[str]]:
    """Which product modules each product module imports."""
    graph = {}
    for module, path in MODULES.items():
        found = imported_names(path, for_types)
        names = (name for name in found if name == "guided" or name.startswith("guided."))
        graph[module] = {module_of(name) for name in names} - {module}
    return graph


def floor(module: str) -> int:
    while module not in FLOORS:
        module = module.rpartition(".")[0]
    return FLOORS[module]


def test_imports_only_point_down_the_floors() -> None:
    # The package itself and the packages that only hand names on stand above all floors.
    upward = {
        f"{module} imports {other}"
        for module, others in edges().items()
        for other in others
        if module != "guided" and (other == "guided" or floor(other) > floor(module))
    }
    assert upward == set()


def test_files_do_not_import_each_other_in_a_circle() -> None:
    # What only a type checker imports may point back: nothing runs.
    graph = edges(for_types=False)
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " -> ".join((*path[path.index(module) :], module))
        if module in done:
            return
        for other in sorted(graph[module]):
            visit(other, (*path, module))
        done.add(module)

    for module in graph:
        visit(module, ())


@pytest.mark.parametrize("name", ["utils", "helpers", "common", "misc"])
def test_no_file_is_named_after_nothing(name: str) -> None:
    assert [module for module in MODULES if module.rpartition(".")[2].strip("_") == name] == []


def test_no_file_is_longer_than_allowed() -> None:
    lengths = {module: len(path.read_text().splitlines()) for module, path in MODULES.items()}
    assert {m: n for m, n in lengths.items() if n > LONGEST_FILE} == {}


def test_the_top_folders_are_never_imported_by_their_bare_names() -> None:
    bare = set(FOLDERS) - {"guided"}
    found = {
        f"{module} imports {name}"
        for module, path in MODULES.items()
        for name in imported_names(path)
        if name.partition(".")[0] in bare
    }
    assert found == set()


def test_user_input_is_never_checked_by_assert() -> None:
    # guided.testing is made of assertions: its functions are laws that a test calls.
    found = {
        f"{module}:{node.lineno}"
        for module, path in MODULES.items()
        if not module.startswith("guided.testing")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Assert)
    }
    assert found == set()
