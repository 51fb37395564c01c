"""The cache of compiled code: hit when it should be, never wrong, and never in the way."""

import logging
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import fastgmm
from fastgmm.kernels import compile as compiler

PATH = str(Path(fastgmm.__file__).parents[1])

# Builds a cheap kernel, says whether it came from the cache, and that it is right: scores of two components.
PROBE = """
import sys, logging, numpy as np
logging.basicConfig(format="LOG %(message)s", stream=sys.stdout)
from fastgmm.kernels.variants import distances_kernel
kernel = distances_kernel("serial")
print("HITS", sum(kernel.stats.cache_hits.values()), sum(kernel.stats.cache_misses.values()))
from fastgmm import Mixture, Parameters
X = np.linspace(-3, 3, 32).reshape(16, 2)
found = Mixture(Parameters([1.0], np.zeros((1, 2)), np.eye(2)[None]), 1).log_prob(X)
assert np.allclose(found, -np.log(2 * np.pi) - (X * X).sum(axis=1) / 2, rtol=1e-14), found
print("RIGHT")
"""

STATISTICS = """
import sys, numpy as np, fastgmm
out = []
for d in map(int, sys.argv[2].split(",")):
    rng = np.random.RandomState(d)
    X, k = rng.normal(size=(3000, d)), 5
    p = fastgmm.Parameters(np.full(k, 1 / k), rng.normal(size=(k, d)), np.repeat(np.eye(d)[None] * 2, k, axis=0))
    s = fastgmm.expectation(X, p, n_threads=1)
    out += [s.sum_w, s.sum_x, s.sum_xx, np.array(s.log_likelihood)]
    out.append(fastgmm.Mixture(p, 1).log_prob(X))
np.savez(sys.argv[1], *out)
"""


def environment(cache=None, **more):
    others = {name: value for name, value in os.environ.items() if name not in ("FASTGMM_CACHE_DIR", "NUMBA_CACHE_DIR")}
    others["PYTHONPATH"] = os.pathsep.join([PATH, os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    if cache is not None:
        others["FASTGMM_CACHE_DIR"] = str(cache)
    return others | more


def probe(env):
    done = subprocess.run([sys.executable, "-c", PROBE], env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "RIGHT" in done.stdout
    hits = next(line.split()[1:] for line in done.stdout.splitlines() if line.startswith("HITS"))
    logs = [line for line in (done.stdout + done.stderr).splitlines() if "not cached" in line]
    return int(hits[0]), logs


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """A cache folder with the probe's kernels."""
    folder = tmp_path_factory.mktemp("filled")
    assert probe(environment(folder)) == (0, [])
    return folder


@pytest.fixture
def cache(filled, tmp_path):
    """A copy of the filled cache folder."""
    copy = tmp_path / "cache"
    shutil.copytree(filled, copy)
    copy.chmod(0o700)
    return copy


def test_second_process_finds_the_code(cache):
    before = sorted(cache.rglob("*.nb?"))
    assert probe(environment(cache)) == (1, [])
    assert sorted(cache.rglob("*.nb?")) == before
    assert all(compiler.digest() in path.name for path in before)


def test_folder_is_made_private(tmp_path):
    probe(environment(tmp_path / "new" / "deep"))
    assert stat.S_IMODE((tmp_path / "new" / "deep").stat().st_mode) == 0o700
    assert list((tmp_path / "new" / "deep").rglob("*.nbc"))


def test_numbas_own_setting_is_the_second_choice(cache):
    assert probe(environment(NUMBA_CACHE_DIR=str(cache))) == (1, [])


@pytest.mark.parametrize(
    ("kind", "content"),
    [("*.nbc", "half"), ("*.nbc", "empty"), ("*.nbi", "half"), ("*.nbi", "text"), ("*.nbi", "zeros")],
)
def test_damaged_files_are_compiled_again(cache, kind, content):
    for path in cache.rglob(kind):
        whole = path.read_bytes()
        path.write_bytes(
            {"half": whole[: len(whole) // 2], "empty": b"", "zeros": bytes(200), "text": b"not a cache file\n"}[
                content
            ]
        )
    hits, logs = probe(environment(cache))
    assert hits == 0
    assert len(logs) <= 2  # kernels of the probe


@pytest.mark.parametrize("mode", [0o777, 0o720])
def test_folder_that_others_may_write_to_is_refused(cache, mode):
    cache.chmod(mode)
    hits, logs = probe(environment(cache))
    assert hits == 0
    assert len(logs) == 1
    assert str(cache) in logs[0]


def test_folder_that_cannot_be_made_is_done_without(tmp_path):
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file" / "cache", "/proc/fastgmm"):
        hits, logs = probe(environment(folder))
        assert (hits, len(logs)) == (0, 1)


def test_no_home_is_done_without():
    env = environment(HOME="/proc/nowhere")
    env.pop("XDG_CACHE_HOME", None)
    hits, logs = probe(env)
    assert (hits, len(logs)) == (0, 1)


def test_no_user_at_all(monkeypatch, caplog):
    def nobody():
        raise RuntimeError("Could not determine home directory.")

    for name in ("FASTGMM_CACHE_DIR", "NUMBA_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(compiler.Path, "home", nobody)
    compiler._log_once.cache_clear()
    with caplog.at_level(logging.WARNING, "fastgmm"):
        assert compiler.cache_folder.__wrapped__() is None
        assert compiler.cache_folder.__wrapped__() is None
    assert len(caplog.records) == 1


def test_full_disk_is_done_without(tmp_path):
    limited = "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (500, 500))\n" + PROBE
    folder = tmp_path / "cache"
    done = subprocess.run(
        [sys.executable, "-c", limited], env=environment(folder), capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert "RIGHT" in done.stdout
    assert probe(environment(folder))[0] == 0


def statistics(path, features, env, wait=True):
    process = subprocess.Popen(
        [sys.executable, "-c", STATISTICS, path, features], env=env, stderr=subprocess.PIPE, text=True
    )
    return finished(process, path) if wait else process


def finished(process, path):
    _, err = process.communicate(timeout=200)
    assert process.returncode == 0, err
    with np.load(path) as file:
        return [file[name] for name in file.files]


def test_processes_that_compile_at_once_are_all_right(tmp_path):
    """Numba's own index mixes up variants that are compiled together; unique names must not."""
    env = environment(tmp_path / "cache")
    work = {"a": "2", "b": "3", "c": "2"}
    paths = {name: tmp_path / f"{name}.npz" for name in work}
    running = {name: statistics(paths[name], d, env, wait=False) for name, d in work.items()}
    found = {name: finished(process, paths[name]) for name, process in running.items()}
    expected = statistics(tmp_path / "expected.npz", "2,3", environment(os.environ.get("FASTGMM_CACHE_DIR")))
    later = statistics(tmp_path / "later.npz", "2,3", env)
    turned = statistics(tmp_path / "turned.npz", "3,2", env)
    half = len(turned) // 2
    loaded = (later, turned[half:] + turned[:half])  # code of several processes, in one: no helper may be mixed up
    for arrays in (*loaded, found["a"] + found["b"], found["c"] + found["b"]):
        for first, second in zip(arrays, expected, strict=True):
            np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize(
    "cpu",
    [
        {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": "+avx2,+fma,+avx,+sse4.2"},
        {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""},
    ],
    ids=["four lanes", "no fma"],
)
def test_other_processors_find_the_same_numbers(tmp_path, cpu):
    env = environment(os.environ.get("FASTGMM_CACHE_DIR"))
    here = statistics(tmp_path / "here.npz", "3,16", env)
    there = statistics(tmp_path / "there.npz", "3,16", env | cpu)
    for first, second in zip(here, there, strict=True):
        np.testing.assert_allclose(second, first, rtol=1e-13, atol=1e-13 * np.abs(first).max())


# --- the digest ---


def test_digest_is_stable():
    assert compiler.digest.__wrapped__() == compiler.digest()
    assert len(compiler.digest()) == 12


def test_digest_changes_with_any_kernel_source(tmp_path, monkeypatch):
    shutil.copytree(Path(compiler.__file__).parent, tmp_path / "kernels")
    monkeypatch.setattr(compiler, "__file__", str(tmp_path / "kernels" / "compile.py"))
    assert compiler.digest.__wrapped__() == compiler.digest()
    for path in (tmp_path / "kernels").glob("*.py"):
        before = path.read_bytes()
        path.write_bytes(before + b"\n")
        assert compiler.digest.__wrapped__() != compiler.digest(), path.name
        path.write_bytes(before)


def test_digest_changes_with_options_and_machine(monkeypatch):
    changes = [
        (compiler, "OPTIONS", compiler.OPTIONS | {"fastmath": True}),
        (compiler.numba, "__version__", "0.0"),
        (compiler.llvmlite, "__version__", "0.0"),
        (compiler.target, "FEATURES", {"none"}),
        (compiler.numba.config, "CPU_NAME", "generic"),
        (compiler.numba.config, "BOUNDSCHECK", 1),
        (compiler.numba.config, "OPT", 1),
    ]
    digests = {compiler.digest()}
    for home, name, value in changes:
        with monkeypatch.context() as patch:
            patch.setattr(home, name, value)
            digests.add(compiler.digest.__wrapped__())
    assert len(digests) == len(changes) + 1


def test_numbas_cache_folder_is_left_as_it_was(tmp_path):
    before = compiler.numba.config.CACHE_DIR
    with compiler._cache_in(tmp_path):
        assert str(tmp_path) == compiler.numba.config.CACHE_DIR
    assert before == compiler.numba.config.CACHE_DIR
