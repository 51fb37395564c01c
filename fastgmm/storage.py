"""Model files: data only, written atomically, checked when read. Nothing in a file is ever executed."""

from __future__ import annotations

import json
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fastgmm import tensors
from fastgmm.errors import ModelFileError
from fastgmm.files import write_atomically
from fastgmm.parameters import Parameters

FORMAT = "fastgmm-model-1"
SIZE_LIMIT = 1 << 34
"""Bytes of a file that are read at most."""


@dataclass(frozen=True, eq=False)
class Model:
    """What a model file holds: the parameters, and facts about the fit that JSON can say."""

    parameters: Parameters
    facts: dict[str, Any]


def save(parameters: Parameters, path: str | os.PathLike[str], facts: dict[str, Any] | None = None) -> None:
    """Write a model file (the safetensors layout), whole or not at all.

    Parameters
    ----------
    parameters : Parameters
    path : path-like
        Replaced if it exists.
    facts : dict, optional
        What JSON can hold: number of rows, log-likelihood, column names.

    Raises
    ------
    OSError
        If the file cannot be written; what was there before stays.
    """
    arrays = {"weights": parameters.weights, "means": parameters.means, "covariances": parameters.covariances}
    content = tensors.pack(arrays, {"format": FORMAT, "form": parameters.form, "facts": json.dumps(facts or {})})
    write_atomically(path, content)


def load(path: str | os.PathLike[str]) -> Model:
    """Read a model file.

    Raises
    ------
    ModelFileError
        If it is not a whole, unaltered fastgmm model; the message says why.
    OSError
        If it cannot be read.
    """
    facts = os.stat(path)
    if not stat.S_ISREG(facts.st_mode):
        raise ModelFileError(f"{path} is not a file; name the one that fastgmm fit has written")
    if facts.st_size > SIZE_LIMIT:
        raise ModelFileError(f"{path} has {facts.st_size} bytes, more than any model; is it the data file?")
    try:
        arrays, metadata = tensors.unpack(Path(path).read_bytes())
        if metadata.get("format") != FORMAT:
            raise ValueError(f"its format is {metadata.get('format')!r}, not {FORMAT!r}")
        tensors.require_float64(arrays)
        notes = json.loads(metadata["facts"])
        parameters = Parameters(**arrays, form=metadata.get("form", "full"))
        _check(parameters)
        _check_facts(notes, parameters)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ModelFileError(f"{path} is not a usable fastgmm model: {_one_line(error)}.") from None
    return Model(parameters, notes)


def _check(parameters: Parameters) -> None:
    for name in ("weights", "means", "covariances"):
        if not np.isfinite(getattr(parameters, name)).all():
            raise ValueError(f"{name} are not all finite")
    if parameters.means.size == 0:
        raise ValueError("it has no components or no features")
    if (parameters.weights < 0).any() or abs(parameters.weights.sum() - 1.0) > 1e-6:
        raise ValueError("its weights do not sum to one")
    if not np.array_equal(parameters.matrices, parameters.matrices.swapaxes(1, 2)):
        raise ValueError("its covariances are not symmetric")
    try:
        np.linalg.cholesky(parameters.matrices)  # not `parameters.factors`: reading a file compiles nothing
    except np.linalg.LinAlgError:
        raise ValueError("its covariances are not positive definite") from None


def _check_facts(facts: Any, parameters: Parameters) -> None:
    if not isinstance(facts, dict):
        raise ValueError("its facts are not a JSON object")
    columns = facts.get("columns")
    named = isinstance(columns, list) and all(isinstance(name, str) for name in columns)
    if columns is not None and not (named and len(columns) == parameters.n_features):
        raise ValueError(f"its columns are not {parameters.n_features} names")


def _one_line(error: Exception) -> str:
    return f"it has no {error}" if isinstance(error, KeyError) else str(error).splitlines()[0].rstrip(".")
