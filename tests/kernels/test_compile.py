"""The cache of compiled code: hit when it should be, never wrong, and never in the way."""

import logging
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import numba
import numpy as np
import pytest

import fastgmm
from fastgmm.kernels import compile as compiler
from fastgmm.kernels import target, variants

PATH = str(Path(fastgmm.__file__).parents[1])

# Builds a cheap kernel, says whether it came from the cache, and that it is right: scores of two components.
PROBE = """
import sys, logging, numpy as np
logging.basicConfig(format="LOG %(message)s", stream=sys.stdout)
from fastgmm.kernels.variants import distances_kernel
kernel = distances_kernel("serial")
print("HITS", sum(kernel.one_part.stats.cache_hits.values()), sum(kernel.one_part.stats.cache_misses.values()))
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


# All kernels that have tiles of float32, and those that have not, by numbers of features; names end in the precision.
PASSES = """
import sys, numpy as np, fastgmm
from fastgmm.em.passes import BoundedPasses
from fastgmm.rows.memory import ArrayRows
from fastgmm.threads import Team
out = {}
for d in map(int, sys.argv[2].split(",")):
    rng = np.random.RandomState(d)
    k, means = 5, 4 * rng.normal(size=(5, d))
    X = means[rng.randint(k, size=3001)] + rng.normal(size=(3001, d))
    p = fastgmm.Parameters(np.full(k, 1 / k), means, np.repeat(np.eye(d)[None] * 2, k, axis=0))
    labels = rng.randint(k, size=len(X)).astype(np.int32)
    for dtype in (np.float64, np.float32):
        rows, weights = ArrayRows(X.astype(dtype)), rng.uniform(0.5, 2, len(X))
        assert rows.packed(rows.frame.enter(p)).real is dtype
        mixture, team = rows.frame.enter(p), Team(1, "serial")
        found = {"dense": rows.expectation(mixture, team), "labels": rows.expectation(mixture, team, labels=labels)}
        found["weighted"] = ArrayRows(X.astype(dtype), weights).expectation(mixture, team)
        if d > 8:
            steps = BoundedPasses(rows, k, team)
            found |= {"bounded %d" % i: steps.expectation(mixture) for i in range(2)}
            assert steps.evaluated < 0.9
        for name, s in found.items():
            assert dtype is np.float64 or (s.origins == s.origins.astype(np.float32)).all()
            for i, array in enumerate((s.sum_w, s.sum_x, s.sum_xx, np.array(s.log_likelihood))):
                out["%d %s %d %s" % (d, name, i, np.dtype(dtype))] = array
    out["%d score float64" % d] = fastgmm.Mixture(p, 1).log_prob(X)
np.savez(sys.argv[1], **out)
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


OTHERS = {
    "four lanes": {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": "+avx2,+fma,+avx,+sse4.2"},
    "eight lanes without compress": {
        "NUMBA_CPU_NAME": "skylake-avx512",
        "NUMBA_CPU_FEATURES": "+avx512f,+avx512dq,+avx2,+fma,+avx,+sse4.2,-avx512vl",
    },
    "no fma": {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""},
}
"""The second needs AVX-512 to run, the others do with less."""


def passes(path, features, env):
    done = subprocess.run(
        [sys.executable, "-c", PASSES, path, features], env=env, capture_output=True, text=True, timeout=250
    )
    assert done.returncode == 0, done.stderr
    with np.load(path) as file:
        return dict(file)


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    """What this processor finds."""
    path = tmp_path_factory.mktemp("here") / "here.npz"
    return passes(path, "3,20", environment(os.environ.get("FASTGMM_CACHE_DIR")))


@pytest.mark.parametrize("name", OTHERS)
def test_other_processors_find_the_same_numbers(tmp_path, here, name):
    if "+avx512f" in OTHERS[name]["NUMBA_CPU_FEATURES"] and not target.WIDE:
        pytest.skip("this processor has no AVX-512")
    env = environment(os.environ.get("FASTGMM_CACHE_DIR")) | OTHERS[name]
    features = "3,20" if name == "four lanes" else "20"
    there = passes(tmp_path / "there.npz", features, env)
    assert there.keys() == {key for key in here if key.split()[0] in features.split(",")}
    for key in there:
        first = here[key]
        close = 2e-6 if key.endswith("float32") else 1e-13
        np.testing.assert_allclose(there[key], first, rtol=close, atol=close * np.abs(first).max(), err_msg=key)


def test_what_the_other_processors_have(tmp_path):
    """Each stands for a way of compiling that this one may not have."""
    code = "from fastgmm.kernels.target import *; print(LANES, HAS_FMA, HAS_COMPRESS)"
    found = {}
    for name, cpu in OTHERS.items():
        env = environment(tmp_path) | cpu
        done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
        found[name] = done.stdout.strip()
    if target.IS_X86:
        assert found == {
            "four lanes": "4 True False",
            "eight lanes without compress": "8 True False",
            "no fma": "4 False False",
        }


# --- what a variant is made of ---

LANES = 1


@compiler.part
def outer_part():
    return LANES + inner_of_it()


@compiler.inner_part
def inner_of_it():
    return 10 * LANES


def lanes_in(t, parts, result):
    result[0] = outer_part()


@pytest.mark.parametrize("mode", ["serial", "python"])
def test_constants_reach_all_parts_whatever_twins_are_called(mode):
    """`twins` has a global of that name, too."""
    result = np.zeros(1, dtype=np.int64)
    for lanes in (3, 5):
        compiler.build(lanes_in, (numba.int64[::1],), {"LANES": lanes}, mode)(1, result)
        assert result[0] == 11 * lanes
    assert LANES == outer_part() - 10 == 1


def test_constants_of_kernels_reach_plain_python():
    kernel = variants.expectation_kernel(9, np.dtype(np.float32), np.float32, "python")
    names = ("LANES", "WIDTH", "REAL")
    assert [kernel.one_part.__globals__[name] for name in names] == [2 * target.LANES, 6 * target.LANES, np.float32]


def test_parts_are_marked():
    assert outer_part.is_part
    assert not hasattr(outer_part, "is_inner")
    assert inner_of_it.is_part
    assert inner_of_it.is_inner


def test_values_make_names():
    values = [1, -3, 1e300, 1e30, 1 - 2.0**-9, 1 - 2.0**-20, np.float32, np.float64, (0, 0), (0, 0, 0)]
    names = [compiler._value(value) for value in values]
    assert len(set(names)) == len(values)
    assert all(f"x{name}".isidentifier() for name in names)
    assert compiler._value(np.float32) == "float32"
    assert compiler._value((0, 0)) == "2"


def test_variants_of_other_numbers_have_other_names():
    row = np.dtype(np.float32)
    kernels = [variants.expectation_kernel(17, row, real, "serial") for real in (np.float64, np.float32)]
    assert len({kernel.one_part.__name__ for kernel in kernels}) == 2


@pytest.mark.parametrize("build", [variants.expectation_kernel, variants.bounded_kernel])
def test_features_that_share_a_head_share_a_kernel(build):
    row = np.dtype(np.float32)
    kernel = build(17, row, np.float32, "python")
    assert build(17 + target.PANEL, row, np.float32, "python") is kernel
    assert build(18, row, np.float32, "python") is not kernel
    assert build(17, row, np.float64, "python") is not kernel


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


def test_a_kernel_calls_its_own_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Weak symbols are taken from whoever was loaded first: the parts' own libraries, which are not optimised."""
    monkeypatch.setattr(compiler, "cache_folder", lambda: None)
    kernel = variants.diagonal_kernel.__wrapped__("diag", np.dtype(np.float64), np.float64, "serial")
    compiled = next(iter(kernel.one_part.overloads.values()))
    defined = [f for f in compiled.library._final_module.functions if not f.is_declaration]
    assert defined
    assert not [f.name for f in defined if "once" in f.linkage.name]
