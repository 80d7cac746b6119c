"""Uploaded image archives: checked before they are stored under a name derived from their content.

Each owner sees only their own uploads: ``.owners/<hash of the owner>/`` contains an empty file with the name of each.
"""

import errno
import hashlib
import io
import math
import os
import re
import shutil
import tempfile
import time
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

from ssam.imagefolder.archive import UPLOAD
from ssam.imagefolder.layout import scan
from ssam.imagefolder.preview import Preview, preview, thumbnails

MAX_BYTES = 2**30  # of one upload; app/.streamlit/config.toml has the same limit for the browser
OWNER_BYTES = 4 * 2**30  # of all uploads of one owner
RESERVE_BYTES = 2**30  # bytes that an upload leaves free on the disk for races
DRAFT = ".upload-"
DRAFT_SECONDS = 24 * 3600  # seconds after which a temporary file is a leftover of a crashed server


class Uploads:
    """The uploaded archives in a folder, as ``Store.uploads``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def save(self, name: str, data: bytes | BinaryIO, owner: str = "", most_bytes: float = math.inf) -> str:
        """Keep an uploaded zip of images and return its file name, for ``RaceSpec.data``; the same file gives the same name.

        Raise ValueError, and leave nothing behind, if it is not an acceptable image archive, is too large, is more than this owner
        may keep or more than ``most_bytes`` with the uploads of all owners, or would fill the disk.
        """
        folder = self._folder
        stem = re.sub(r"[^a-z0-9]+", "-", Path(name.replace("\\", "/")).stem.lower()).strip("-")[:40] or "images"
        _remove_old_drafts(folder)
        with tempfile.TemporaryDirectory(prefix=DRAFT, dir=folder) as inside:
            draft = Path(inside) / f"{stem}.zip"  # its name in error messages
            kept = f"{stem}-{_write(draft, data)[:16]}.zip"
            for whose, most in ((owner, OWNER_BYTES), (None, most_bytes)):
                others = sum((folder / other).stat().st_size for other in self.names(whose) if other != kept)
                if others + draft.stat().st_size > most:
                    theirs = "yours" if whose is not None else "all uploads on this server"
                    raise ValueError(
                        f"with this upload {theirs} would take more than {most / 2**30:.3g} GiB; delete some"
                    )
            scan(draft, UPLOAD)
            os.replace(draft, folder / kept)
        mark = self._marks(owner) / kept
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.touch()
        return kept

    def delete(self, name: str, owner: str) -> None:
        """Remove an upload from an owner's list, and from the disk if no other owner lists it. Unknown names are ignored."""
        if name in self.names(owner):
            (self._marks(owner) / name).unlink(missing_ok=True)
            if not any((self._folder / ".owners").glob(f"*/{name}")):
                (self._folder / name).unlink(missing_ok=True)

    def names(self, owner: str | None = None) -> list[str]:
        """Return the uploads of one owner, or of all."""
        marks = self._folder if owner is None else self._marks(owner)
        return sorted(path.name for path in marks.glob("*.zip") if (self._folder / path.name).is_file())

    def sizes(self, name: str) -> tuple[int, int]:
        """Return how many training and test images an upload lists; damaged files are found only by a race."""
        return _sizes(self._path(name))

    def preview(self, name: str) -> Preview:
        """Return what a race would find in an upload; the first call reads every picture. Raise ValueError if there is no such
        upload, or its layout is rejected."""
        return preview(self._path(name))

    def thumbnails(self, name: str, size: int) -> tuple[tuple[str, bytes], ...]:
        """Return a few images of an upload as a network with an input of ``size`` × ``size`` sees them: class and PNG."""
        return thumbnails(self._path(name), size)

    def check(self, name: str | None) -> None:
        """Raise ValueError if the uploaded images of a race no longer exist."""
        if name and name not in self.names():
            raise ValueError(f"the images {name[:60]!r} are no longer on this server: upload them again")

    def _path(self, name: str) -> Path:
        if name not in self.names():
            raise ValueError(f"there are no uploaded images {name[:60]!r}")
        return self._folder / name

    def _marks(self, owner: str) -> Path:
        return self._folder / ".owners" / hashlib.sha256(owner.encode()).hexdigest()[:32]


@lru_cache(maxsize=1024)  # an upload never changes: its name contains the digest of its content
def _sizes(path: Path) -> tuple[int, int]:
    splits = scan(path, UPLOAD).splits
    return len(splits["train"]), len(splits["test"])


def _write(draft: Path, data: bytes | BinaryIO) -> str:
    """Write an upload durably to the disk and return its digest. Raise ValueError if it is too large."""
    digest, size = hashlib.sha256(), 0
    stream = io.BytesIO(data) if isinstance(data, bytes) else data
    try:
        with draft.open("wb") as file:
            while chunk := stream.read(1 << 20):
                size += len(chunk)
                if size > MAX_BYTES:
                    raise ValueError(f"an upload may have at most {MAX_BYTES // 2**20} MiB")
                if shutil.disk_usage(draft.parent).free - len(chunk) < RESERVE_BYTES:
                    raise ValueError("the server's disk is nearly full; nothing can be uploaded at the moment")
                digest.update(chunk)
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())  # it must not be lost once its name has been returned
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise ValueError("the server's disk is full; nothing can be uploaded at the moment") from None
    return digest.hexdigest()


def _remove_old_drafts(folder: Path) -> None:
    """Remove temporary files of crashed servers."""
    for draft in folder.glob(f"{DRAFT}*"):
        if time.time() - draft.stat().st_mtime > DRAFT_SECONDS:
            shutil.rmtree(draft, ignore_errors=True)  # another upload may do the same
