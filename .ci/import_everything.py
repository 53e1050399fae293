"""Import every module of the installed package; fails if any cannot be imported."""

import importlib
import importlib.util
import pkgutil

import guided

names = [info.name for info in pkgutil.walk_packages(guided.__path__, "guided.")]
for name in names:
    # The kernels for CUDA are imported only where one runs; Triton comes with torch for CUDA.
    if name.startswith("guided.kernels.triton.") and importlib.util.find_spec("triton") is None:
        continue
    importlib.import_module(name)
for name in getattr(guided, "__all__", ()):
    getattr(guided, name)
for part in ("grammars", "rewards", "search", "kernels"):
    assert any(name.startswith(f"guided.{part}") for name in names), part
print(f"imported {len(names)} modules from {guided.__path__[0]}")
