"""Files that are written whole or not at all."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a file beside `path`; once the block has ended well, flush it to the disk and move it into place.

    Raises
    ------
    OSError
        If nothing can be written there; what was there before stays, whatever is raised.
    """
    target = Path(path)
    try:
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    except OSError as error:
        raise type(error)(error.errno, f"cannot write into {target.parent}: {error.strerror}", str(target)) from None
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(name, 0o666 & ~mask)
        os.replace(name, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise


def write_atomically(path: str | os.PathLike[str], content: bytes) -> None:
    """Write `content` beside `path`, flush it to the disk, and move it into place."""
    with replacing(path) as file:
        file.write(content)


def remove_leftovers(path: str | os.PathLike[str]) -> None:
    """Remove what writers of `path` left beside it when they were killed; one that is at work fails then."""
    target = Path(path)
    ours = re.compile(rf"\.{re.escape(target.name)}\.[a-z0-9_]{{8}}")
    with contextlib.suppress(OSError):
        for entry in target.parent.iterdir():
            if ours.fullmatch(entry.name):
                with contextlib.suppress(OSError):
                    entry.unlink()
