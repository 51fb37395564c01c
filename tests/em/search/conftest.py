"""Make `search_cases` importable from the tests beside it."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))


@pytest.fixture
def faithful():
    from search_cases import problem_of

    from fastgmm import datasets

    return problem_of(datasets.load_faithful(), 4, 4000.0)
