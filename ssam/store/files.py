"""Atomic file writes: a file is complete or absent, whatever crashes."""

import os
from collections.abc import Callable
from io import BufferedRandom
from pathlib import Path


def write_whole(path: Path, write: Callable[[BufferedRandom], object]) -> None:
    """Write a temporary file by ``write``, sync it and rename it to ``path``, whose folder must exist. On failure, such as a full
    disk, the temporary file is removed and ``path`` is unchanged. One writer per path at a time."""
    draft = path.with_name(f".{path.name}.part")
    try:
        with draft.open("w+b") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    keep_names(path.parent)


def keep_names(folder: Path) -> None:
    """Sync the folder: otherwise a power failure may undo a rename."""
    if os.name != "posix":  # elsewhere a folder cannot be opened
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
