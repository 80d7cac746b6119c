"""The data sets that torchvision downloads."""

import contextlib
import socket
import sys
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path

import torch
from filelock import FileLock
from torchvision import datasets

from ssam.data.batches import Progress
from ssam.data.memory import MemoryImages
from ssam.spec import DATASETS

SETS = {
    "fashion-mnist": (datasets.FashionMNIST, "FashionMNIST/raw"),
    "mnist": (datasets.MNIST, "MNIST/raw"),
    "cifar10": (datasets.CIFAR10, ""),
    "cifar100": (datasets.CIFAR100, ""),
}  # with the folder below the downloads where torchvision looks for the published files
PATIENCE = 30.0  # seconds without an answer before a connection is given up


def load_downloaded(name: str, folder: Path, progress: Progress) -> tuple[tuple[str, ...], MemoryImages, MemoryImages]:
    """Class names, training and test images of a catalogue entry, downloaded into ``folder`` where they are missing.

    Raises ValueError, one line, where the download fails or the files are damaged.
    """
    title, (source, place) = DATASETS[name].title, SETS[name]
    progress(f"{title}: reading; the first time it is downloaded", None)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / f"{name}.lock"), _considerate():  # one download at a time
            train, test = (source(folder, train=split, download=True) for split in (True, False))
    except (OSError, RuntimeError) as error:  # URLError is an OSError; RuntimeError comes after the last mirror
        raise ValueError(
            f"cannot download {title} (no connection? {_one_line(error)}); "
            f"put the files under {folder / place}, or pick fashion-mnist-10k"
        ) from None
    except (ValueError, AssertionError, EOFError, zlib.error) as error:
        raise ValueError(
            f"the files of {title} under {folder / place} are damaged ({_one_line(error)}); delete them and start again"
        ) from None
    return tuple(train.classes), _in_memory(train), _in_memory(test)


def _in_memory(source: datasets.VisionDataset) -> MemoryImages:
    pixels = torch.as_tensor(source.data)  # MNIST (N, H, W), CIFAR (N, H, W, C)
    pixels = pixels[:, None] if pixels.ndim == 3 else pixels.permute(0, 3, 1, 2)
    return MemoryImages(pixels.contiguous(), torch.as_tensor(source.targets).long())


@contextlib.contextmanager
def _considerate() -> Iterator[None]:
    """Keeps torchvision off standard output, quiet about old file formats, and from waiting for ever."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(PATIENCE)
    try:
        with contextlib.redirect_stdout(sys.stderr), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        socket.setdefaulttimeout(before)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:160] or type(error).__name__
