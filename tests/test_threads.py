"""Teams: parallel kernels where they are safe, serial ones elsewhere, and the same bits from all of them."""

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numba
import numpy as np
import pytest

import fastgmm
from fastgmm import GaussianMixture, threads
from fastgmm.threads import Team, available, team

PATH = str(Path(fastgmm.__file__).parents[1])
ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join([PATH, os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)}
PARALLEL = min(2, numba.config.NUMBA_NUM_THREADS)

COMMON = """
import os, sys, numpy as np
from fastgmm import GaussianMixture
X = np.random.RandomState(0).normal(size=(60_000, 3))
def fitted(n_threads=None):
    gm = GaussianMixture(3, tol=0.01, random_state=0, init_params="random_from_data", n_threads=n_threads).fit(X)
    return b"".join(a.tobytes() for a in (gm.means_, gm.covariances_, np.float64(gm.lower_bound_), gm.score_samples(X)))
"""


def run(code):
    done = subprocess.run(
        [sys.executable, "-c", COMMON + code], env=ENVIRONMENT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, (done.returncode, done.stderr)
    return done.stdout


def in_thread(function):
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function).result()


# --- the rules ---


def test_main_thread_gets_parallel_kernels():
    assert team(PARALLEL) == Team(PARALLEL, "parallel" if PARALLEL > 1 else "serial")
    assert team(1) == Team(1, "serial")


def test_other_threads_get_serial_kernels():
    assert in_thread(lambda: team(2)) == Team(2, "serial")
    assert in_thread(team).mode == "serial"


def test_workers_get_one_serial_thread(monkeypatch):
    monkeypatch.delenv("FASTGMM_NUM_THREADS", raising=False)
    monkeypatch.setenv("LOKY_WORKER", "1")
    assert team() == Team(1, "serial")
    assert team(2) == Team(2, "serial")


def test_forked_children_get_serial_kernels(monkeypatch):
    monkeypatch.setattr(threads, "_forked", True)
    assert team(2) == Team(2, "serial")
    assert team().mode == "serial"


def test_more_threads_than_numba_has_are_pythons():
    n = numba.config.NUMBA_NUM_THREADS + 1
    assert team(n) == Team(n, "serial")


@pytest.mark.parametrize("value", [0, -1, 1.0, 1.5, "2", True, [2]])
def test_bad_numbers_of_threads(value):
    with pytest.raises(ValueError, match="n_threads must be a positive integer or None, but is"):
        team(value)
    with pytest.raises(ValueError, match="n_threads must be a positive integer"):
        GaussianMixture(n_threads=value).fit(np.eye(3))


def test_numpy_integers_are_integers():
    assert team(np.int64(1)) == Team(1, "serial")
    assert type(team(np.int64(2)).size) is int


def test_environment_variable(monkeypatch):
    monkeypatch.setenv("FASTGMM_NUM_THREADS", "1")
    assert team() == Team(1, "serial")
    assert team(PARALLEL).size == PARALLEL
    monkeypatch.setenv("FASTGMM_NUM_THREADS", "")
    assert team().size == available()


@pytest.mark.parametrize("setting", ["0", "-1", "two", "1.5", " "])
def test_bad_environment_variable(monkeypatch, setting):
    monkeypatch.setenv("FASTGMM_NUM_THREADS", setting)
    with pytest.raises(ValueError, match="FASTGMM_NUM_THREADS must be a positive integer, but is"):
        team()


def test_available_respects_limits(monkeypatch):
    for name in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    assert 1 <= available() <= os.cpu_count()
    monkeypatch.setattr(threads, "_control_group_quota", lambda: 0.5)
    assert available() == 1
    monkeypatch.setattr(threads, "_control_group_quota", lambda: None)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert available() == 1
    monkeypatch.setenv("OMP_NUM_THREADS", "nonsense")
    assert available() >= 1


def test_maps_keep_the_order():
    for size in (1, 3):
        assert Team(size, "serial").map(lambda n: n * n, range(7)) == [n * n for n in range(7)]


def test_errors_in_a_thread_reach_the_caller():
    with pytest.raises(ZeroDivisionError):
        Team(2, "serial").map(lambda n: 1 / n, [1, 0])


# --- Numba's own setting ---


def test_numbas_setting_is_restored():
    X = np.random.RandomState(0).normal(size=(60_000, 3))
    before = numba.get_num_threads()
    try:
        for mask in {1, before}:
            numba.set_num_threads(mask)
            gm = GaussianMixture(2, random_state=0, tol=0.1, n_threads=PARALLEL).fit(X)
            gm.predict(X)
            assert numba.get_num_threads() == mask
            with pytest.raises(OSError, match="stop"), Team(PARALLEL, "parallel").limit():
                raise OSError("stop")
            assert numba.get_num_threads() == mask
    finally:
        numba.set_num_threads(before)


def test_limits_lie_within_each_other():
    before = numba.get_num_threads()
    with Team(PARALLEL, "parallel").limit():
        assert numba.get_num_threads() == PARALLEL
        with Team(PARALLEL, "parallel").limit(), Team(1, "parallel").limit():
            assert numba.get_num_threads() == 1
            with Team(PARALLEL, "parallel").limit():
                assert numba.get_num_threads() == PARALLEL
            assert numba.get_num_threads() == 1
        assert numba.get_num_threads() == PARALLEL
    assert numba.get_num_threads() == before


# --- the same bits ---


def bits(n_threads=None):
    X = np.random.RandomState(0).normal(size=(60_000, 3))
    gm = GaussianMixture(3, random_state=0, tol=0.01, init_params="random_from_data", n_threads=n_threads).fit(X)
    return gm.means_.tobytes() + gm.covariances_.tobytes() + gm.score_samples(X).tobytes(), gm.lower_bounds_


def test_any_number_of_threads_gives_the_same_bits():
    expected = bits(1)
    for n in (2, 3, 7, None):
        assert bits(n) == expected


def test_fits_in_several_threads_at_once_give_the_same_bits():
    expected = bits()
    with ThreadPoolExecutor(4) as pool:
        assert all(found == expected for found in pool.map(bits, [None, 1, 2, 3]))
    assert bits() == expected


def test_a_fit_beside_the_main_threads_gives_the_same_bits():
    found = []
    other = threading.Thread(target=lambda: found.append(bits()))
    other.start()
    mine = bits()
    other.join()
    assert found == [mine]


def test_one_mixture_serves_several_threads():
    X = np.random.RandomState(0).normal(size=(20_000, 3))
    mixture = GaussianMixture(3, random_state=0, tol=0.01).fit(X).mixture_
    expected = mixture.log_prob(X)
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(mixture.log_prob, [X] * 8):
            np.testing.assert_array_equal(found, expected)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_forked_children_fit_the_same_bits_after_a_parallel_fit():
    run("""
import warnings
warnings.simplefilter("ignore", DeprecationWarning)  # of forking with threads: what is tested here
import multiprocessing
expected = fitted(2)
pid = os.fork()
if pid == 0:
    os._exit(0 if fitted() == fitted(2) == expected else 7)
assert os.waitpid(pid, 0)[1] == 0, "os.fork"
with multiprocessing.get_context("fork").Pool(2) as pool:
    assert pool.map(fitted, [None, 2]) == [expected] * 2, "pool"
assert fitted(2) == expected, "parent"
""")


def test_joblibs_workers_fit_the_same_bits():
    run("""
from joblib import Parallel, delayed
def work(seed):
    from fastgmm import GaussianMixture
    from fastgmm.threads import team
    X = np.random.RandomState(seed).normal(size=(20_000, 3))
    gm = GaussianMixture(2, tol=0.1, random_state=0).fit(X)
    return gm.means_.tobytes(), team().mode, team().size
found = Parallel(n_jobs=2)(delayed(work)(seed) for seed in range(3))
here = [work(seed) for seed in range(3)]
assert [means for means, *_ in found] == [means for means, *_ in here]
assert {(mode, size) for _, mode, size in found} == {("serial", 1)}, found
threaded = Parallel(n_jobs=2, backend="threading")(delayed(work)(seed) for seed in range(3))
assert [means for means, *_ in threaded] == [means for means, *_ in here]
""")


def test_without_numbas_threads_more_are_still_right():
    os_environ = ENVIRONMENT | {"NUMBA_NUM_THREADS": "1"}
    code = COMMON + "assert fitted(3) == fitted(1)\nassert fitted() == fitted(1)\n"
    subprocess.run([sys.executable, "-c", code], env=os_environ, check=True, timeout=120)
