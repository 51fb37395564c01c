"""Model files: the same bits back, nothing but ModelFileError from any other bytes, and whole or not at all."""

import errno
import json
import os
import pickle
import resource
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

import fastgmm
from fastgmm import Parameters, load, save, storage, tensors
from fastgmm.errors import ModelFileError
from fastgmm.forms import FORMS

PATH = str(Path(fastgmm.__file__).parents[1])
FACTS = {"n_rows": 3, "columns": ["a", "ü"], "log_likelihood": -1.25, "nested": {"x": [None, True]}}
NAMES = ("weights", "means", "covariances")


def parameters(k=2, d=2):
    rng = np.random.RandomState(0)
    mixing = rng.normal(size=(k, d, d))
    covariances = np.einsum("kde,kfe->kdf", mixing, mixing) + 0.1 * np.eye(d)
    return Parameters(
        rng.dirichlet(np.ones(k)), rng.normal(size=(k, d)), (covariances + covariances.swapaxes(1, 2)) / 2
    )


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "model.fgmm"
    save(parameters(), path, FACTS)
    return path


def write(path, arrays=None, facts="{}", **metadata):
    """A container that is sound, around any arrays and facts."""
    p = parameters()
    arrays = {**{name: getattr(p, name) for name in NAMES}, **(arrays or {})}
    arrays = {name: np.asarray(array) for name, array in arrays.items() if array is not None}
    path.write_bytes(tensors.pack(arrays, {"format": storage.FORMAT, "facts": facts, **metadata}))
    return path


def same(first, second):
    return all(
        getattr(first, name).tobytes() == getattr(second, name).tobytes()
        and getattr(first, name).shape == getattr(second, name).shape
        for name in NAMES
    )


# --- the same bits back ---


@pytest.mark.parametrize(("k", "d"), [(1, 1), (2, 3), (16, 8)])
def test_round_trip_keeps_every_bit(tmp_path, k, d):
    p = parameters(k, d)
    facts = FACTS | {"columns": [f"column {number}" for number in range(d)]}
    save(p, tmp_path / "m", facts)
    found = load(tmp_path / "m")
    assert same(found.parameters, p)
    assert found.facts == facts


@pytest.mark.parametrize("form", FORMS)
def test_every_form_comes_back(tmp_path, form):
    covariances = {"full": np.stack([np.eye(2)] * 3), "tied": np.eye(2), "diag": np.ones((3, 2))}.get(form, np.ones(3))
    p = Parameters(np.full(3, 1 / 3), np.arange(6.0).reshape(3, 2), 2.5 * covariances, form)
    save(p, tmp_path / "m")
    found = load(tmp_path / "m").parameters
    assert (found.form, found.covariances.tobytes()) == (form, p.covariances.tobytes())


@pytest.mark.parametrize("form", ["tied", "diag", "spherical", "round"])
def test_covariances_of_another_form_than_said_are_refused(tmp_path, form):
    arrays = {"weights": np.ones(1), "means": np.zeros((1, 3)), "covariances": np.eye(3)[None]}
    with pytest.raises(ModelFileError, match=r"covariances must have shape|form must be one of"):
        load(write(tmp_path / "m", arrays, form=form))


def test_paths_may_be_text_and_have_spaces_and_letters(tmp_path):
    path = os.fspath(tmp_path / "mödel of old faithful")
    save(parameters(), path)
    assert same(load(path).parameters, parameters())
    assert load(path).facts == {}


def test_fitted_mixture_scores_the_same_bits_after_a_round_trip(tmp_path):
    X = np.random.RandomState(0).normal(size=(200, 2))
    mixture = fastgmm.GaussianMixture(2, random_state=0, max_iter=500).fit(X).mixture_
    save(mixture.parameters, tmp_path / "m")
    found = fastgmm.Mixture(load(tmp_path / "m").parameters)
    np.testing.assert_array_equal(found.log_prob(X), mixture.log_prob(X))


def test_readable_by_safetensors(model):
    found = safetensors.numpy.load_file(model)
    assert set(found) == set(NAMES)
    np.testing.assert_array_equal(found["covariances"], parameters().covariances)


# --- whatever else is in a file ---


def outcome(path):
    try:
        return load(path)
    except ModelFileError as error:
        text = str(error)
    assert "\n" not in text
    assert str(path) in text
    return None


def test_every_truncation_is_refused(model):
    whole = model.read_bytes()
    began = time.perf_counter()
    for n in range(len(whole)):
        model.write_bytes(whole[:n])
        assert outcome(model) is None, n
    assert time.perf_counter() - began < 10


@pytest.mark.parametrize("flip", [0x01, 0x02, 0x0F, 0x20, 0x80, 0xFF])
def test_every_flipped_byte_is_refused_or_harmless(model, flip):
    whole, expected = model.read_bytes(), load(model)
    changed = []
    for n in range(len(whole)):
        altered = bytearray(whole)
        altered[n] ^= flip
        model.write_bytes(altered)
        found = outcome(model)
        if found is not None and not (same(found.parameters, expected.parameters) and found.facts == expected.facts):
            changed.append((n, bytes(altered[max(n - 12, 0) : n + 12])))
    assert changed == []


P = parameters()
SKEW = P.covariances + np.array([[0, 0.1], [0, 0]])
BAD_ARRAYS = {
    "NaN weight": {"weights": [np.nan, 1.0]},
    "NaN mean": {"means": [[np.nan, 0], [0, 0]]},
    "infinite covariance": {"covariances": P.covariances * np.inf},
    "negative weight": {"weights": [-0.5, 1.5]},
    "weights that sum to 2": {"weights": [1.0, 1.0]},
    "weights that sum to 0": {"weights": [0.0, 0.0]},
    "not positive definite": {"covariances": -P.covariances},
    "singular": {"covariances": np.ones((2, 2, 2))},
    "zero covariance": {"covariances": np.zeros((2, 2, 2))},
    "not symmetric": {"covariances": SKEW},
    "no covariances": {"covariances": None},
    "no weights": {"weights": None},
    "one array more": {"secret": np.ones(1)},
    "shapes that do not belong together": {"means": np.zeros((3, 2))},
    "flat means": {"means": np.zeros(2)},
    "no components": {"weights": np.empty(0), "means": np.empty((0, 2)), "covariances": np.empty((0, 2, 2))},
    "no features": {"means": np.empty((2, 0)), "covariances": np.empty((2, 0, 0))},
    "scalars": {"weights": 1.0, "means": 0.0, "covariances": 1.0},
    "integers": {"weights": np.array([1, 0]), "means": np.zeros((2, 2), dtype=np.int64)},
}


@pytest.mark.parametrize("case", BAD_ARRAYS)
def test_arrays_that_are_no_mixture_are_refused(tmp_path, case):
    path = write(tmp_path / "m", BAD_ARRAYS[case])
    if case == "integers":  # numbers of another dtype: either is sound
        outcome(path)
        return
    assert outcome(path) is None


BAD_FACTS = {
    "not JSON": "{",
    "list": "[]",
    "number": "1",
    "null": "null",
    "deep": "[" * 50_000 + "]" * 50_000,
    "digits": '{"n_rows": ' + "9" * 5000 + "}",
}


@pytest.mark.parametrize("case", BAD_FACTS)
def test_facts_that_are_no_object_are_refused(tmp_path, case):
    assert outcome(write(tmp_path / "m", facts=BAD_FACTS[case])) is None


def test_other_formats_are_named(tmp_path):
    with pytest.raises(ModelFileError, match=r"fastgmm-model-9.*fastgmm-model-1"):
        load(write(tmp_path / "m", format="fastgmm-model-9"))


def header_of(text, payload=b""):
    return len(text).to_bytes(8, "little") + text + payload


def checked(header):
    """A header alone, as a file with the right checksum."""
    header["__metadata__"]["sha256"] = tensors.checksum(header, b"")
    return header_of(json.dumps(header).encode())


def hostile_bytes():
    return {
        "empty": b"",
        "text": b"weights,means\n1,2\n",
        "pickle": pickle.dumps({"weights": 1}),
        "harmful pickle": b"\x80\x04cposix\nsystem\n(V touch pwned\ntR.",
        "npy": b"\x93NUMPY\x01\x00" + bytes(80),
        "gzip": b"\x1f\x8b\x08" + bytes(80),
        "zeros": bytes(5000),
        "ones": b"\xff" * 5000,
        "huge length": (1 << 63).to_bytes(8, "little") + bytes(100),
        "deep": header_of(b"[" * 500_000),
        "duplicate keys": header_of(b'{"weights": {}, "weights": {}}'),
        "no arrays": checked({"__metadata__": {"format": storage.FORMAT, "facts": "{}"}}),
        "no facts": checked({"__metadata__": {"format": storage.FORMAT}}),
        "huge sizes": checked(
            {
                "weights": {"dtype": "F64", "shape": [1 << 62, 4], "data_offsets": [0, 0]},
                "__metadata__": {"format": storage.FORMAT, "facts": "{}"},
            }
        ),
    }


@pytest.mark.parametrize("case", hostile_bytes())
def test_other_bytes_are_refused_fast(tmp_path, case):
    path = tmp_path / "m"
    path.write_bytes(hostile_bytes()[case])
    began = time.perf_counter()
    assert outcome(path) is None
    assert time.perf_counter() - began < 10  # a guard against hanging, not a timing


def test_zip_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "m", "w") as archive:
        archive.writestr("weights.npy", bytes(100))
    assert outcome(tmp_path / "m") is None


def test_oversized_file_is_refused_unread(tmp_path):
    with open(tmp_path / "m", "wb") as file:
        file.truncate(storage.SIZE_LIMIT + 1)
    assert outcome(tmp_path / "m") is None


def test_absent_file_and_folder_are_os_errors(tmp_path):
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "absent")
    with pytest.raises((IsADirectoryError, ModelFileError)):
        load(tmp_path)


def test_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    code = "import sys, fastgmm\ntry: fastgmm.load(sys.argv[1])\nexcept (OSError, ValueError) as e: print(e)"
    found = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "pipe"], cwd=PATH, capture_output=True, timeout=6, text=True
    )
    assert found.stdout.strip(), found.stderr


def test_loading_imports_runs_and_connects_nothing(model):
    code = """
import sys
import fastgmm.storage
seen = []
def hook(event, args):
    if event in ("exec", "compile", "marshal.loads", "pickle.find_class", "os.system", "os.exec", "os.posix_spawn") \\
            or event.startswith(("socket.", "subprocess.", "ctypes.", "urllib.")) \\
            or (event == "import" and args[0].split(".")[0] not in ("numpy", "fastgmm")) \\
            or (event == "open" and args[0] != sys.argv[1]):
        seen.append((event, args[:1]))
sys.addaudithook(hook)
for _ in range(2):
    try:
        fastgmm.storage.load(sys.argv[1])
    except ValueError:
        pass
assert not seen, seen
"""
    harmful = model.with_name("harmful")
    harmful.write_bytes(hostile_bytes()["harmful pickle"])
    for path in (model, harmful):
        done = subprocess.run(
            [sys.executable, "-c", code, str(path)], cwd=PATH, capture_output=True, timeout=60, text=True
        )
        assert done.returncode == 0, done.stderr


# --- whole or not at all ---


def failing(code=errno.ENOSPC, kind=OSError):
    def fail(*_, **__):
        raise kind(code, os.strerror(code)) if issubclass(kind, OSError) else kind

    return fail


@pytest.mark.parametrize("step", ["replace", "fsync", "chmod"])
@pytest.mark.parametrize("kind", [OSError, KeyboardInterrupt, MemoryError])
def test_failed_write_leaves_the_old_file_and_no_other(model, monkeypatch, step, kind):
    before = model.read_bytes()
    monkeypatch.setattr(storage.os, step, failing(kind=kind))
    with pytest.raises(kind):
        save(parameters(3, 3), model)
    monkeypatch.undo()
    assert model.read_bytes() == before
    assert os.listdir(model.parent) == [model.name]


def test_full_disk_leaves_the_old_file_and_no_other(model):
    before, limits = model.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        with pytest.raises(OSError, match=os.strerror(errno.EFBIG)):
            save(parameters(), model)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert model.read_bytes() == before
    assert os.listdir(model.parent) == [model.name]


def test_facts_that_json_cannot_say_leave_the_old_file(model):
    before = model.read_bytes()
    with pytest.raises(TypeError):
        save(parameters(), model, {"x": object()})
    assert model.read_bytes() == before


def test_folder_that_is_none_is_named(tmp_path, model):
    with pytest.raises(OSError, match=r"cannot write into .*absent") as caught:
        save(parameters(), tmp_path / "absent" / "m")
    assert isinstance(caught.value, FileNotFoundError)
    with pytest.raises(NotADirectoryError, match="cannot write into"):
        save(parameters(), model / "m")


def test_permissions_are_those_of_a_new_file(tmp_path):
    before = os.umask(0o027)
    try:
        save(parameters(), tmp_path / "m")
    finally:
        os.umask(before)
    assert (tmp_path / "m").stat().st_mode & 0o777 == 0o640


def test_overwriting_replaces_the_whole_file(model):
    save(parameters(1, 1), model)
    assert same(load(model).parameters, parameters(1, 1))
