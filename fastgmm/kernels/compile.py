"""Compile kernels: the one file that names Numba's options, its cache, and the parallel and serial twins.

A kernel is a plain Python function; `build` makes one variant of it: constants set, helpers marked `part` compiled
with it, one explicit signature, one unique name. The name carries a digest of everything the machine code depends on,
because Numba's cache key does not: its index races between processes and replays code compiled under other options.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import pickle
import platform
import stat
import sys
import threading
import types as pytypes
from collections.abc import Callable, Iterator
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import Any, TypeVar

import llvmlite
import llvmlite.binding as llvm
import numba
from numba import njit, types
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.compiler_machinery import LoweringPass, register_pass
from numba.core.typed_passes import AnnotateTypes

from fastgmm.kernels import launch, target, twins

Function = TypeVar("Function", bound=Callable[..., Any])

logger = logging.getLogger("fastgmm")
_lock = threading.RLock()

OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
"""No fastmath: fused multiply-adds are written out, so parallel and serial twins round alike."""

CACHE_FAILURES = (OSError, RuntimeError, pickle.UnpicklingError, EOFError, ValueError, AttributeError, ImportError)


@register_pass(mutates_CFG=False, analysis_only=False)
class _LeaveToKernel(LoweringPass):
    """Make a part's code library one that is not optimised: the kernel that it is linked into is, as a whole.

    Numba would optimise a part again at every level of its callers: D = 16, 17 % of the compile time.
    """

    _name = "fastgmm_leave_to_kernel"

    def __init__(self) -> None:
        LoweringPass.__init__(self)

    def run_pass(self, state: Any) -> bool:
        library = state.targetctx.codegen().create_library(state.func_id.func_qualname)
        library.enable_object_caching()
        if hasattr(library, "_optimize_final_module"):  # Numba's own name: without it parts are optimised as ever
            library._optimize_final_module = lambda: None
        state.library = library
        return True


class _PartCompiler(CompilerBase):
    """Numba's compiler with that pass before the code is generated."""

    def define_pipelines(self) -> list[Any]:
        pipeline = DefaultPassBuilder.define_nopython_pipeline(self.state)
        pipeline.add_pass_after(_LeaveToKernel, AnnotateTypes)
        pipeline.finalize()
        return [pipeline]


@register_pass(mutates_CFG=False, analysis_only=False)
class _KeepParts(LoweringPass):
    """Have a kernel call its own copies of its parts, which were optimised with it.

    Symbols of parts are weak, and the first ones loaded win: in the process that compiled them the parts' own, which
    are not optimised. There a spherical pass, D = 16, K = 32, took 1.2 times as long as from the cache.
    """

    _name = "fastgmm_keep_parts"

    def __init__(self) -> None:
        LoweringPass.__init__(self)

    def run_pass(self, state: Any) -> bool:
        library = state.targetctx.codegen().create_library(state.func_id.func_qualname)
        library.enable_object_caching()
        optimise: Any = getattr(library, "_optimize_final_module", None)  # Numba's own name, as above

        def optimise_and_keep() -> None:
            optimise()
            for function in library._final_module.functions:
                if not function.is_declaration and function.linkage == llvm.Linkage.linkonce_odr:
                    function.linkage = llvm.Linkage.internal

        if optimise is not None:
            library._optimize_final_module = optimise_and_keep
        state.library = library
        return True


class _KernelCompiler(CompilerBase):
    """Numba's compiler with that pass before the code is generated."""

    def define_pipelines(self) -> list[Any]:
        pipeline = DefaultPassBuilder.define_nopython_pipeline(self.state)
        pipeline.add_pass_after(_KeepParts, AnnotateTypes)
        pipeline.finalize()
        return [pipeline]


def part(function: Function) -> Function:
    """Mark a function that is compiled together with the kernels that call it."""
    function.__dict__["is_part"] = True
    return function


def inner_part(function: Function) -> Function:
    """Mark a part that is always inlined: it takes or returns tiles, which a call passes through memory."""
    function.__dict__["is_inner"] = True
    return part(function)


def allocating_part(function: Function) -> Function:
    """Mark a part that makes arrays. Other parts count no references: an array's owner outlives them.

    Counting took 20 cycles an array wherever branches kept LLVM from pairing what it could remove.
    """
    function.__dict__["is_allocating"] = True
    return part(function)


class Kernel:
    """A kernel that can be called as ``kernel(parts, *arguments)``: its work is done in so many parts."""

    def __init__(self, one_part: Any, launcher: Any = None) -> None:
        self.one_part, self._launcher = one_part, launcher

    @cached_property
    def address(self) -> Any:
        """Where the machine code of one part is; the function itself where there is none."""
        return _address(self.one_part)

    @cached_property
    def launch_address(self) -> Any:
        """Where the machine code is that runs parts on threads; 0 for a kernel that uses none."""
        return 0 if self._launcher is None else _address(self._launcher)

    def __call__(self, parts: int, *arguments: Any) -> None:
        """Do all parts, one after the other or on Numba's threads."""
        if self._launcher is not None:
            self._launcher(self.address, parts, arguments)
            return
        for part in range(parts):
            self.one_part(part, parts, *arguments)


def _address(function: Any) -> Any:
    if not hasattr(function, "overloads"):
        return function
    compiled = next(iter(function.overloads.values()))
    return compiled.library.get_pointer_to_function(compiled.fndesc.llvm_func_name)


def build(function: Any, signature: tuple[Any, ...], constants: dict[str, Any], mode: str) -> Kernel:
    """Compile one variant of a kernel.

    Parameters
    ----------
    function : callable
        The kernel's Python text, for one part of the work: ``function(part, parts, *arguments)``.
    signature : tuple of Numba types
        Of the other arguments; it returns nothing.
    constants : dict
        Values for the capital globals of the text and of its parts.
    mode : {"parallel", "serial", "python"}
        Threads over parts of the blocks, one thread without the GIL, or no JIT at all.
    """
    if mode == "python":
        return Kernel(_specialised(function, constants, lambda piece: piece, vars(twins)))
    with _lock:
        label = "_".join(f"{name}{_value(value)}" for name, value in sorted(constants.items()))
        kinds = hashlib.sha256(repr(signature).encode()).hexdigest()[:8]
        name = f"{function.__name__}_{label}_{kinds}_{digest()}"
        # Parts take their kernel's name: Numba mangles a function by name and a count, so that equal names from kernels
        # compiled in different processes would be linked to each other when both are loaded.
        helper = partial(njit, pipeline_class=_PartCompiler, no_cpython_wrapper=True, no_cfunc_wrapper=True, **OPTIONS)

        def wrap(piece: Any) -> Any:
            inner, counts = getattr(piece, "is_inner", False), getattr(piece, "is_allocating", False)
            return helper(forceinline=inner, _nrt=counts)(_named(piece, f"{piece.__name__}_in_{name}"))

        text = _named(_specialised(function, constants, wrap, {}), name)
        options = OPTIONS | {"pipeline_class": _KernelCompiler}
        one_part = _compiled(text, numba.void(types.int64, types.int64, *signature), options)
        return Kernel(one_part, _launcher(signature, kinds) if mode == "parallel" else None)


def _launcher(signature: tuple[Any, ...], kinds: str) -> Any:
    """Compile the loop over parts for kernels of a signature."""
    text = _named(_specialised(launch.launch, {}, lambda piece: piece, {}), f"launch_{kinds}_{digest()}")
    whole = numba.void(types.int64, types.int64, types.Tuple(signature))
    return _compiled(text, whole, OPTIONS | {"parallel": True})


def _value(value: Any) -> str:
    """Name a constant's value, as a part of a symbol: a tuple stands for its length."""
    if isinstance(value, tuple):
        value = len(value)
    text = value.__name__ if isinstance(value, type) else repr(value).replace("-", "m")
    return "".join(c if c.isalnum() else "_" for c in text)


def _specialised(
    function: Any, constants: dict[str, Any], wrap: Callable[[Any], Any], replacements: dict[str, Any]
) -> Any:
    """Copy a function with constants, parts and replacements in its globals."""
    scope = dict(function.__globals__)
    names = set(function.__code__.co_names)
    scope |= {name: value for name, value in replacements.items() if name in names and not name.startswith("__")}
    scope |= {name: value for name, value in constants.items() if name in scope}
    for name in names:
        piece = scope.get(name)
        if getattr(piece, "is_part", False):
            scope[name] = wrap(_specialised(piece, constants, wrap, replacements))
    copy = pytypes.FunctionType(function.__code__, scope, function.__name__, function.__defaults__)
    copy.__module__ = function.__module__
    copy.__dict__.update(function.__dict__)
    copy.__qualname__ = function.__qualname__
    return copy


def _named(function: Any, name: str) -> Any:
    """Rename a function, its code object included."""
    function.__name__ = function.__qualname__ = name
    function.__code__ = function.__code__.replace(co_name=name, co_qualname=name)
    return function


def _compiled(text: Any, signature: Any, options: dict[str, Any]) -> Any:
    """Compile from or into the private cache; on any trouble with the cache, without one."""
    folder = cache_folder()
    if folder is None:
        return njit(signature, **options)(text)
    for damaged in (False, True):
        try:
            with _cache_in(folder), _one_at_a_time(folder / f"{text.__name__}.lock"):
                if damaged:
                    _remove(folder, text.__name__)
                return njit(signature, cache=True, **options)(text)
        except CACHE_FAILURES as error:
            problem = error
    _log_once(f"compiled code is not cached in {folder}: {problem}")
    return njit(signature, **options)(text)


def _remove(folder: Path, name: str) -> None:
    """Remove a kernel's cache files, which may be damaged."""
    for path in folder.rglob(f"*{name}*.nb?"):
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def _cache_in(folder: Path) -> Iterator[None]:
    """Point Numba's cache at `folder` while a dispatcher is made."""
    before = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = str(folder)
    try:
        yield
    finally:
        numba.config.CACHE_DIR = before


@contextlib.contextmanager
def _one_at_a_time(path: Path) -> Iterator[None]:
    """Let one process compile a kernel while others wait for its file. Without locks all compile: slower, as right."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    with open(path, "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@lru_cache(maxsize=1)
def cache_folder() -> Path | None:
    """Folder for compiled code: private to the user, or None.

    ``FASTGMM_CACHE_DIR``, else ``NUMBA_CACHE_DIR``, else the user's cache folder. A cache is executable code, so a
    folder that others may write to is refused.
    """
    given = os.environ.get("FASTGMM_CACHE_DIR") or os.environ.get("NUMBA_CACHE_DIR")
    try:
        folder = Path(given) if given else _user_cache() / "fastgmm"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = folder.stat()
        if hasattr(os, "getuid") and (status.st_uid != os.getuid() or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)):
            _log_once(f"compiled code is not cached: {folder} can be written by others")
            return None
    except (OSError, RuntimeError) as error:
        _log_once(f"compiled code is not cached: {error}")
        return None
    return folder


def _user_cache() -> Path:
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


@lru_cache(maxsize=1)
def digest() -> str:
    """Twelve hexadecimal digits that change with anything the machine code depends on."""
    content = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        content.update(path.read_bytes())
    config = numba.config
    facts = (
        numba.__version__, llvmlite.__version__, platform.python_version(), sys.platform, platform.machine(),
        config.CPU_NAME or llvm.get_host_cpu_name(), sorted(target.FEATURES), sorted(OPTIONS.items()), config.OPT,
        config.LOOP_VECTORIZE, config.SLP_VECTORIZE, config.BOUNDSCHECK, config.DEBUGINFO_DEFAULT,
    )  # fmt: skip
    content.update(repr(facts).encode())
    return content.hexdigest()[:12]


@lru_cache(maxsize=64)
def _log_once(message: str) -> None:
    logger.warning(message)
