"""Files that are there as a whole or not at all, whatever dies meanwhile."""

import os
from collections.abc import Callable
from io import BufferedRandom
from pathlib import Path


def write_whole(path: Path, write: Callable[[BufferedRandom], object]) -> None:
    """Fills a draft by ``write``, brings it to the disk and renames it to ``path``, whose folder must exist. Where that fails,
    for want of room for one, the draft goes and ``path`` is as it was. One writer of a path at a time."""
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
    """Brings the folder's list of names to the disk: a rename is lost with the power otherwise."""
    if os.name != "posix":  # elsewhere a folder cannot be opened
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
