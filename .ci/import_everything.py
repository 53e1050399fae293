"""Import every module of the installed package; fails if any cannot be imported."""

import importlib
import pkgutil

import guided

names = [info.name for info in pkgutil.walk_packages(guided.__path__, "guided.")]
for name in names:
    importlib.import_module(name)
for name in getattr(guided, "__all__", ()):
    getattr(guided, name)
for part in ("grammars", "rewards", "search", "kernels"):
    assert any(name.startswith(f"guided.{part}") for name in names), part
print(f"imported {len(names)} modules from {guided.__path__[0]}")
