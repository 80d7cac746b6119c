"""Checkpoints on disk: the latest and the one before it, each written atomically, with damage detected.

A file is the output of ``torch.save`` followed by its SHA-256: PyTorch itself reads altered bytes silently.
"""

import hashlib
import io
import os
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ssam.store.files import keep_names, write_whole

NEWEST, OLDER = "checkpoint.pt", "checkpoint.old.pt"
DIGEST_BYTES = 32


@dataclass(frozen=True)
class Kept:
    """``reached`` is how far the race's rows were in the store when the checkpoint was written (``Writer.reached``)."""

    state: dict[str, Any]
    reached: dict[str, list[int]]


def write(folder: Path, kept: Kept) -> None:
    """Make this the latest one. Raise OSError, and change nothing, if the disk is full."""
    import torch

    def fill(file: io.BufferedRandom) -> None:
        try:
            torch.save({"state": kept.state, "reached": kept.reached}, file)
        except RuntimeError as error:  # PyTorch wraps the error of the file
            if isinstance(error.__context__, OSError):
                raise error.__context__ from None
            raise
        file.seek(0)
        digest = hashlib.file_digest(file, "sha256").digest()
        file.write(digest)  # read from the end, where reading has stopped

    new = folder / "checkpoint.new.pt"
    write_whole(new, fill)
    if (folder / NEWEST).exists():
        os.replace(folder / NEWEST, folder / OLDER)
    os.replace(new, folder / NEWEST)
    keep_names(folder)


def read_newest(folder: Path) -> Kept:
    """Return the latest readable checkpoint of a race. Raise ValueError if there is none."""
    why = "its weights are no longer stored: there is no checkpoint"
    for path in (folder / NEWEST, folder / OLDER):
        if path.exists():
            try:
                return read(path)
            except ValueError as error:
                why = str(error)
    raise ValueError(why)


def read(path: Path) -> Kept:
    """Return a file's content. Raise ValueError for a file that was altered; nothing in it is ever executed."""
    import torch

    size = path.stat().st_size - DIGEST_BYTES
    with path.open("rb") as file:
        data = file.read(max(0, size))
        if size <= 0 or hashlib.sha256(data).digest() != file.read():
            raise ValueError(f"{path.name} is damaged")
    try:
        kept = torch.load(io.BytesIO(data), weights_only=True, map_location="cpu")
        return Kept(kept["state"], kept["reached"])
    except (RuntimeError, KeyError, TypeError, pickle.UnpicklingError):
        raise ValueError(f"{path.name} is not a checkpoint of a race") from None
