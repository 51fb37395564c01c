"""The terminal: results on stdout, messages on stderr, and exit codes that scripts can trust."""

import csv
import gzip
import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import fastgmm
from fastgmm import commands, load
from fastgmm.cli import COVARIANCE_TYPES, main
from fastgmm.datasets import load_faithful
from fastgmm.models import FAMILIES, MODELS

PATH = str(Path(fastgmm.__file__).parents[1])
ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join([PATH, os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)}
FASTGMM = [sys.executable, "-m", "fastgmm"]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "faithful.fgmm"
    assert main(["fit", "faithful", "-k", "2", "--tol", "1e-9", "-o", str(path)]) == 0
    return str(path)


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def terminal(*arguments, **options):
    return subprocess.run(
        [*FASTGMM, *map(str, arguments)], env=ENVIRONMENT, capture_output=True, text=True, timeout=120, **options
    )


def refused(capsys, *arguments, code=3):
    """Run a command that must fail; return its one line."""
    before = sorted(os.listdir())
    assert main([str(argument) for argument in arguments]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("fastgmm: error: ")
    assert err.count("\n") == 1
    assert err.endswith("\n")
    assert len(err) > 40
    assert sorted(os.listdir()) == before
    return err


# --- fit ---


def test_faithful_reaches_the_known_likelihood(capsys):
    assert main(["fit", "faithful", "-k", "2", "--tol", "1e-9", "--json"]) == 0
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert found["log_likelihood"] == pytest.approx(-1130.264, abs=0.001)
    assert (found["n_rows"], found["n_features"], found["n_components"]) == (272, 2, 2)
    assert found["columns"] == ["eruptions", "waiting"]
    assert found["converged"] is True
    assert np.shape(found["covariances"]) == (2, 2, 2)
    assert found["bic"] == pytest.approx(2 * 1130.264 + 11 * np.log(272), abs=0.01)
    assert err == ""


def test_text_names_columns_and_numbers(capsys):
    assert main(["fit", "faithful", "-k", "2", "--tol", "1e-9"]) == 0
    out, _ = capsys.readouterr()
    for word in ("272 rows × 2 features", "-1130.264", "eruptions (sd)", "waiting (sd)", "converged after"):
        assert word in out


def forms(folder):
    """The same rows in every form that the terminal reads."""
    X = load_faithful()
    np.save(folder / "x.npy", X)
    np.savetxt(folder / "x.csv", X, delimiter=",", fmt="%.17g")
    np.savetxt(folder / "named.csv", X, delimiter=",", fmt="%.17g", header="eruptions,waiting", comments="")
    for name in ("x.csv", "named.csv"):
        with gzip.open(folder / f"{name}.gz", "wb") as file:
            file.write((folder / name).read_bytes())
    return ["x.npy", "x.csv", "named.csv", "x.csv.gz", "named.csv.gz", "faithful"]


def test_every_form_of_the_rows_gives_the_same_model(here, capsys):
    found = {}
    for name in forms(here):
        assert main(["fit", name, "-k", "2", "-o", "m", "--json"]) == 0
        facts = json.loads(capsys.readouterr().out)
        assert facts["columns"] == (["eruptions", "waiting"] if name in ("faithful",) or "named" in name else None)
        found[name] = load("m").parameters.covariances.tobytes()
    assert len(set(found.values())) == 1


def test_options_reach_the_estimator(capsys):
    def fit(*options):
        assert main(["fit", "faithful", "-k", "3", "--json", *options]) == 0
        found = json.loads(capsys.readouterr().out)
        return {name: value for name, value in found.items() if name != "seconds"}

    plain = fit("--tol", "1e-2")
    assert fit("--tol", "1e-2", "--threads", "1") == plain
    assert fit("--tol", "1e-6", "--max-iter", "1000")["n_iter"] > plain["n_iter"]
    assert fit("--init", "random", "--seed", "1", "--max-iter", "500") != fit(
        "--init", "random", "--seed", "2", "--max-iter", "500"
    )
    assert fit("--max-iter", "2")["n_iter"] == 2
    assert np.min(fit("--reg-covar", "10", "--tol", "1e-2")["covariances"]) > -20
    assert fit("--init", "random_from_data", "--n-init", "5", "--tol", "1e-5", "--max-iter", "999")[
        "log_likelihood"
    ] >= (fit("--init", "random_from_data", "--tol", "1e-5", "--max-iter", "999")["log_likelihood"] - 1e-3)


@pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
def test_every_model_goes_through_the_terminal(here, capsys, covariance_type):
    fit = ["fit", "faithful", "-k", "2", "--covariance-type", covariance_type, "--tol", "1e-6", "--max-iter", "300"]
    assert main([*fit, "-o", "m", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    gm = fastgmm.GaussianMixture(2, covariance_type=covariance_type, tol=1e-6, max_iter=300, random_state=0)
    gm.fit(load_faithful())
    assert load("m").parameters.covariances.tobytes() == gm.mixture_.parameters.covariances.tobytes()
    assert (facts["covariance_type"], facts["n_parameters"]) == (covariance_type, gm._n_parameters())
    assert main(["score", "m", "faithful", "--json"]) == 0
    scored = json.loads(capsys.readouterr().out)
    assert scored["bic"] == pytest.approx(gm.bic(load_faithful()), rel=1e-12)
    assert main(["info", "m"]) == 0
    assert f"2 components, covariances {covariance_type}\n" in capsys.readouterr().out
    assert main(["predict", "m", "faithful", "-o", "labels.npy"]) == 0
    np.testing.assert_array_equal(np.load("labels.npy"), gm.predict(load_faithful()))
    assert main(["sample", "m", "-n", "5"]) == 0


def test_the_terminal_knows_the_names_of_all_models():
    assert (*FAMILIES, *MODELS) == COVARIANCE_TYPES


@pytest.mark.parametrize("stranger", ["EEE", "VVW", 3, None, ["full"]])
def test_a_file_that_names_another_model_is_scored_by_its_form(here, capsys, stranger):
    parameters = fastgmm.Parameters([1.0], np.array([[3.0, 70.0]]), np.array([[2.0, 200.0]]), "diag")
    fastgmm.save(parameters, "m", {"covariance_type": stranger})
    assert main(["score", "m", "faithful", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["bic"] + 2 * found["log_likelihood"] == pytest.approx(4 * np.log(272), rel=1e-12)


def test_warnings_are_lines(here, capsys):
    np.save("equal.npy", np.ones((50, 2)))
    assert main(["fit", "equal.npy", "-k", "2"]) == 0
    err = capsys.readouterr().err
    assert err.startswith("fastgmm: warning: 1 of 2 components have no row left.")
    assert err.count("\n") == 1


def test_fit_that_does_not_converge_warns_in_one_line(capsys):
    assert main(["fit", "faithful", "-k", "3", "--max-iter", "2", "--tol", "0"]) == 0
    out, err = capsys.readouterr()
    assert err.startswith("fastgmm: warning: not converged after 2 iterations")
    assert err.count("\n") == 1
    assert "not converged" in out


def test_model_of_float32_rows(here, capsys):
    np.save("x.npy", load_faithful().astype(np.float32))
    assert main(["fit", "x.npy", "-k", "2", "--tol", "1e-9", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["log_likelihood"] == pytest.approx(-1130.264, abs=0.01)


# --- using a model ---


def test_predict_prints_or_writes_labels(here, model, capsys):
    assert main(["predict", model, "faithful"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "component"
    printed = np.array(lines[1:], dtype=int)
    expected = fastgmm.Mixture(load(model).parameters).predict(load_faithful())
    np.testing.assert_array_equal(printed, expected)
    assert main(["predict", model, "faithful", "-o", "labels.npy"]) == 0
    np.testing.assert_array_equal(np.load("labels.npy"), expected)
    assert main(["predict", model, "faithful", "-o", "labels.csv"]) == 0
    np.testing.assert_array_equal(np.loadtxt("labels.csv", skiprows=1), expected)
    assert capsys.readouterr().out == ""


def test_predict_probabilities_to_the_last_bit(here, model, capsys):
    expected = fastgmm.Mixture(load(model).parameters).responsibilities(load_faithful())
    assert main(["predict", model, "faithful", "--proba"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "component0,component1"
    np.testing.assert_array_equal(np.loadtxt(lines[1:], delimiter=","), expected)
    assert main(["predict", model, "faithful", "--proba", "-o", "p.npy"]) == 0
    np.testing.assert_array_equal(np.load("p.npy"), expected)


def test_score(model, capsys):
    assert main(["score", model, "faithful", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["log_likelihood"] == pytest.approx(-1130.264, abs=0.001)
    assert main(["score", model, "faithful"]) == 0
    assert "log_likelihood       -1130.26" in capsys.readouterr().out


def test_sample_can_be_fitted_again(here, model, capsys):
    assert main(["sample", model, "-n", "500", "--seed", "3"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("eruptions,waiting\n")
    assert main(["sample", model, "-n", "500", "--seed", "3", "-o", "drawn.npy"]) == 0
    drawn = np.load("drawn.npy")
    np.testing.assert_array_equal(np.loadtxt(printed.splitlines()[1:], delimiter=","), drawn)
    assert main(["sample", model, "-n", "500", "--seed", "4", "-o", "drawn.csv"]) == 0
    assert not np.array_equal(np.loadtxt("drawn.csv", skiprows=1, delimiter=","), drawn)
    assert main(["fit", "drawn.csv", "-k", "2"]) == 0
    np.testing.assert_allclose(drawn.mean(axis=0), load_faithful().mean(axis=0), rtol=0.1)


def test_names_with_quotes_and_commas_survive(here, capsys):
    names = ["a,b", 'say "x"']
    with open("x.csv", "w", newline="") as file:
        csv.writer(file).writerows([names, *load_faithful().tolist()])
    assert main(["fit", "x.csv", "-k", "1", "-o", "m", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["columns"] == names
    assert main(["sample", "m", "-n", "3"]) == 0
    assert next(csv.reader(capsys.readouterr().out.splitlines())) == names


def test_info(model, capsys):
    assert main(["info", model, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["log_likelihood"] == pytest.approx(-1130.264, abs=0.001)
    assert main(["info", model]) == 0
    assert "-1130.264" in capsys.readouterr().out


def test_info_of_a_model_without_facts(here, capsys):
    fastgmm.save(fastgmm.Parameters([1.0], np.zeros((1, 9)), np.eye(9)[None]), "m")
    assert main(["info", "m"]) == 0
    assert "3 more features" in capsys.readouterr().out
    assert main(["sample", "m", "-n", "2"]) == 0
    assert capsys.readouterr().out.startswith("x0,x1,")


@pytest.mark.parametrize(
    "facts", [{"log_likelihood": 1}, {"log_likelihood": "x", "n_rows": []}, {"columns": 3}, {"columns": ["a"]}]
)
@pytest.mark.parametrize("command", ["info", "sample"])
def test_models_with_strange_facts_do_not_break_the_terminal(here, capsys, facts, command):
    fastgmm.save(fastgmm.Parameters([1.0], np.zeros((1, 2)), np.eye(2)[None]), "m", facts)
    assert main([command, "m"]) in (0, 3)
    assert capsys.readouterr().err.count("\n") <= 1


def test_demo_draws_a_picture(here, capsys):
    assert main(["demo", "-o", "picture.png"]) == 0
    out, _ = capsys.readouterr()
    for word in ("-1130.264", "BIC", "272 rows", "picture written to picture.png"):
        assert word in out
    assert Path("picture.png").read_bytes().startswith(b"\x89PNG")


# --- usage ---


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["melt"],
        ["fit", "faithful"],
        ["fit", "-k", "2"],
        ["fit", "faithful", "-k", "0"],
        ["fit", "faithful", "-k", "two"],
        ["fit", "faithful", "-k", "2", "--tol", "-1"],
        ["fit", "faithful", "-k", "2", "--tol", "nan"],
        ["fit", "faithful", "-k", "2", "--max-iter", "0"],
        ["fit", "faithful", "-k", "2", "--n-init", "1.5"],
        ["fit", "faithful", "-k", "2", "--seed", "-1"],
        ["fit", "faithful", "-k", "2", "--seed", str(1 << 32)],
        ["fit", "faithful", "-k", "2", "--reg-covar", "inf"],
        ["fit", "faithful", "-k", "2", "--init", "magic"],
        ["fit", "faithful", "-k", "2", "--threads", "0"],
        ["sample", "m", "-n", "0"],
        ["predict", "m"],
    ],
    ids=" ".join,
)
def test_wrong_usage_exits_with_2(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "usage: fastgmm" in err


def test_help_and_version_import_nothing_heavy():
    code = """
import sys
from fastgmm.cli import COVARIANCE_TYPES, main
for arguments in (["--help"], ["fit", "--help"], ["--version"], ["melt"]):
    try:
        main(arguments)
    except SystemExit:
        pass
heavy = {"numba", "numpy", "sklearn", "scipy", "matplotlib", "llvmlite"} & {name.split(".")[0] for name in sys.modules}
assert not heavy, heavy
"""
    done = subprocess.run([sys.executable, "-c", code], env=ENVIRONMENT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert f"fastgmm {fastgmm.__version__}" in done.stdout
    for word in ("fit", "predict", "score", "sample", "info", "demo"):
        assert word in done.stdout


# --- bad data and files ---


def bad_files(folder):
    """Files that cannot be fitted, and words that the error must have."""
    X = load_faithful()
    spoilt = X.copy()
    spoilt[7, 1] = np.nan
    arrays = {
        "nan.npy": spoilt,
        "flat.npy": X[:, 0],
        "cube.npy": X.reshape(2, 136, 2),
        "one.npy": X[:1],
        "empty.npy": X[:0],
        "complex.npy": X + 1j,
        "dates.npy": X.astype("datetime64[s]"),
        "words.npy": np.array([["a", "b"], ["c", "d"]]),
    }
    for name, array in arrays.items():
        np.save(folder / name, array)
    np.save(folder / "objects.npy", X.astype(object), allow_pickle=True)
    whole = (folder / "flat.npy").read_bytes()
    texts = {
        "short.npy": whole[:-5],
        "headless.npy": whole[:20],
        "none.npy": b"",
        "none.csv": b"",
        "header.csv": b"a,b\n",
        "ragged.csv": b"a,b\n1,2\n3,4,5\n",
        "word.csv": b"a,b\n1,2\n3,x\n",
        "missing.csv": b"a,b\n1,2\n3,\n5,6\n",
        "semicolon.csv": b"1;2\n3;4\n",
        "latin.csv": "a,b\n1,ü\n".encode("latin-1"),
        "zero.csv": b"1,2\n\0,3\n",
        "x.parquet": b"PAR1",
        "x.csv.gz": b"no gzip",
        "cut.csv.gz": gzip.compress(b"1,2\n" * 1000)[:-12],
    }
    for name, text in texts.items():
        (folder / name).write_bytes(text)
    (folder / "folder.npy").mkdir()
    return {
        "nan.npy": ["1 NaN", "row 7, column 1"],
        "flat.npy": ["2D", "(272,)"],
        "cube.npy": ["dim 3"],
        "one.npy": ["1 sample(s)"],
        "empty.npy": ["0 sample(s)"],
        "complex.npy": ["Complex"],
        "dates.npy": ["datetime64"],
        "words.npy": ["'a'", "row 0, column 0"],
        "objects.npy": ["objects"],
        "short.npy": ["cut off"],
        "headless.npy": ["header"],
        "none.npy": ["empty"],
        "none.csv": ["empty"],
        "header.csv": ["header"],
        "ragged.csv": ["line 3", "3 values"],
        "word.csv": ["line 3, column 2", "'x'"],
        "missing.csv": ["NaN", "row 1, column 1"],
        "semicolon.csv": ["semicolons"],
        "latin.csv": ["line 2", "UTF-8"],
        "zero.csv": ["line 2"],
        "x.parquet": [".parquet"],
        "x.csv.gz": ["gzip"],
        "cut.csv.gz": ["gzip", "cut off"],
        "folder.npy": ["folder"],
        "absent.csv": ["no such file"],
    }


def test_bad_files_are_refused_in_one_line(here, capsys):
    for name, words in bad_files(here).items():
        text = refused(capsys, "fit", name, "-k", "2", "-o", "model")
        for word in words:
            assert word in text, name
        if not name.startswith(("one.", "equal.")):
            assert name in text or name.endswith(".npy") or name == "missing.csv"


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["-k", "273"], "n_samples = 272"),
        (["-k", "272", "--reg-covar", "0"], "omponents"),
    ],
)
def test_impossible_fits_are_refused(here, capsys, arguments, word):
    assert word in refused(capsys, "fit", "faithful", *arguments, "-o", "model")


def test_other_columns_than_the_models(here, model, capsys):
    np.save("x.npy", np.zeros((9, 3)))
    for command in ("predict", "score"):
        assert "3 features" in refused(capsys, command, model, "x.npy")


def test_broken_models_are_refused(here, model, capsys):
    whole = Path(model).read_bytes()
    for name, content in {
        "cut": whole[:-3],
        "empty": b"",
        "text": b"x,y\n1,2\n" * 9,
        "altered": whole[:-1] + b"x",
    }.items():
        Path(name).write_bytes(content)
        for arguments in (["info", name], ["predict", name, "faithful"], ["score", name, "faithful"], ["sample", name]):
            assert name in refused(capsys, *arguments)
    assert "absent" in refused(capsys, "info", "absent")


@pytest.mark.parametrize(
    "arguments", [["fit", "faithful", "-k", "2"], ["predict", "{model}", "faithful"], ["sample", "{model}"], ["demo"]]
)
def test_unwritable_output_is_refused_before_any_work(here, model, capsys, monkeypatch, arguments):
    def work(*_):
        raise AssertionError("work began")

    for name in ("read_table", "load", "GaussianMixture"):
        monkeypatch.setattr(commands, name, work)
    suffix = ".png" if arguments == ["demo"] else ".npy"
    Path(f"folder{suffix}").mkdir()
    Path("file").write_text("")
    line = [argument.format(model=model) for argument in arguments]
    for output, word in (
        (f"absent/x{suffix}", "absent"),
        (f"file/x{suffix}", "file"),
        (f"folder{suffix}", "folder"),
        (f"/proc/x{suffix}", "/proc"),
    ):
        assert word in refused(capsys, *line, "-o", output)


def test_outputs_with_another_suffix_are_refused(here, model, capsys):
    assert ".npy or .csv" in refused(capsys, "predict", model, "faithful", "-o", "x.txt")
    assert ".png" in refused(capsys, "demo", "-o", "x.jpeg")


def test_outputs_that_are_no_files_are_not_replaced(here, capsys):
    os.mkfifo("pipe")
    assert main(["fit", "faithful", "-k", "2", "-o", "pipe"]) == 3
    assert Path("pipe").is_fifo()


def test_rows_are_not_overwritten_by_their_model(here, capsys):
    np.save("x.npy", load_faithful())
    before = Path("x.npy").read_bytes()
    main(["fit", "x.npy", "-k", "2", "-o", "x.npy"])
    assert Path("x.npy").read_bytes() == before


# --- the process ---


def test_end_to_end_in_processes(tmp_path):
    fit = terminal("fit", "faithful", "-k", 2, "--tol", "1e-9", "-o", "m", cwd=tmp_path)
    assert (fit.returncode, fit.stderr) == (0, "model written to m\n")
    assert "-1130.264" in fit.stdout
    score = terminal("score", "m", "faithful", "--json", cwd=tmp_path)
    assert json.loads(score.stdout)["log_likelihood"] == pytest.approx(-1130.264, abs=0.001)
    bad = terminal("fit", "absent.npy", "-k", 2, cwd=tmp_path)
    assert (bad.returncode, bad.stdout) == (3, "")
    assert terminal("fit", cwd=tmp_path).returncode == 2
    assert os.listdir(tmp_path) == ["m"]


def test_reader_that_has_seen_enough(model):
    line = f"'{sys.executable}' -m fastgmm sample '{model}' -n 300000 | head -1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", line], env=ENVIRONMENT, capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines() == ["eruptions,waiting", "0"]
    assert done.stderr == ""


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    path = tmp_path_factory.mktemp("many") / "x.npy"
    np.save(path, np.random.default_rng(0).normal(size=(1_000_000, 8)))
    return path


LONG = ("-k", "16", "--tol", "0", "--max-iter", "100000", "--init", "random_from_data")


def read_until(handle, word, seconds):
    """Read a pseudo-terminal until a word appears."""
    text, end = "", time.monotonic() + seconds
    while word not in text and time.monotonic() < end:
        if select.select([handle], [], [], 0.1)[0]:
            text += os.read(handle, 65536).decode()
    return text


def test_ctrl_c_keeps_the_last_complete_iteration(many, tmp_path):
    master, slave = pty.openpty()
    command = [*FASTGMM, "fit", many, *LONG, "-o", tmp_path / "m"]
    with subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=slave) as process:
        try:
            shown = read_until(master, "iteration 3/", 90)
            assert "log-likelihood" in shown  # the bar, on a terminal
            process.send_signal(signal.SIGINT)
            began = time.monotonic()
            assert process.wait(20) == 130
            assert time.monotonic() - began < 10  # a guard against hanging, not a timing
            message = read_until(master, "saved", 5)
            assert process.stdout.read() == b""
        finally:
            process.kill()
            os.close(slave)
            os.close(master)
    assert "interrupted after" in message
    assert "Traceback" not in message
    model = load(tmp_path / "m")
    assert model.facts["interrupted"] is True
    assert model.facts["converged"] is False
    assert f"after {model.facts['n_iter']} complete iterations" in message
    assert model.parameters.means.shape == (16, 8)
    assert os.listdir(tmp_path) == ["m"]


def test_ctrl_c_in_a_pipe_prints_one_line_and_no_bar(many, tmp_path):
    command = [*FASTGMM, "fit", many, *LONG]
    with subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        time.sleep(4)
        process.send_signal(signal.SIGINT)
        began = time.monotonic()
        out, err = process.communicate(timeout=20)
        assert time.monotonic() - began < 10  # a guard against hanging, not a timing
    assert (process.returncode, out) == (130, b"")
    assert err.startswith(b"fastgmm: interrupted")
    assert err.count(b"\n") == 1
    assert b"\x1b" not in err
