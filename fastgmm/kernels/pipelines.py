"""How Numba compiles: parts become code only within the kernels that they are linked into, and no pass is in vain.

What is overridden here bears Numba's own names, which it may change: a version that is not known compiles as it does by
itself. Kernels are as right, and a first fit waits some seconds longer.
"""

from __future__ import annotations

from typing import Any

import llvmlite.binding as llvm
from numba import types
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.compiler_machinery import LoweringPass, register_pass
from numba.core.environment import lookup_environment
from numba.core.typed_passes import AnnotateTypes

KNOWN = (0, 61), (0, 68)
"""First and last version of Numba whose names these are: on both the tests were run."""

LEFT_OUT = "inline_closure_likes", "inline_inlinables", "inline_overloads", "nopython_rewrites"
"""Passes over Numba's IR that find nothing to do in kernels: without them machine code is the same, 5 % sooner."""


class _NoEngine:
    """What a part's library takes for the code generator, once it is finished."""

    @staticmethod
    def set_env(name: str, environment: Any) -> None:
        """Leave it to the kernel."""


class _PartLibrary(JITCodeLibrary):  # type: ignore[misc]
    """A part's code, not linked, emitted or optimised as a whole: the kernel's library does so for all, once."""

    @property
    def codegen(self) -> Any:
        """Of no use: nothing of a part is executed."""
        return _NoEngine

    def finalize(self) -> None:
        """Leave the parts that this one calls to the kernel, too."""
        self._finalized = True

    def _get_module_for_linking(self) -> Any:
        for function in self._final_module.functions:
            if not function.is_declaration and function.linkage == llvm.Linkage.external:
                function.linkage = llvm.Linkage.linkonce_odr
        return self._final_module

    def get_pointer_to_function(self, name: str) -> int:
        """There is none."""
        self._ensure_finalized()
        return 0


class _KernelLibrary(JITCodeLibrary):  # type: ignore[misc]
    """A kernel's code, with its own copies of all parts."""

    def finalize(self) -> None:
        """Link, optimise and emit."""
        libraries = self._linking_libraries
        for library in libraries:  # which grow
            if isinstance(library, _PartLibrary):
                libraries += [more for more in library._linking_libraries if more not in libraries]
        super().finalize()

    def _optimize_final_module(self) -> None:
        # Without Numba's cheap passes before these and without those over single functions: 0.6 s less of a first fit,
        # but `bounded`, D = 16 … 64, takes 1.02 to 1.09 of the time; without the latter alone, `factors` 1.03 to 1.05.
        super()._optimize_final_module()
        for function in self._final_module.functions:
            # Symbols of parts are weak, and the first ones loaded win: those of another process's kernel, perhaps.
            if not function.is_declaration and function.linkage == llvm.Linkage.linkonce_odr:
                function.linkage = llvm.Linkage.internal

    def _finalize_final_module(self) -> None:
        super()._finalize_final_module()
        for variable in self._final_module.global_variables:
            environment = lookup_environment(variable.name)
            if environment is not None:
                self._codegen.set_env(variable.name, environment)


@register_pass(mutates_CFG=False, analysis_only=False)
class _MakeLibrary(LoweringPass):  # type: ignore[misc]
    """Choose the library that code is generated into."""

    _name = "fastgmm_make_library"

    def __init__(self) -> None:
        LoweringPass.__init__(self)

    def run_pass(self, state: Any) -> bool:
        library = _PartLibrary if isinstance(state.pipeline, PartCompiler) else _KernelLibrary
        state.library = library(state.targetctx.codegen(), state.func_id.func_qualname)
        state.library.enable_object_caching()
        return True


class KernelCompiler(CompilerBase):  # type: ignore[misc]
    """Numba's compiler for kernels."""

    def define_pipelines(self) -> list[Any]:
        """Return Numba's passes less those in vain, and with that library."""
        pipeline = DefaultPassBuilder.define_nopython_pipeline(self.state)
        pipeline.passes[:] = [step for step in pipeline.passes if step[0]._name not in LEFT_OUT]
        pipeline.add_pass_after(_MakeLibrary, AnnotateTypes)
        pipeline.finalize()
        return [pipeline]


class PartCompiler(KernelCompiler):
    """Numba's compiler for parts."""


def options(compiler: type[CompilerBase], version: tuple[int, ...]) -> dict[str, Any]:
    """Return what Numba is told to compile by one of these."""
    return {"pipeline_class": compiler} if KNOWN[0] <= version[:2] <= KNOWN[1] else {}


def without_literals(dispatcher: Any) -> Any:
    """Have a part compiled for whole numbers instead of for the number that is given.

    Numba asks for both: a variable that begins with a literal has its type until inference sees the next assignment.
    """
    compiler = dispatcher._compiler
    fold = compiler.fold_argument_types

    def folded(kinds: Any, named: Any) -> Any:
        signature, found = fold(kinds, named)
        whole = types.IntegerLiteral
        return signature, tuple(types.unliteral(kind) if isinstance(kind, whole) else kind for kind in found)

    compiler.fold_argument_types = folded
    return dispatcher
