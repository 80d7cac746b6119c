"""Images in a folder or zip, as found by ssam.imagefolder.layout: reading, checking, decoding."""

import io
import os
import stat
import threading
import warnings
import zipfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import BinaryIO, TypeVar

import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor
from torchvision.transforms.v2 import functional as transforms

from ssam.data.batches import Progress
from ssam.imagefolder.archive import PACKINGS, shown
from ssam.imagefolder.layout import Sample

FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF", "PPM")  # others may start foreign programs
MAX_PIXELS = 64_000_000  # of one image: a camera's picture is smaller, a decompression bomb larger
LARGE_PIXELS = 8_000_000  # larger ones are decoded one after the other: each takes up to 8 bytes a pixel
MAX_FILE_BYTES = 64 * 2**20
WINDOW = 1024  # files handed to the threads at a time, so that results do not pile up

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
        image file that was found at first; else what a folder or zip raises."""
        if self.path.is_dir():
            return _open_inside(self.path, member)
        if self._archive is None or self._archive[0] != os.getpid():  # a forked worker must not share the file position
            self._archive = os.getpid(), zipfile.ZipFile(self.path)
        archive = self._archive[1]
        info = archive.getinfo(member)
        _check_bytes(info.file_size)
        if info.compress_type not in PACKINGS:
            raise ValueError("packed in another way than stored or deflated")
        with archive.open(info) as file:
            # With its size told, no more than that is unpacked, however much there is behind a size that is a lie.
            return io.BytesIO(file.read(info.file_size + 1))


def _open_inside(folder: Path, member: str) -> BinaryIO:
    """Opens an ordinary file that lies in the folder itself; a pipe is not waited for, and no link leads out."""
    place = os.path.realpath(folder / member)
    if not Path(place).is_relative_to(os.path.realpath(folder)):
        raise ValueError("leads outside of the folder")
    flags = (getattr(os, name, 0) for name in ("O_BINARY", "O_NONBLOCK", "O_NOFOLLOW"))  # as far as the system has them
    file = os.fdopen(os.open(place, os.O_RDONLY | sum(flags)), "rb")
    found = os.fstat(file.fileno())
    if not stat.S_ISREG(found.st_mode) or found.st_size > MAX_FILE_BYTES:
        file.close()
        _check_bytes(found.st_size)
        raise ValueError("no ordinary file")
    return file


def _check_bytes(size: int) -> None:
    if size > MAX_FILE_BYTES:
        raise ValueError(f"larger than {MAX_FILE_BYTES // 2**20} MiB")


def open_image(file: BinaryIO) -> Image.Image:
    """Reads an image's header. Raises for what is no image, has too many pixels, or more than 8 bits a channel."""
    image = Image.open(file, formats=FORMATS)
    if image.width * image.height > MAX_PIXELS:
        raise ValueError(f"{image.width}×{image.height} pixels are too many")
    if image.mode.startswith(("I", "F")):
        raise ValueError("more than 8 bits a channel")
    return image


def decode(members: Members, member: str, size: int) -> Tensor:
    """One member -> (3, size, size) uint8 RGB: the centre square, resized.

    The square is cut out first, so a very long and thin image cannot grow beyond bounds. Raises whatever the image
    library raises for damaged files.
    """
    with members.open(member) as file:
        image = open_image(io.BytesIO(file.read()))
    image.draft("RGB", (2 * size, 2 * size))  # lets JPEG decode at a fraction of its size, but not below this
    with members.large if image.width * image.height > LARGE_PIXELS else nullcontext():
        rgb = image if image.mode == "RGB" else image.convert("RGB")
        del image  # so that a large one is in memory twice, not three times
        rgb = transforms.center_crop(rgb, [min(rgb.size)])
        rgb = transforms.resize(rgb, [size, size], antialias=True)
    return transforms.pil_to_tensor(rgb)


def check(members: Members, member: str) -> None:
    """Reads one member's header only; raises as ``open_image``."""
    with members.open(member) as file:
        open_image(file)


def decode_all(
    members: Members, samples: Sequence[Sample], size: int, what: str, progress: Progress
) -> tuple[Tensor, Tensor, list[str]]:
    """Decodes all samples: pixels (N, 3, size, size) uint8, labels (N,) int64, and the failures with their reasons."""
    pixels = torch.empty(len(samples), 3, size, size, dtype=torch.uint8)
    labels: list[int] = []
    skipped: list[str] = []
    outcomes = _attempt(lambda member: decode(members, member, size), samples, what, progress)
    for (member, label), outcome in zip(samples, outcomes, strict=True):
        if isinstance(outcome, Exception):
            skipped.append(f"{shown(member)} {_reason(outcome)}")
        else:
            pixels[len(labels)] = outcome
            labels.append(label)
    return pixels[: len(labels)], torch.tensor(labels, dtype=torch.int64), skipped


def check_all(
    members: Members, samples: Sequence[Sample], what: str, progress: Progress
) -> tuple[list[Sample], list[str]]:
    """Reads every header without decoding: the samples that are images, and the failures with their reasons."""
    good, skipped = [], []
    outcomes = _attempt(lambda member: check(members, member), samples, what, progress)
    for sample, outcome in zip(samples, outcomes, strict=True):
        if isinstance(outcome, Exception):
            skipped.append(f"{shown(sample[0])} {_reason(outcome)}")
        else:
            good.append(sample)
    return good, skipped


def _attempt(
    work: Callable[[str], Outcome], samples: Sequence[Sample], what: str, progress: Progress
) -> Iterator[Outcome | Exception]:
    """Does ``work`` on every sample's member in threads; yields the results, or what was raised, in order."""

    def guarded(member: str) -> Outcome | Exception:
        try:
            return work(member)
        except Exception as error:  # foreign bytes can make an image library raise anything; it is reported as skipped
            return error

    with ThreadPoolExecutor(min(16, os.cpu_count() or 1)) as pool, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's remarks about odd files; what matters is reported as skipped
        for start in range(0, len(samples), WINDOW):
            progress(what, start / len(samples))
            yield from pool.map(guarded, [member for member, _ in samples[start : start + WINDOW]])


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "is not an image"
    said = error.strerror if isinstance(error, OSError) else None  # its text would name folders of the server
    words = "".join(letter if letter.isprintable() else "?" for letter in said or str(error) or type(error).__name__)
    return f"is damaged or odd: {words[:80]}"
