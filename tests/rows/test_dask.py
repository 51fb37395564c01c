import multiprocessing
import os
import signal
import threading
import time
import warnings

import numpy as np
import pytest

import fastgmm
import fastgmm.em.run
from fastgmm import GaussianMixture
from fastgmm.errors import DataError, DistributedError

da = pytest.importorskip("dask.array")
distributed = pytest.importorskip("distributed")

from fastgmm.rows import dask as rows_dask  # noqa: E402
from fastgmm.rows import dask_bundles, dask_cluster, transaction  # noqa: E402
from fastgmm.rows.dask import Limits, collection_rows, distribute  # noqa: E402

pytestmark = [
    pytest.mark.xdist_group("cluster"),  # one cluster, whoever runs the tests
    pytest.mark.filterwarnings("ignore::DeprecationWarning:distributed", "ignore::ResourceWarning"),
]

# A block of two features is 3072 rows.
SHAPES = [(30_000,), (7_777, 7_777, 7_777, 6_669), (10_000, 1, 3_071, 16_928)]


def blobs():
    rng = np.random.default_rng(0)
    X = np.concatenate([rng.normal(mean, 1.0, (10_000, 2)) for mean in (0.0, 3.0, 8.0)])
    rng.shuffle(X)
    return X


X = blobs()


def model(**options):
    return GaussianMixture(3, **{"random_state": 0, "tol": 1e-6, **options})


@pytest.fixture(scope="module")
def reference():
    return model().fit(X)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    folder = tmp_path_factory.mktemp("workers")
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": ":0", "local_directory": str(folder)}
    with distributed.LocalCluster(**options) as cluster:
        yield cluster
    assert not multiprocessing.active_children()
    assert not [path for path in folder.rglob("*") if path.is_file() and path.suffix not in (".lock", ".dirlock")]


@pytest.fixture
def client(cluster):
    with distributed.Client(cluster) as client:
        client.wait_for_workers(2)
        yield client


def assert_same(found, reference):
    assert found.lower_bounds_ == reference.lower_bounds_
    for name in ("weights_", "means_", "covariances_", "precisions_cholesky_"):
        np.testing.assert_array_equal(getattr(found, name), getattr(reference, name), strict=True)


def tasks(client):
    return client.run_on_scheduler(lambda dask_scheduler: sorted(map(str, dask_scheduler.tasks)))


@pytest.mark.parametrize("chunks", SHAPES)
def test_fit_has_the_bits_of_an_array(client, reference, chunks):
    rows = da.from_array(X, chunks=(chunks, 1))  # columns in pieces too
    found = model().fit(rows)
    assert_same(found, reference)
    np.testing.assert_array_equal(found.predict(rows), reference.predict(X), strict=True)
    np.testing.assert_array_equal(found.score_samples(rows), reference.score_samples(X), strict=True)
    np.testing.assert_array_equal(found.predict_proba(rows), reference.predict_proba(X), strict=True)
    assert found.bic(rows) == reference.bic(X)


def test_nothing_is_left_behind(client):
    rows = da.from_array(X, chunks=(7_777, 2))
    model().fit_predict(rows)
    deadline = time.monotonic() + 10
    while tasks(client) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not tasks(client)


def test_one_and_three_workers(cluster, reference):
    rows = da.from_array(X, chunks=(7_777, 2))
    with distributed.Client(cluster) as client:
        cluster.scale(3)
        client.wait_for_workers(3)
        assert len(collection_rows(rows).bundles) == 3
        assert_same(model().fit(rows), reference)
        cluster.scale(1)
        while len(client.ncores()) != 1:
            time.sleep(0.05)
        assert len(collection_rows(rows).bundles) == 1
        assert_same(model().fit(rows), reference)
        cluster.scale(2)
        client.wait_for_workers(2)


@pytest.mark.parametrize("init_params", ["random", "k-means++", "random_from_data"])
def test_starts(client, init_params):
    rows = da.from_array(X, chunks=(7_777, 2))
    options = {"init_params": init_params, "max_iter": 2, "tol": 0.0}
    with pytest.warns(UserWarning, match="did not converge"):
        expected = model(**options).fit(X)
    with pytest.warns(UserWarning, match="did not converge"):
        assert_same(model(**options).fit(rows), expected)


@pytest.mark.parametrize("kind", [np.float32, np.int64])
def test_types_of_numbers(client, kind):
    array = np.round(X * 64).astype(kind)
    rows = da.from_array(array, chunks=(7_777, 2))
    assert_same(model().fit(rows), model().fit(array))


def test_weights(client):
    weights = np.random.default_rng(1).integers(0, 4, len(X)).astype(float)
    expected = model().fit(X, sample_weight=weights)
    rows = da.from_array(X, chunks=(7_777, 2))
    assert_same(model().fit(rows, sample_weight=weights), expected)
    assert_same(model().fit(rows, sample_weight=da.from_array(weights, chunks=5_000)), expected)


def test_rows_of_an_array_with_a_client(client, reference):
    assert_same(model().fit(distribute(X, client=client)), reference)


@pytest.fixture(params=["npy", "map", "parquet"])
def files(request, tmp_path, monkeypatch):
    """Rows in files of more than one partition each."""
    monkeypatch.setattr(rows_dask, "PART_BYTES", 8 * 2 * 7_777)
    if request.param == "parquet":
        pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
        for number, some in enumerate((X[:20_000], X[20_000:])):
            table = pa.table({"a": some[:, 0], "b": some[:, 1]})
            pq.write_table(table, tmp_path / f"{number}.parquet", row_group_size=7_777)
        return fastgmm.rows.parquet(tmp_path)
    np.save(tmp_path / "rows.npy", X)
    if request.param == "map":
        return np.load(tmp_path / "rows.npy", mmap_mode="r")
    return fastgmm.rows.npy(tmp_path / "rows.npy")


@pytest.mark.parametrize("keep", [0, 1 << 30])
def test_workers_read_files(client, reference, files, keep):
    rows = distribute(files, client=client, keep=keep)
    kinds = {type(run).__name__ for future in rows._held.futures for run in future.result().runs}
    assert kinds == ({"Run"} if keep else {"FileRun"})
    found = model().fit(rows)
    assert_same(found, reference)
    np.testing.assert_array_equal(found.predict(rows), reference.predict(X), strict=True)


def test_a_file_that_no_worker_sees(client, tmp_path):
    np.save(tmp_path / "rows.npy", X)
    rows = distribute(fastgmm.rows.npy(tmp_path / "rows.npy"), client=client, keep=0)
    (tmp_path / "rows.npy").unlink()
    with pytest.raises(DataError, match=r"rows.npy: the file vanished.*Every worker must see the same files"):
        model().fit(rows)


def test_bad_values_in_files_are_named_with_their_place(client, tmp_path):
    bad = X.copy()
    bad[12_345, 1] = np.nan
    np.save(tmp_path / "rows.npy", bad)
    with pytest.raises(DataError, match=r"1 NaN of 60000 values, the first at row 12345, column 1"):
        distribute(fastgmm.rows.npy(tmp_path / "rows.npy"), client=client, keep=0)


def test_transported_bounds_travel_with_their_rows(client):
    rng = np.random.default_rng(2)
    array = np.concatenate([rng.normal(mean, 1.0, (3_000, 16)) for mean in (0.0, 2.0)])
    options = {"algorithm": "bounded", "init_params": "random_from_data", "max_iter": 8, "tol": 1e-9, "n_init": 2}
    rows = da.from_array(array, chunks=((1_000, 2_345, 2_655), 16))
    with pytest.warns(UserWarning, match="did not converge"):
        expected = model(**options).fit(array)
    with pytest.warns(UserWarning, match="did not converge"):
        assert_same(model(**options).fit(rows), expected)


def test_many_sums_are_merged_on_workers(client, reference, monkeypatch):
    monkeypatch.setattr(dask_bundles, "MERGED", 1)
    monkeypatch.setattr(dask_bundles, "FAN_IN", 2)
    assert_same(model().fit(da.from_array(X, chunks=(7_777, 2))), reference)


@pytest.mark.parametrize("options", [{}, {"assignment": "stochastic"}, {"assignment": "hard"}], ids=str)
def test_restarts_share_passes(client, options):
    options = {"n_init": 3, "init_params": "random_from_data", "max_iter": 5, "tol": 0.0} | options
    rows = collection_rows(da.from_array(X, chunks=(7_777, 2)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        assert_same(model(**options).fit(rows), model(**options).fit(X))
    assert rows.swept <= 5 + 3 * 3


def test_expectation_and_lazy_predictions(client, reference):
    rows = da.from_array(X, chunks=(7_777, 2))
    parameters = reference.mixture_.parameters
    one, other = fastgmm.expectation(rows, parameters), fastgmm.expectation(X, parameters)
    np.testing.assert_array_equal(one.sum_xx, other.sum_xx)
    assert one.log_likelihood == other.log_likelihood
    labels = rows.map_blocks(reference.predict, drop_axis=1, dtype=np.int64)
    np.testing.assert_array_equal(labels.compute(), reference.predict(X))


def test_spans_come_to_the_caller(client):
    rows = collection_rows(da.from_array(X, chunks=(7_777, 2)))
    starts, spans, _ = zip(*rows.spans(1, 4_000), strict=True)
    assert list(starts) == list(range(0, len(X), 4_000))
    np.testing.assert_array_equal(np.concatenate(spans), X)
    indices = np.random.default_rng(0).permutation(len(X))[:100]
    np.testing.assert_array_equal(rows.take(indices)[0], X[indices])


def test_a_data_frame(client, reference):
    pandas = pytest.importorskip("pandas")
    dd = pytest.importorskip("dask.dataframe")
    frame = dd.from_pandas(pandas.DataFrame(X, columns=["a", "b"]), npartitions=3)
    found = model().fit(frame)
    assert_same(found, reference)
    assert list(found.feature_names_in_) == ["a", "b"]
    np.testing.assert_array_equal(found.predict(frame), reference.predict(X))


# --- what is refused -------------------------------------------------------------------------------------------------


def test_bad_values_are_named_with_their_place(client):
    bad = X.copy()
    bad[12_345, 1] = np.nan
    bad[29_000, 0] = np.inf
    with pytest.raises(
        DataError, match=r"1 NaN and 1 infinite of 60000 values, the first at row 12345, column 1 \(part"
    ):
        model().fit(da.from_array(bad, chunks=(7_777, 2)))


def test_partitions_with_other_columns(client):
    import dask

    pieces = [da.from_delayed(dask.delayed(piece), (1_000, 2), float) for piece in (X[:1_000], np.ones((1_000, 3)))]
    with pytest.raises(DataError, match="Partition 1 of X has 3 features, but partition 0 has 2"):
        model().fit(da.concatenate(pieces))


def test_wrong_shapes_in_the_words_of_arrays(client, reference):
    with pytest.raises(DataError, match="Expected 2D array, got 1D array instead"):
        model().fit(da.zeros(10, chunks=5))
    with pytest.raises(DataError, match=r"Found array with 1 sample\(s\)"):
        model().fit(da.zeros((1, 2), chunks=5))
    with pytest.raises(DataError, match="X has 3 features, but"):
        reference.predict(da.zeros((10, 3), chunks=5))


def test_another_version_on_a_worker(client):
    rows = da.from_array(X, chunks=(7_777, 2))
    original = dask_bundles.VERSION
    dask_bundles.VERSION = "0.0.1"
    try:
        with pytest.raises(DistributedError, match=r"a worker has fastgmm .*, but the fit runs with 0.0.1"):
            model().fit(rows)
    finally:
        dask_bundles.VERSION = original


# --- workers that die ------------------------------------------------------------------------------------------------


class Death:
    """A worker dies at the n-th call of something, or is stopped then, so that it dies at its work."""

    def __init__(self, client, monkeypatch, owner, name, number, stopped=False):
        self.calls, self.killed = 0, None
        original = getattr(owner, name)

        def call(*args, **kwargs):
            self.calls += 1
            if self.calls == number:
                address = sorted(client.ncores())[0]
                self.killed = client.run(os.getpid, workers=[address])[address]
                os.kill(self.killed, signal.SIGSTOP if stopped else signal.SIGKILL)
                if stopped:
                    threading.Timer(0.3, os.kill, (self.killed, signal.SIGKILL)).start()
            return original(*args, **kwargs)

        monkeypatch.setattr(owner, name, call)


@pytest.mark.parametrize("stopped", [False, True], ids=["killed", "killed-at-work"])
@pytest.mark.parametrize(
    ("owner", "name", "number"),
    [
        (dask_cluster.Cluster, "submit", 3),  # partitions are loaded
        (dask_bundles.DaskRows, "_each", 4),  # k-means looks for a start
        (fastgmm.em.run.Settings, "objective", 2),  # EM iterates
    ],
)
def test_a_worker_dies(client, reference, monkeypatch, owner, name, number, stopped):
    death = Death(client, monkeypatch, owner, name, number, stopped)
    found = model().fit(da.from_array(X, chunks=(7_777, 2)))
    assert death.killed is not None
    assert_same(found, reference)


@pytest.mark.parametrize("keep", [0, 1 << 30])
def test_a_worker_that_reads_files_dies(client, reference, monkeypatch, tmp_path, keep):
    np.save(tmp_path / "rows.npy", X)
    monkeypatch.setattr(rows_dask, "PART_BYTES", 8 * 2 * 7_777)
    rows = distribute(fastgmm.rows.npy(tmp_path / "rows.npy"), client=client, keep=keep)
    death = Death(client, monkeypatch, fastgmm.em.run.Settings, "objective", 2, stopped=True)
    found = model().fit(rows)
    assert death.killed is not None
    assert_same(found, reference)


def test_a_worker_dies_with_sums_that_were_not_fetched(client, reference, monkeypatch):
    death = Death(client, monkeypatch, transaction, "_fetched", 7)
    found = model().fit(da.from_array(X, chunks=(7_777, 2)))
    assert death.killed is not None
    assert_same(found, reference)


def test_rows_that_cannot_be_made_again(client):
    """What was scattered is lost with its worker: an error says so, after a few attempts."""
    pieces = [client.scatter(X[:15_000]), client.scatter(X[15_000:])]
    rows = collection_rows(da.concatenate([da.from_delayed(piece, (15_000, 2), float) for piece in pieces]))
    for pid in client.run(os.getpid).values():
        os.kill(pid, signal.SIGKILL)
    with pytest.raises(DistributedError, match="failed 3 times to finish a pass over the rows, the last time with"):
        model().fit(rows)


def test_all_workers_are_lost():
    options = {"n_workers": 1, "threads_per_worker": 1, "dashboard_address": ":0", "processes": False}
    with distributed.LocalCluster(**options) as cluster, distributed.Client(cluster, set_as_default=False) as client:
        rows = collection_rows(da.from_array(X, chunks=(7_777, 2)), client=client, limits=Limits(patience=0.5))
        cluster.scale(0)
        began = time.monotonic()
        with pytest.raises(DistributedError, match=r"has had no worker for 0.5 s: all are lost"):
            model().fit(rows)
        assert time.monotonic() - began < 30
    del rows


def test_a_cluster_that_is_lost_names_the_checkpoint_which_is_whole(reference, tmp_path):
    options = {"n_workers": 1, "threads_per_worker": 1, "dashboard_address": ":0", "processes": False}
    path = tmp_path / "fit.ckpt"
    with distributed.LocalCluster(**options) as cluster, distributed.Client(cluster, set_as_default=False) as client:
        rows = collection_rows(da.from_array(X, chunks=(7_777, 2)), client=client, limits=Limits(patience=0.5))
        lost = model(callback=lambda done: cluster.scale(0) if done.number == 3 else None)
        with pytest.raises(DistributedError, match=r"all are lost") as caught:
            lost.fit(rows, checkpoint=path)
    assert str(path) in caught.value.__notes__[0]
    assert_same(model().fit(X, checkpoint=path, resume=True), reference)
    del rows


def test_without_a_client_a_cluster_in_this_process_serves(reference):
    before = set(threading.enumerate())
    assert_same(model().fit(da.from_array(X, chunks=(7_777, 2))), reference)
    started = [thread for thread in set(threading.enumerate()) - before if not thread.name.startswith("Dask-Offload")]
    for thread in started:
        thread.join(10)  # a busy machine ends them late
    assert not [thread.name for thread in started if thread.is_alive()]
    with pytest.raises(ValueError, match="No clients found"):
        distributed.default_client()
    assert fastgmm.threads.team().size == fastgmm.threads.available()
