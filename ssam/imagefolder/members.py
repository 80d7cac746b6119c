"""The files in a folder or zip: opened one at a time, whatever their names and sizes say."""

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
WINDOW = 1024  # files handed to the threads at a time, so that results do not pile up

Progress = Callable[[str, float | None], None]  # what is being done, and the share of it done
Outcome = TypeVar("Outcome")


class Members:
    """Reads members of a folder or zip; works in threads, and in worker processes after pickling or forking."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.large = threading.Lock()  # held while a large image is decoded
        self._archive: tuple[int, zipfile.ZipFile] | None = None  # with the process that opened it

    def __reduce__(self) -> tuple[type["Members"], tuple[Path]]:
        return Members, (self.path,)

    def open(self, member: str) -> BinaryIO:
        """The member as a seekable file. Raises ValueError where it is too large, or has become something else than the
        file that was found at first; else what a folder or zip raises."""
        if self.path.is_dir():
            return _open_inside(self.path, member)
        if self._archive is None or self._archive[0] != os.getpid():  # a forked worker must not share the file position
            self._archive = os.getpid(), zipfile.ZipFile(self.path)
        archive = self._archive[1]
        info = archive.getinfo(member)
        _check_bytes(info.file_size)
        if info.compress_type not in PACKINGS:
            raise Unusable(Kind.DAMAGED, "packed in another way than stored or deflated")
        with archive.open(info) as file:
            # With its size told, no more than that is unpacked, however much there is behind a size that is a lie.
            return io.BytesIO(file.read(info.file_size + 1))


def _open_inside(folder: Path, member: str) -> BinaryIO:
    """Opens an ordinary file that lies in the folder itself; a pipe is not waited for, and no link leads out."""
    path = os.path.realpath(folder / member)
    if not Path(path).is_relative_to(os.path.realpath(folder)):
        raise Unusable(Kind.DAMAGED, "leads outside of the folder")
    flags = (getattr(os, name, 0) for name in ("O_BINARY", "O_NONBLOCK", "O_NOFOLLOW"))  # as far as the system has them
    file = os.fdopen(os.open(path, os.O_RDONLY | sum(flags)), "rb")
    status = os.fstat(file.fileno())
    if not stat.S_ISREG(status.st_mode) or status.st_size > MAX_FILE_BYTES:
        file.close()
        _check_bytes(status.st_size)
        raise Unusable(Kind.DAMAGED, "no ordinary files")
    return file


def _check_bytes(size: int) -> None:
    if size > MAX_FILE_BYTES:
        raise Unusable(Kind.FORMAT, f"larger than {MAX_FILE_BYTES // 2**20} MiB")


def attempt(
    work: Callable[[str], Outcome], members: Sequence[str], what: str, progress: Progress
) -> Iterator[Outcome | Skipped]:
    """Does ``work`` on every member in threads; yields the results in order, or why there is none."""

    def guarded(member: str) -> Outcome | Skipped:
        try:
            return work(member)
        except Unusable as error:
            return Skipped(member, error.kind, error.reason)
        except Exception:  # foreign bytes can make an image library raise anything
            return Skipped(member, Kind.DAMAGED, "damaged files")

    with ThreadPoolExecutor(min(16, os.cpu_count() or 1)) as pool, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's remarks about odd files; what matters is reported as skipped
        for start in range(0, len(members), WINDOW):
            progress(what, start / len(members))
            yield from pool.map(guarded, members[start : start + WINDOW])
