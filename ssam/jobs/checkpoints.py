"""Checkpoints on the disk: the newest and the one before it, each written as a whole, and damage noticed.

A file is what ``torch.save`` writes, followed by the SHA-256 of that: PyTorch itself reads changed bytes without a word.
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
    """``reached`` is how far the rows of the race were in the store when it was written (``Writer.reached``)."""

    state: dict[str, Any]
    reached: dict[str, list[int]]


def write(folder: Path, kept: Kept) -> None:
    """Make this the newest one. Raise OSError, and change nothing, if there is no room."""
    import torch

    def fill(file: io.BufferedRandom) -> None:
        try:
            torch.save({"state": kept.state, "reached": kept.reached}, file)
        except RuntimeError as error:  # PyTorch's own, on top of what the file said
            if isinstance(error.__context__, OSError):
                raise error.__context__ from None
            raise
        file.seek(0)
        digest = hashlib.file_digest(file, "sha256").digest()
        file.write(digest)  # at the end, where reading has stopped

    new = folder / "checkpoint.new.pt"
    write_whole(new, fill)
    if (folder / NEWEST).exists():
        os.replace(folder / NEWEST, folder / OLDER)
    os.replace(new, folder / NEWEST)
    keep_names(folder)


def read_newest(folder: Path) -> Kept:
    """Return the newest checkpoint of a race that can be read. Raise ValueError if there is none."""
    why = "its weights are no longer kept: there is no checkpoint"
    for path in (folder / NEWEST, folder / OLDER):
        if path.exists():
            try:
                return read(path)
            except ValueError as error:
                why = str(error)
    raise ValueError(why)


def read(path: Path) -> Kept:
    """Return what a file holds. Raise ValueError for a file that is not just what was written; nothing in it is ever executed."""
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
