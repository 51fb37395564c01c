from __future__ import annotations

import os
from pathlib import Path

import pytest

from fastgmm.files import remove_leftovers, write_atomically


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "fit.ckpt"
    for content in (b"first", b"", b"second" * 1000):
        write_atomically(path, content)
        assert path.read_bytes() == content
    assert os.listdir(tmp_path) == ["fit.ckpt"]


@pytest.mark.parametrize("step", ["fsync", "chmod", "replace"])
@pytest.mark.parametrize("error", [OSError("full"), KeyboardInterrupt()])
def test_what_was_there_stays_where_writing_fails(
    step: str, error: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "fit.ckpt"
    path.write_bytes(b"before")

    def failing(*_: object) -> None:
        raise error

    monkeypatch.setattr(os, step, failing)
    with pytest.raises(type(error)):
        write_atomically(path, b"after")
    assert path.read_bytes() == b"before"
    assert os.listdir(tmp_path) == ["fit.ckpt"]


def test_only_what_writers_left_is_removed(tmp_path: Path) -> None:
    left, kept = ".fit.ckpt.a1b2_c3d", ["fit.ckpt", ".fit.ckpt.old", "fit.ckpt.a1b2_c3d", ".fitXckpt.a1b2_c3d"]
    for name in (left, *kept):
        (tmp_path / name).touch()
    remove_leftovers(tmp_path / "fit.ckpt")
    assert sorted(os.listdir(tmp_path)) == sorted(kept)
    remove_leftovers(tmp_path / "none" / "fit.ckpt")
