"""The files in a folder or zip, opened one at a time, without trusting their names and sizes."""

import io
import os
import stat
import threading
import warnings
import zipfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO, TypeVar

from ssam.imagefolder.archive import PACKINGS
from ssam.imagefolder.skipped import Kind, Skipped, Unusable

MAX_FILE_BYTES = 64 * 2**20
WINDOW = 1024  # files given to the threads at a time, so that results do not accumulate

Progress = Callable[[str, float | None], None]  # current activity, and its progress
Outcome = TypeVar("Outcome")


class Members:
    """Reads members of a folder or zip, in threads, and in worker processes after pickling or forking."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.large = threading.Lock()  # held while a large image is decoded
        self._archive: tuple[int, zipfile.ZipFile] | None = None  # with the id of the process that opened it

    def __reduce__(self) -> tuple[type["Members"], tuple[Path]]:
        return Members, (self.path,)

    def open(self, member: str) -> BinaryIO:
        """Open the member as a seekable file. Raise ValueError if it is too large, or no longer the file that was listed; else
        what a folder or zip raises."""
        if self.path.is_dir():
            return _open_inside(self.path, member)
        if self._archive is None or self._archive[0] != os.getpid():  # a forked worker must not share the file position
            self._archive = os.getpid(), zipfile.ZipFile(self.path)
        archive = self._archive[1]
        info = archive.getinfo(member)
        _check_bytes(info.file_size)
        if info.compress_type not in PACKINGS:
            raise Unusable(Kind.DAMAGED, "compressed by a method other than stored or deflated")
        with archive.open(info) as file:
            # No more than the stated size is unpacked, even if that size is false.
            return io.BytesIO(file.read(info.file_size + 1))


def _open_inside(folder: Path, member: str) -> BinaryIO:
    """Open an ordinary file in the folder itself, without waiting for a pipe or following a link."""
    path = os.path.realpath(folder / member)
    if not Path(path).is_relative_to(os.path.realpath(folder)):
        raise Unusable(Kind.DAMAGED, "leads outside the folder")
    flags = (getattr(os, name, 0) for name in ("O_BINARY", "O_NONBLOCK", "O_NOFOLLOW"))  # if the system has them
    file = os.fdopen(os.open(path, os.O_RDONLY | sum(flags)), "rb")
    status = os.fstat(file.fileno())
    if not stat.S_ISREG(status.st_mode) or status.st_size > MAX_FILE_BYTES:
        file.close()
        _check_bytes(status.st_size)
        raise Unusable(Kind.DAMAGED, "not ordinary files")
    return file


def _check_bytes(size: int) -> None:
    if size > MAX_FILE_BYTES:
        raise Unusable(Kind.FORMAT, f"larger than {MAX_FILE_BYTES // 2**20} MiB")


def attempt(
    work: Callable[[str], Outcome], members: Sequence[str], what: str, progress: Progress
) -> Iterator[Outcome | Skipped]:
    """Do ``work`` on every member in threads; yield the results in order, or why there is none."""

    def guarded(member: str) -> Outcome | Skipped:
        try:
            return work(member)
        except Unusable as error:
            return Skipped(member, error.kind, error.reason)
        except Exception:  # untrusted bytes can make an image library raise anything
            return Skipped(member, Kind.DAMAGED, "damaged files")

    with ThreadPoolExecutor(min(16, os.cpu_count() or 1)) as pool, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's warnings about unusual files; real problems are reported as skipped
        for start in range(0, len(members), WINDOW):
            progress(what, start / len(members))
            yield from pool.map(guarded, members[start : start + WINDOW])
