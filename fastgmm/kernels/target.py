"""What the processor offers: the widths and tile shapes that the kernels are cut to."""

from __future__ import annotations

import platform

import llvmlite.binding as llvm
from numba import config


def _features() -> set[str]:
    """Names of the CPU features that Numba compiles for (``NUMBA_CPU_FEATURES`` overrides the host's)."""
    if config.CPU_FEATURES is not None:
        return {word[1:] for word in config.CPU_FEATURES.split(",") if word.startswith("+")}
    return {name for name, there in llvm.get_host_cpu_features().items() if there}


FEATURES = _features()
IS_X86 = platform.machine().lower() in ("x86_64", "amd64", "i386", "i686")

HAS_FMA = not IS_X86 or "fma" in FEATURES
"""Without it ``llvm.fma`` is a library call per lane, so tiles multiply and add instead."""

WIDE = IS_X86 and "avx512f" in FEATURES

HAS_COMPRESS = WIDE and "avx512vl" in FEATURES
"""Whether chosen lanes can be packed together by one instruction."""

# One panel is PANEL rows × GROUP vectors: 8 × 3 of 64 bytes fill 24 of AVX-512's 32 registers, 4 × 3 of 32 bytes fill
# 12 of AVX2's 16 (24 of NEON's 32, two for a vector); what is left holds 3 vectors and a broadcast.
# Zen 5, one core, GF/s at depth 8 / 16 / 64: 8×3 of 8 lanes 114 / 119 / 123 of a peak near 128.
PANEL = 8 if WIDE else 4
"""Rows of a panel."""

FEW = PANEL // 2
"""Rows of a pair of tiles, sums of z and of z², that stay in registers together."""

LANES = PANEL
"""Numbers of float64 in a vector; of float32 twice as many."""

GROUP = 3
"""Vectors of points that a panel takes at once."""

LINE = 64
"""Bytes of a cache line, at least."""

ACCUMULATORS = 24 if WIDE else 12
"""Vectors that a kernel may hold as running sums without spilling."""
