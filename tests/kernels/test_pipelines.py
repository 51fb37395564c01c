"""Parts: compiled once in a process for all kernels with the same constants, and code only within kernels."""

from __future__ import annotations

import gc
from typing import Any

import numba
import numpy as np
import pytest

from fastgmm.kernels import compile as compiler
from fastgmm.kernels.pipelines import KernelCompiler, PartCompiler, options

STEP = 1


@compiler.part
def climbed(start: int, size: int) -> int:
    while start < size:
        start += STEP
    return start


@compiler.part
def climbed_twice(size: int) -> int:
    return climbed(0, size) + climbed(size - 1, size)


def climb(t: int, parts: int, result: Any) -> None:
    start = 0
    for i in range(result.size):
        start = climbed(start, 3 * i)
        result[i] = start


def climb_twice(t: int, parts: int, result: Any) -> None:
    for i in range(result.size):
        result[i] = climbed_twice(3 * i)


@pytest.fixture(autouse=True)
def parts(monkeypatch: pytest.MonkeyPatch) -> dict[Any, Any]:
    """No parts but those that a test compiles, and no cache."""
    monkeypatch.setattr(compiler, "_parts", {})
    monkeypatch.setattr(compiler, "cache_folder", lambda: None)
    return compiler._parts


def run(text: Any, step: int, mode: str) -> list[int]:
    result = np.zeros(4, dtype=np.int64)
    compiler.build(text, (numba.int64[::1],), {"STEP": step}, mode)(1, result)
    return result.tolist()


def test_kernels_share_parts_with_the_same_constants(parts: dict[Any, Any]) -> None:
    assert run(climb, 2, "serial") == run(climb, 2, "python") == [0, 4, 6, 10]
    assert len(parts) == 1
    assert run(climb_twice, 2, "serial") == run(climb_twice, 2, "python")
    assert len(parts) == 2
    assert run(climb, 5, "serial") == run(climb, 5, "python") == [0, 5, 10, 10]
    assert len(parts) == 3
    assert len({part.__name__ for part in parts.values()}) == 3


def test_a_part_is_compiled_once_though_its_argument_begins_as_a_literal(parts: dict[Any, Any]) -> None:
    run(climb, 2, "serial")
    (part,) = parts.values()
    assert [signature.args for signature in part.nopython_signatures] == [(numba.int64, numba.int64)]


def test_parts_are_not_code_of_their_own(parts: dict[Any, Any]) -> None:
    run(climb_twice, 2, "serial")
    for part in parts.values():
        (compiled,) = part.overloads.values()
        name = compiled.fndesc.llvm_func_name
        assert compiled.library.get_pointer_to_function(name) == 0
        assert not compiled.library._codegen._engine.is_symbol_defined(name)


@pytest.mark.parametrize("version", [(0, 60), (0, 69), (1, 0)])
def test_other_versions_of_numba_compile_by_themselves(
    version: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, made in (("KERNEL_OPTIONS", KernelCompiler), ("PART_OPTIONS", PartCompiler)):
        known = getattr(compiler, name)
        assert known == known | options(made, (0, 68))
        assert options(made, version) == {}
        others = {option: value for option, value in known.items() if option != "pipeline_class"}
        monkeypatch.setattr(compiler, name, others)
    for text in (climb, climb_twice):
        assert run(text, 3, "serial") == run(text, 3, "python")


@pytest.mark.parametrize("enabled", [True, False])
def test_the_collector_is_left_as_it_was(enabled: bool) -> None:
    before = gc.isenabled()
    frozen = gc.get_freeze_count()
    try:
        (gc.enable if enabled else gc.disable)()
        run(climb, 3, "serial")
        assert gc.isenabled() is enabled
        assert gc.get_freeze_count() == frozen
    finally:
        (gc.enable if before else gc.disable)()


def test_what_the_process_has_frozen_stays_frozen() -> None:
    gc.freeze()
    try:
        before = gc.get_freeze_count()
        run(climb, 4, "serial")
        assert gc.get_freeze_count() > before // 2  # some are deleted meanwhile
    finally:
        gc.unfreeze()
