"""Compile kernels: the one file that names Numba's options, its cache, and the parallel and serial twins.

A kernel is a plain Python function; `build` makes one variant of it: constants set, helpers marked `part` compiled
with it, one explicit signature, one unique name. The name carries a digest of everything the machine code depends on,
because Numba's cache key does not: its index races between processes and replays code compiled under other options.
"""

from __future__ import annotations

import contextlib
import gc
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
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, TypeVar

import llvmlite
import llvmlite.binding as llvm
import numba
from numba import njit, types

from fastgmm.kernels import launch, target, twins
from fastgmm.kernels.pipelines import KernelCompiler, PartCompiler, options, without_literals

Function = TypeVar("Function", bound=Callable[..., Any])

logger = logging.getLogger("fastgmm")
_lock = threading.RLock()

OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
"""No fastmath: fused multiply-adds are written out, so parallel and serial twins round alike."""

VERSION = tuple(numba.version_info.short)
KERNEL_OPTIONS = OPTIONS | {"no_cfunc_wrapper": True} | options(KernelCompiler, VERSION)
PART_OPTIONS = OPTIONS | {"no_cpython_wrapper": True, "no_cfunc_wrapper": True} | options(PartCompiler, VERSION)

_parts: dict[tuple[Any, ...], Any] = {}
"""Compiled parts by what their code depends on: a part that several kernels have is compiled once in a process."""

CACHE_FAILURES = (OSError, RuntimeError, pickle.UnpicklingError, EOFError, ValueError, AttributeError, ImportError)


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
        return Kernel(_in_python(function, constants))
    with _lock, _without_collections():
        label = "_".join(f"{name}{_value(value)}" for name, value in sorted(constants.items()))
        kinds = hashlib.sha256(repr(signature).encode()).hexdigest()[:8]
        name = f"{function.__name__}_{label}_{kinds}_{digest()}"
        text = _named(_specialised(function, constants, lambda piece: _linked(piece, constants)), name)
        one_part = _compiled(text, numba.void(types.int64, types.int64, *signature), KERNEL_OPTIONS)
        return Kernel(one_part, _launcher(signature, kinds) if mode == "parallel" else None)


def _in_python(function: Any, constants: dict[str, Any]) -> Any:
    """Copy a kernel or a part for plain Python."""
    return _specialised(function, constants, lambda piece: _in_python(piece, constants), vars(twins))


def _linked(piece: Any, constants: dict[str, Any]) -> Any:
    """Make a part for kernels to be linked with: once for all that set the same constants in it."""
    facts = _facts(piece, constants)
    if facts not in _parts:
        name = f"{piece.__name__}_{hashlib.sha256(repr(facts[1]).encode()).hexdigest()[:8]}_{digest()}"
        text = _named(_specialised(piece, constants, lambda inner: _linked(inner, constants)), name)
        inner, counts = getattr(piece, "is_inner", False), getattr(piece, "is_allocating", False)
        made = njit(forceinline=inner, _nrt=counts, **PART_OPTIONS)(text)
        _parts[facts] = without_literals(made) if "pipeline_class" in PART_OPTIONS else made
    return _parts[facts]


def _facts(piece: Any, constants: dict[str, Any]) -> tuple[Any, ...]:
    """Return what a part's code depends on: its text, its constants, its parts."""
    scope = piece.__globals__ | {name: value for name, value in constants.items() if name in piece.__globals__}
    names = [name for name in piece.__code__.co_names if name in scope]
    values = tuple((name, _value(scope[name])) for name in names if name.isupper())
    return piece, values, *(_facts(scope[name], constants) for name in names if getattr(scope[name], "is_part", False))


@contextlib.contextmanager
def _without_collections() -> Iterator[None]:
    """Let the garbage collector rest: it took a tenth of the time to look through the objects that Numba makes.

    Afterwards they count as old ones, or the next collection would go through them all. A process that has frozen
    objects of its own keeps them frozen.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            if not gc.get_freeze_count():
                gc.freeze()
                gc.unfreeze()
            gc.enable()


def _launcher(signature: tuple[Any, ...], kinds: str) -> Any:
    """Compile what runs the parts of kernels of a signature."""
    text = _named(_specialised(launch.launch, {"each": _each()}, lambda piece: piece), f"launch_{kinds}_{digest()}")
    whole = numba.void(types.int64, types.int64, types.Tuple(signature))
    return _compiled(text, whole, KERNEL_OPTIONS)


@lru_cache(maxsize=1)
def _each() -> Any:
    """Make the loop over parts, which all launchers share: Numba takes long to make a loop parallel."""
    text = _named(_specialised(launch.each, {}, lambda piece: piece), f"each_{digest()}")
    return njit(parallel=True, no_cpython_wrapper=True, no_cfunc_wrapper=True, **OPTIONS)(text)


def _value(value: Any) -> str:
    """Name a constant's value, as a part of a symbol: a tuple stands for its length."""
    if isinstance(value, tuple):
        value = len(value)
    text = value.__name__ if isinstance(value, type) else repr(value).replace("-", "m")
    return "".join(c if c.isalnum() else "_" for c in text)


def _specialised(
    function: Any, constants: dict[str, Any], wrap: Callable[[Any], Any], replacements: dict[str, Any] | None = None
) -> Any:
    """Copy a function with constants, wrapped parts and replacements in its globals."""
    scope = dict(function.__globals__)
    names = set(function.__code__.co_names)
    if replacements is not None:
        scope |= {name: value for name, value in replacements.items() if name in names and not name.startswith("__")}
    scope |= {name: value for name, value in constants.items() if name in scope}
    for name in names:
        piece = scope.get(name)
        if getattr(piece, "is_part", False):
            scope[name] = wrap(piece)
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
