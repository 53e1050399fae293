"""What numba makes and keeps of a compiled kernel: only what is used of it.

By itself numba makes machine code of every function, to run it, and bitcode, to copy it into its
callers, and keeps both on disk. But the machine code of a function that only other kernels call is
never run, and the bitcode of one that only Python calls is never copied; reading that is most of
what it takes to load a kernel from disk.

This overrides what numba calls internal (since 0.61 at the latest). In a version of numba that has
it otherwise kernels are compiled as numba does it, which only takes longer.
"""

from __future__ import annotations

from typing import Any

import llvmlite.binding as llvm
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler

_INTERNAL = (
    "_ensure_finalized",
    "_finalize_final_module",
    "_get_compiled_object",
    "_get_module_for_linking",
    "_optimize_final_module",
    "enable_object_caching",
    "serialize_using_object_code",
)
_IS_KNOWN = all(hasattr(JITCodeLibrary, name) for name in _INTERNAL)
#: Beginnings of the names that numba gives to variables and to functions that Python calls.
_ENVIRONMENT, _WRAPPER = "_ZN08NumbaEnv", "_ZN7cpython"


class Part(JITCodeLibrary):
    """The code of a function that only becomes part of kernels: no machine code is made of it."""

    def _optimize_final_module(self) -> None:
        # By itself numba does all this twice, and twice more with every copy.
        found = self._codegen._module_pass_manager()
        passes, *builder = found if isinstance(found, tuple) else (found,)
        passes.run(self._final_module, *builder)

    def _finalize_final_module(self) -> None:
        # Callers copy what is there now; what is compiled has only the variables that numba sets.
        self._finalized = True
        self._get_module_for_linking()
        self._finalized = False
        variables = self._final_module.global_variables
        kept = [str(variable) for variable in variables if variable.name.startswith(_ENVIRONMENT)]
        self._final_module = _module(self, kept)
        super()._finalize_final_module()


class Whole(JITCodeLibrary):
    """The code of a kernel that only Python calls: what is kept cannot be copied into others."""

    def _get_module_for_linking(self) -> Any:
        raise TypeError(f"{self.name} is called by another kernel: it has to be a `shared_entry`")

    def serialize_using_object_code(self) -> tuple[str, str, tuple[bytes, bytes]]:
        self._ensure_finalized()
        # Of the bitcode only the names of functions are read that Python calls.
        functions = [f.name for f in self._final_module.functions if not f.is_declaration]
        names = [name for name in functions if name.startswith(_WRAPPER)]
        bitcode = _module(self, [f'define void @"{name}"() {{ unreachable }}' for name in names])
        return self.name, "object", (self._get_compiled_object(), bitcode.as_bitcode())


def _module(library: JITCodeLibrary, definitions: list[str]) -> Any:
    empty = str(library._codegen._create_empty_module(library.name))
    return llvm.parse_assembly("\n".join([empty, *definitions]))


class _CompilerInto(Compiler):
    """Numba's compiler, whose code goes into another type of library."""

    library_type: type[JITCodeLibrary]

    def compile_extra(self, func: Any) -> Any:
        if _IS_KNOWN:
            library = self.library_type(self.state.targetctx.codegen(), func.__qualname__)
            # What numba does where it makes the library itself: else nothing is kept on disk.
            library.enable_object_caching()
            self.state.library = library
        return super().compile_extra(func)


class PartCompiler(_CompilerInto):
    """Compiles what only other kernels call."""

    library_type = Part


class WholeCompiler(_CompilerInto):
    """Compiles what only Python calls."""

    library_type = Whole
