"""Untrusted zips: the names of their members, and what is rejected. Nothing is unpacked."""

import io
import stat
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

PACKINGS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # with the other methods a few bytes unpack to gigabytes at once
HEADER = 30  # minimal bytes before each member in the zip
ENTRY = 512  # average bytes per member in the zip's directory, at most
MAX_PATH, MAX_PART, MAX_DEPTH = 1000, 255, 32  # limits of a member: characters in total and of one name; folders


Parts = tuple[str, ...]  # a member's folders and file name


@dataclass(frozen=True)
class Limits:
    """The number of files in a folder or zip, and the bytes of a zip when unpacked, at most.

    The bytes bound the cost of reading a zip. The compression ratio is no criterion: drawings reach 200 : 1, and so do bombs.
    """

    files: int
    unpacked: int


LOCAL = Limits(files=2_000_000, unpacked=300 * 2**30)  # ImageNet has half of both
UPLOAD = Limits(files=100_000, unpacked=8 * 2**30)


def shown(name: str) -> str:
    """Return a name for a one-line message: quoted, escaped and shortened."""
    return _ending(repr(_ending(name, 80)), 120)


def parts_of(member: str) -> Parts:
    """Return the folders and the file name in a zip member's path; "./a//b.jpg" is "a/b.jpg", and so is Windows' "a\\b.jpg"."""
    return tuple(part for part in member.replace("\\", "/").split("/") if part not in ("", "."))


def _ending(text: str, most: int) -> str:
    return text if len(text) <= most else "…" + text[1 - most :]


def zip_members(path: Path, limits: Limits) -> Iterator[tuple[str, Parts]]:
    """Return the files in a zip, by member name, with their path's parts.

    Raise ValueError, one line, if its directory is damaged, ``limits`` are exceeded, or a member would lead outside, is not an
    ordinary file, or overlaps another.
    """
    infos = _infos(path, limits)
    size, total = path.stat().st_size, sum(info.file_size for info in infos)
    if total > limits.unpacked:
        raise ValueError(f"{shown(path.name)} unpacks to more than {limits.unpacked / 2**30:.0f} GiB")
    _check_apart(path, infos, size)
    for info in infos:
        if problem := _problem(info):
            raise ValueError(f"{shown(path.name)} is rejected: {shown(info.orig_filename)} {problem}")
        if not _is_folder(info):
            yield info.filename, parts_of(info.filename)


class _TooMany(Exception):
    """A zip's directory is too long for memory."""


class _ListFile(io.FileIO):
    """A zip whose directory is measured before zipfile parses it at once: a gigabyte of it would take ten times that in
    memory."""

    def __init__(self, path: Path, limits: Limits) -> None:
        super().__init__(path)
        self._limits = limits

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > ENTRY * self._limits.files:
            raise _TooMany
        data = super().read(size)
        if data.count(b"PK\1\2") > self._limits.files:  # the signature of each entry
            raise _TooMany
        return data


def _infos(path: Path, limits: Limits) -> list[zipfile.ZipInfo]:
    with _ListFile(path, limits) as file:
        try:
            with zipfile.ZipFile(file) as archive:
                return archive.infolist()
        except _TooMany:
            raise ValueError(f"{shown(path.name)} holds more than {limits.files:,} files") from None
        except Exception as error:  # untrusted bytes can make zipfile raise anything
            kind = type(error).__name__
            raise ValueError(f"cannot read {shown(path.name)}: its list of files is damaged ({kind})") from None


def _check_apart(path: Path, infos: Sequence[zipfile.ZipInfo], size: int) -> None:
    """Raise ValueError if members overlap, so that few bytes become many, or lie beyond the end of the zip."""
    free = 0
    for info in sorted(infos, key=lambda info: info.header_offset):
        end = info.header_offset + HEADER + info.compress_size
        if info.header_offset < free or end > size:
            raise ValueError(
                f"{shown(path.name)} is rejected: {shown(info.orig_filename)} overlaps another member or is cut off"
            )
        free = end


def _problem(info: zipfile.ZipInfo) -> str | None:
    """Return why a member is rejected, in a few words."""
    name = info.orig_filename  # zipfile ends ``filename`` at a NUL
    parts = parts_of(name)
    kind = stat.S_IFMT(info.external_attr >> 16)
    if not parts and name.startswith((".\\", "./")) and _is_folder(info):
        return None  # the folder itself, listed by some programs
    if not parts or name.startswith(("\\", "/")) or "\0" in name or ":" in parts[0]:
        return "has an absolute or foreign path"
    if ".." in parts:
        return "leads outside the zip"
    if len(name) > MAX_PATH or len(parts) > MAX_DEPTH or max(map(len, parts)) > MAX_PART:
        return "has too long a path"
    if kind == stat.S_IFLNK:
        return "is a symbolic link"
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR) and info.create_system == 3:  # 3: written by a Unix
        return "is not an ordinary file"
    if info.flag_bits & 1:
        return "is encrypted"
    if info.compress_type not in PACKINGS:
        return "uses a compression other than stored or deflated"
    return None


def _is_folder(info: zipfile.ZipInfo) -> bool:
    return info.orig_filename.endswith(("\\", "/"))
