"""Images in a folder or zip, as found by ssam.spec.image_folder: reading, checking, decoding."""

import io
import os
import warnings
import zipfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO, TypeVar, cast

import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor
from torchvision.transforms.v2 import functional as transforms

from ssam.data.batches import Progress
from ssam.spec.image_folder import Sample, shown

FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF", "PPM")  # others may start foreign programs
MAX_PIXELS = 64_000_000  # of one image: a camera's picture is smaller, a decompression bomb larger
MAX_FILE_BYTES = 256 * 2**20
WINDOW = 1024  # files handed to the threads at a time, so that results do not pile up

Outcome = TypeVar("Outcome")


class Members:
    """Reads members of a folder or zip; works in threads, and in worker processes after pickling or forking."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._archive: tuple[int, zipfile.ZipFile] | None = None  # with the process that opened it

    def __getstate__(self) -> dict[str, object]:
        return {"path": self.path, "_archive": None}

    def open(self, member: str) -> BinaryIO:
        """The member as a seekable file. Raises ValueError where it is too large, else what a folder or zip raises."""
        if self.path.is_dir():
            _check_bytes((self.path / member).stat().st_size)
            return (self.path / member).open("rb")
        if self._archive is None or self._archive[0] != os.getpid():  # a forked worker must not share the file position
            self._archive = os.getpid(), zipfile.ZipFile(self.path)
        archive = self._archive[1]
        _check_bytes(archive.getinfo(member).file_size)
        return cast(BinaryIO, archive.open(member))


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
    rgb = image.convert("RGB")
    square = transforms.center_crop(rgb, [min(rgb.size)])
    return transforms.pil_to_tensor(transforms.resize(square, [size, size], antialias=True))


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
    first_line = (str(error) or type(error).__name__).splitlines()[0]
    return f"is damaged or odd: {first_line[:80]}"
