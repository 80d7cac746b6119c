"""Uploaded image archives: checked before they are kept, stored under a name that their content decides.

Each owner sees the uploads of their own: ``.owners/<hash of the owner>/`` holds an empty file of the name of each.
"""

import errno
import hashlib
import math
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

from ssam.imagefolder.archive import UPLOAD
from ssam.imagefolder.layout import scan
from ssam.imagefolder.preview import Preview, preview, thumbnails

MAX_BYTES = 2**30  # of one upload; app/.streamlit/config.toml says the same to the browser
OWNER_BYTES = 4 * 2**30  # of all uploads of one owner
RESERVE_BYTES = 2**30  # that an upload leaves free on the disk, for the races
DRAFT = ".upload-"
DRAFT_SECONDS = 24 * 3600  # after which a draft is what a server left behind that died


def save(folder: Path, name: str, data: bytes | BinaryIO, owner: str = "", most_bytes: float = math.inf) -> str:
    """Keeps an uploaded zip for an owner and returns its file name in ``folder``; the same file gives the same name.

    Raises ValueError (one line) where it is not an acceptable image archive, too large, more than this owner may keep, more than
    ``most_bytes`` together with everybody's, or would fill the disk; nothing is left behind then.
    """
    stem = re.sub(r"[^a-z0-9]+", "-", Path(name.replace("\\", "/")).stem.lower()).strip("-")[:40] or "images"
    _sweep(folder)
    with tempfile.TemporaryDirectory(prefix=DRAFT, dir=folder) as inside:
        draft = Path(inside) / f"{stem}.zip"  # what a refusal calls it
        kept = f"{stem}-{_write(draft, data)[:16]}.zip"
        for whose, most in ((owner, OWNER_BYTES), (None, most_bytes)):
            others = sum((folder / other).stat().st_size for other in names(folder, whose) if other != kept)
            if others + draft.stat().st_size > most:
                theirs = "yours" if whose is not None else "all uploads on this server"
                raise ValueError(f"with this upload {theirs} would take more than {most / 2**30:.3g} GiB; delete some")
        scan(draft, UPLOAD)
        os.replace(draft, folder / kept)
    mark = _marks(folder, owner) / kept
    mark.parent.mkdir(parents=True, exist_ok=True)
    mark.touch()
    return kept


def delete(folder: Path, name: str, owner: str) -> None:
    """Takes an upload out of an owner's list, and from the disk where it is in nobody else's. Another name is left alone."""
    if name in names(folder, owner):
        (_marks(folder, owner) / name).unlink(missing_ok=True)
        if not any((folder / ".owners").glob(f"*/{name}")):
            (folder / name).unlink(missing_ok=True)


def names(folder: Path, owner: str | None = None) -> list[str]:
    """The uploads of one owner, or all."""
    marks = folder if owner is None else _marks(folder, owner)
    return sorted(path.name for path in marks.glob("*.zip") if (folder / path.name).is_file())


def sizes(folder: Path, name: str) -> tuple[int, int]:
    """Training and test images that the upload lists; broken files among them are found only when it is raced."""
    return _sizes(_known(folder, name))


def look(folder: Path, name: str) -> Preview:
    """What a race would find in the upload. Raises ValueError, one line, where there is none, or its layout is refused."""
    return preview(_known(folder, name))


def strip(folder: Path, name: str, size: int) -> tuple[tuple[str, bytes], ...]:
    """A few of its images as a network with that input gets them: class and PNG. Raises ValueError where there is no such upload."""
    return thumbnails(_known(folder, name), size)


def _known(folder: Path, name: str) -> Path:
    if name not in names(folder):
        raise ValueError(f"there are no uploaded images {name[:60]!r}")
    return folder / name


@lru_cache(maxsize=1024)  # an upload never changes: its name holds the digest of its content
def _sizes(path: Path) -> tuple[int, int]:
    splits = scan(path, UPLOAD).splits
    return len(splits["train"]), len(splits["test"])


def _marks(folder: Path, owner: str) -> Path:
    return folder / ".owners" / hashlib.sha256(owner.encode()).hexdigest()[:32]


def _write(draft: Path, data: bytes | BinaryIO) -> str:
    """Writes an upload down for good; returns its digest. Raises ValueError where it becomes too much."""
    digest, size = hashlib.sha256(), 0
    try:
        with draft.open("wb") as file:
            for chunk in _chunks(data):
                size += len(chunk)
                if size > MAX_BYTES:
                    raise ValueError(f"an upload may have at most {MAX_BYTES // 2**20} MiB")
                if shutil.disk_usage(draft.parent).free - len(chunk) < RESERVE_BYTES:
                    raise ValueError("the server's disk is nearly full; nothing can be uploaded at the moment")
                digest.update(chunk)
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())  # it must not be lost once its name has been told
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise ValueError("the server's disk is full; nothing can be uploaded at the moment") from None
    return digest.hexdigest()


def _chunks(data: bytes | BinaryIO) -> Iterator[bytes]:
    if isinstance(data, bytes):
        yield data
        return
    while chunk := data.read(1 << 20):
        yield chunk


def _sweep(folder: Path) -> None:
    """Takes away what servers left behind that died while they wrote."""
    for draft in folder.glob(f"{DRAFT}*"):
        if time.time() - draft.stat().st_mtime > DRAFT_SECONDS:
            shutil.rmtree(draft, ignore_errors=True)  # another upload may be doing the same
