"""What the house promises of itself: light imports, one place for Numba's options, layers, docstrings that run."""

import ast
import doctest
import importlib
import importlib.util
import os
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import fastgmm

PACKAGE = Path(fastgmm.__file__).parent
MODULES = ["fastgmm", *(module.name for module in pkgutil.walk_packages([str(PACKAGE)], "fastgmm."))]
SOURCES = sorted(PACKAGE.rglob("*.py"))


def run(code):
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(PACKAGE.parent), os.environ.get("PYTHONPATH", "")])}
    return subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=120)


def test_import_is_light():
    done = run("""
import sys
import fastgmm
dir(fastgmm), fastgmm.__all__, fastgmm.__version__
heavy = {"numba", "llvmlite", "sklearn", "matplotlib", "scipy", "dask", "pyarrow", "pandas"}
assert not heavy & {name.split(".")[0] for name in sys.modules}
""")
    assert done.returncode == 0, done.stderr


def test_public_names_without_kernels_do_not_load_numba():
    done = run("""
import sys
from fastgmm import GaussianMixture, Mixture, Parameters, SufficientStatistics, errors, load, save
GaussianMixture(2)
assert not {"numba", "sklearn", "matplotlib", "scipy"} & set(sys.modules)
""")
    assert done.returncode == 0, done.stderr


def test_first_use_loads_no_optional_library():
    done = run("""
import sys
import fastgmm
fastgmm.GaussianMixture(2, random_state=0).fit(fastgmm.datasets.load_faithful())
assert not {"sklearn", "matplotlib", "joblib", "pandas"} & set(sys.modules)
""")
    assert done.returncode == 0, done.stderr


def test_every_public_name_is_there():
    assert sorted(fastgmm.__all__) == sorted(set(fastgmm.__all__))
    for name in fastgmm.__all__:
        assert getattr(fastgmm, name) is not None
    assert set(fastgmm.__all__) <= set(dir(fastgmm))
    names = {}
    exec("from fastgmm import *", names)
    assert set(fastgmm.__all__) <= set(names)


@pytest.mark.parametrize("first", ["GaussianMixture", "Mixture", "expectation", "save", "plotting", "rows"])
def test_public_names_are_the_same_whatever_is_loaded_first(first):
    """A submodule that is imported on the way must not hide the public name that it shares."""
    done = run(f"""
import types
import fastgmm
fastgmm.{first}
for name in fastgmm.__all__:
    value = getattr(fastgmm, name)
    assert isinstance(value, types.ModuleType) == (name in fastgmm._MODULES), (name, value)
""")
    assert done.returncode == 0, done.stderr


def test_unknown_names_are_attribute_errors():
    with pytest.raises(AttributeError, match="module 'fastgmm' has no attribute 'nothing'"):
        _ = fastgmm.nothing
    assert not hasattr(fastgmm, "__wrapped__")


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_every_module_says_what_it_is(path):
    text = ast.get_docstring(ast.parse(path.read_text()))
    assert text
    assert text.splitlines()[0].endswith((".", ":"))


OPTIONS = {"nogil", "fastmath", "error_model", "boundscheck", "parallel", "cache", "inline", "locals"}
DECORATORS = {"jit", "njit", "vectorize", "guvectorize", "stencil", "cfunc", "generated_jit", "register_jitable"}


@pytest.mark.parametrize(
    "path", [p for p in SOURCES if p.name != "compile.py"], ids=lambda path: str(path.relative_to(PACKAGE))
)
def test_numbas_options_are_named_in_one_file(path):
    named = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            named |= OPTIONS & {keyword.arg for keyword in node.keywords}
        elif isinstance(node, ast.Name):
            named |= DECORATORS & {node.id}
        elif isinstance(node, ast.Attribute):
            named |= DECORATORS & {node.attr}
        elif isinstance(node, ast.ImportFrom) and node.module == "numba":
            named |= DECORATORS & {alias.name for alias in node.names}
    assert not named


def test_nothing_prints_but_the_terminal():
    speakers = {"cli.py", "commands.py", "progress.py"}
    for path in SOURCES:
        calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
        prints = [node.lineno for node in calls if isinstance(node.func, ast.Name) and node.func.id == "print"]
        assert not prints or path.name in speakers, path


def test_nothing_unpickles_or_executes():
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                name = ast.unparse(node.func)
                assert name not in {"eval", "exec", "compile", "pickle.load", "pickle.loads", "os.system"}, path


def test_examples_in_docstrings_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if importlib.util.find_spec("matplotlib"):
        import matplotlib

        monkeypatch.setitem(matplotlib.rcParams, "backend", "agg")
    attempted = failed = 0
    for name in MODULES:
        try:
            module = importlib.import_module(name)
        except ImportError as error:
            if error.name is None or not error.name.startswith("fastgmm"):  # an extra that is not installed
                continue
            raise
        found = doctest.testmod(module)
        attempted, failed = attempted + found.attempted, failed + found.failed
    assert failed == 0
    assert attempted > 30


if importlib.util.find_spec("importlinter") and (PACKAGE.parent / "pyproject.toml").exists():

    def test_layers_point_one_way():
        code = "import sys; from importlinter.cli import lint_imports_command as c; c(['--no-cache'])"
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=PACKAGE.parent, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "0 broken" in done.stdout
