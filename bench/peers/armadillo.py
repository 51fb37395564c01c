"""Armadillo's gmm_full, through `armadillo.cpp`: compiled where a compiler and libarmadillo-dev are there."""

from __future__ import annotations

import ctypes
import hashlib
import math
import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

import numpy as np

from bench.peers import Floats, Result
from bench.start import Start

LABEL = "Armadillo"

SOURCE = Path(__file__).with_name("armadillo.cpp")
OPTIONS = ("-O3", "-march=native", "-fopenmp", "-DNDEBUG", "-DARMA_NO_DEBUG", "-DARMA_DONT_USE_WRAPPER")
# Debian ships the libraries without the plain names unless their -dev packages are there.
LIBRARIES = (("-lopenblas",), ("-lblas", "-llapack"), ("-l:libblas.so.3", "-l:liblapack.so.3"))


def version() -> str:
    """Return the version of the library."""
    library = _library()
    assert library is not None  # `available` said so
    library.version.restype = ctypes.c_char_p
    return str(library.version().decode()).split(" ")[0]


def available() -> bool:
    """Compile the source; say whether that worked."""
    return _library() is not None


def threads(n: int) -> dict[str, str]:
    """Return the variable for OpenMP."""
    return {"OMP_NUM_THREADS": str(n)}


def fit(X: Floats, start: Start, iterations: int) -> Result:
    """Run that many EM iterations from the start. Its log-likelihood is not told."""
    library = _library()
    assert library is not None  # `available` said so
    weights, means, covariances = (np.array(a) for a in (start.weights, start.means, start.covariances))
    pointers = [array.ctypes.data_as(ctypes.c_void_p) for array in (X, weights, means, covariances)]
    shape = [ctypes.c_long(n) for n in (*X.shape, len(weights), iterations)]
    if not library.fit(pointers[0], *shape, *pointers[1:]):
        raise RuntimeError("gmm_full::learn failed.")
    return Result(math.nan, weights, means, covariances)


@cache
def _library() -> ctypes.CDLL | None:
    """Return the compiled source, from the user's cache if it is there, or None if it cannot be compiled here."""
    compiler = shutil.which("g++") or shutil.which("c++")
    if compiler is None:
        return None
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "fastgmm-bench")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    digest = hashlib.sha256(SOURCE.read_bytes() + repr((compiler, OPTIONS)).encode()).hexdigest()[:12]
    target = folder / f"armadillo-{digest}.so"
    if not target.exists() and not _compiled(compiler, target):
        return None
    return ctypes.CDLL(str(target))


def _compiled(compiler: str, target: Path) -> bool:
    """Compile the source against the first libraries that are there; say whether that worked."""
    unfinished = target.with_suffix(f".{os.getpid()}")
    for libraries in LIBRARIES:
        command = [compiler, *OPTIONS, "-shared", "-fPIC", str(SOURCE), "-o", str(unfinished), *libraries]
        if subprocess.run(command, capture_output=True, check=False).returncode == 0:
            unfinished.replace(target)
            return True
    return False
