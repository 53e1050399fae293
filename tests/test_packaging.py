"""What is packaged: all of the code, under one import name, as declared."""

import ast
import importlib.util
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
#: The folders that hold product code, and the import name of each.
FOLDERS = {
    "guided": "guided",
    "grammars": "guided.grammars",
    "rewards": "guided.rewards",
    "search": "guided.search",
    "kernels": "guided.kernels",
}


def python_files() -> dict[str, Path]:
    """Every product file by its path inside a wheel."""
    found = {}
    for folder, package in FOLDERS.items():
        for path in sorted((ROOT / folder).rglob("*.py")):
            inside = path.relative_to(ROOT / folder).as_posix()
            found[f"{package.replace('.', '/')}/{inside}"] = path
    return found


def test_every_folder_with_python_files_is_listed_as_a_package() -> None:
    packages = {name.rpartition("/")[0].replace("/", ".") for name in python_files()}
    assert packages == set(PYPROJECT["tool"]["setuptools"]["packages"])


def test_every_package_has_an_init_file() -> None:
    names = set(python_files())
    packages = {name.rpartition("/")[0] for name in names}
    assert [package for package in packages if f"{package}/__init__.py" not in names] == []


def test_the_package_is_typed() -> None:
    assert (ROOT / "guided" / "py.typed").exists()


def test_every_import_is_of_a_declared_dependency() -> None:
    declared = {
        requirement.split(">")[0].strip().replace("-", "_")
        for requirement in PYPROJECT["project"]["dependencies"]
    }
    optional = {"jsonschema", "mistral_common", "rapidfuzz", "triton"}
    allowed = declared | optional | set(sys.stdlib_module_names) | {"guided"}
    # These come with a declared dependency: numba, transformers and pydantic cannot be installed
    # without them.
    allowed |= {"llvmlite", "tokenizers", "huggingface_hub", "safetensors"}
    allowed |= {"pydantic_core", "typing_extensions"}
    unknown = set()
    for name, path in python_files().items():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                modules = [node.module or ""]
            else:
                continue
            unknown |= {(name, m) for m in modules if m.partition(".")[0] not in allowed}
    assert unknown == set()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel built from a copy of the sources, so that no earlier build leaks into it."""
    if importlib.util.find_spec("pip") is None:
        pytest.skip("pip is not installed in this environment")
    version = metadata.version("setuptools")
    if int(version.split(".")[0]) < 77:
        pytest.skip(f"setuptools {version} is older than the build needs (77)")
    source = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for folder in FOLDERS:
        ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
        shutil.copytree(ROOT / folder, source / folder, ignore=ignored)
    target = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*build, "--wheel-dir", str(target), str(source)], check=True)
    (path,) = target.glob("guided-*.whl")
    return path


def test_the_wheel_holds_every_product_file_and_nothing_else(wheel: Path) -> None:
    patterns = PYPROJECT["tool"]["setuptools"]["package-data"]
    data = {
        f"{package.replace('.', '/')}/{path.relative_to(ROOT / folder).as_posix()}"
        for folder, package in FOLDERS.items()
        for pattern in patterns.get(package, [])
        for path in (ROOT / folder).rglob(pattern.removeprefix("**/"))
    }
    with zipfile.ZipFile(wheel) as archive:
        inside = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert inside == set(python_files()) | data


def test_every_module_of_the_wheel_can_be_imported_from_elsewhere(
    wheel: Path, tmp_path: Path
) -> None:
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    script = ROOT / ".ci" / "import_everything.py"
    done = subprocess.run(
        [sys.executable, str(script)],
        cwd=tmp_path,
        env={"PYTHONPATH": str(site), "PATH": "", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert str(site) in done.stdout
