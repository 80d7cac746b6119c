"""Uploaded image archives: checked before they are kept, stored under a name that their content decides."""

import hashlib
import os
import re
import tempfile
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

from ssam.spec.image_folder import ImageListing, scan


def save(folder: Path, name: str, data: bytes | BinaryIO) -> str:
    """Keeps an uploaded zip and returns its file name in ``folder``; the same file gives the same name.

    Raises ValueError (one line) where it is not an acceptable image archive; nothing is left behind then.
    """
    stem = re.sub(r"[^a-z0-9]+", "-", Path(name.replace("\\", "/")).stem.lower()).strip("-")[:40] or "images"
    with tempfile.TemporaryDirectory(prefix=".upload-", dir=folder) as inside:
        draft = Path(inside) / f"{stem}.zip"  # what a refusal calls it
        digest = hashlib.sha256()
        with draft.open("wb") as file:
            for chunk in _chunks(data):
                digest.update(chunk)
                file.write(chunk)
        scan(draft)
        kept = f"{stem}-{digest.hexdigest()[:16]}.zip"
        os.replace(draft, folder / kept)
    return kept


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*.zip"))


def sizes(folder: Path, name: str) -> tuple[int, int]:
    """Training and test images that the upload lists; broken files among them are found only when it is raced."""
    if name not in names(folder):
        raise ValueError(f"there are no uploaded images {name[:60]!r}")
    splits = _scanned(folder / name).splits
    return len(splits["train"]), len(splits["test"])


@lru_cache(maxsize=32)  # an upload never changes: its name holds the digest of its content
def _scanned(path: Path) -> ImageListing:
    return scan(path)


def _chunks(data: bytes | BinaryIO) -> Iterator[bytes]:
    if isinstance(data, bytes):
        yield data
        return
    while chunk := data.read(1 << 20):
        yield chunk
