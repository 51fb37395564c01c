"""A fit over a file that is larger than all memory the process may have for it."""

import subprocess
import sys

import numpy as np
import pytest

from fastgmm.rows import limits

CODE = """
import resource, sys, warnings
import numpy as np
import fastgmm
from fastgmm import GaussianMixture

warnings.simplefilter("ignore")
path, room = sys.argv[1], int(sys.argv[2])

def fit(data, **options):
    return GaussianMixture(3, max_iter=2, tol=0, random_state=0, n_threads=1, **options).fit(data)

def used(what):
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith(what))

few = np.random.default_rng(0).normal(size=(200_000, 4))
fit(few).predict(few)  # loads the kernels
np.save(path + ".few.npy", few)
del few
fit(fastgmm.rows.npy(path + ".few.npy"))
with open("/proc/self/clear_refs", "w") as file:
    file.write("5")  # forget the peak
before, data = used("VmRSS"), used("VmData")
resource.setrlimit(resource.RLIMIT_DATA, (data + room, data + room))
gm = fit(np.load(path, mmap_mode="r"))
gm.predict(fastgmm.rows.npy(path), out=path + ".labels.npy")
print(used("VmHWM") - before, gm.n_iter_)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_a_fit_and_its_predictions_stay_within_the_budget(tmp_path):
    n, d = 10_000_000, 4
    path, room = tmp_path / "large.npy", limits.budget() + (16 << 20)
    file = np.lib.format.open_memmap(path, "w+", np.float64, (n, d))
    part = np.random.default_rng(0).normal(size=(n // 10, d))
    for start in range(0, n, n // 10):
        file[start : start + n // 10] = part
    file.flush()
    del file
    size = path.stat().st_size
    assert size >= 4 * limits.budget() or limits.budget() > 64 << 20
    done = subprocess.run([sys.executable, "-c", CODE, path, str(room)], capture_output=True, text=True, timeout=250)
    assert done.returncode == 0, done.stderr
    grown, n_iter = map(int, done.stdout.split())
    assert n_iter == 2
    assert grown < limits.budget()
