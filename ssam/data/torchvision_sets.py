"""The data sets that are downloaded through torchvision."""

import contextlib
import sys
import warnings
import zlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import torch
from filelock import FileLock
from torchvision import datasets

from ssam.catalogue import DATASETS
from ssam.data import download
from ssam.data.batches import Progress
from ssam.data.in_memory import MemoryImages

SETS = {
    "fashion-mnist": (datasets.FashionMNIST, "FashionMNIST/raw"),
    "mnist": (datasets.MNIST, "MNIST/raw"),
    "cifar10": (datasets.CIFAR10, ""),
    "cifar100": (datasets.CIFAR100, ""),
}  # each with the subfolder of the downloads where torchvision looks for the published files
Splits = tuple[datasets.VisionDataset, datasets.VisionDataset]  # training, test
Source = type[datasets.MNIST] | type[datasets.CIFAR10]


def load_downloaded(name: str, folder: Path, progress: Progress) -> tuple[tuple[str, ...], MemoryImages, MemoryImages]:
    """Return the class names, training images and test images of a catalogue entry, downloaded into ``folder`` if they are missing.

    Raise ValueError, one line, if the download fails or the files are damaged.
    """
    title, (source, place) = DATASETS[name].title, SETS[name]
    progress(f"{title}: reading; the first time it is downloaded", None)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / f"{name}.lock"), _considerate():  # one download at a time
            train, test = _present(source, folder) or _downloaded(source, folder, folder / place, title, progress)
    except (OSError, RuntimeError) as error:  # URLError is an OSError; RuntimeError is torchvision's
        raise ValueError(
            f"cannot download {title} (no connection? {_one_line(error)}); "
            f"put the files under {folder / place}, or pick fashion-mnist-10k"
        ) from None
    except (ValueError, AssertionError, EOFError, zlib.error) as error:
        raise ValueError(
            f"the files of {title} under {folder / place} are damaged ({_one_line(error)}); delete them and start again"
        ) from None
    return tuple(train.classes), _in_memory(train), _in_memory(test)


def _present(source: Source, folder: Path) -> Splits | None:
    """Return the data set if it is already there and unpacked, else None."""
    try:
        return source(folder, train=True), source(folder, train=False)
    except RuntimeError:  # torchvision raises this for missing files; damaged ones raise ValueError and the like
        return None


def _downloaded(source: Source, folder: Path, place: Path, title: str, progress: Progress) -> Splits:
    """Download missing files, because torchvision does not report the progress of its own downloads; then let torchvision unpack them."""
    if issubclass(source, datasets.MNIST):
        files = {name: (md5, [mirror + name for mirror in source.mirrors]) for name, md5 in source.resources}
    else:
        files = {source.filename: (source.tgz_md5, [source.url])}
    for name, (md5, urls) in files.items():
        tell = partial(progress, f"{title}: downloading {name}")
        download.fetch(urls, place / name, md5, tell)
    return source(folder, train=True, download=True), source(folder, train=False)


def _in_memory(source: datasets.VisionDataset) -> MemoryImages:
    pixels = torch.as_tensor(source.data)  # MNIST (N, H, W), CIFAR (N, H, W, C)
    pixels = pixels[:, None] if pixels.ndim == 3 else pixels.permute(0, 3, 1, 2)
    return MemoryImages(pixels.contiguous(), torch.as_tensor(source.targets).long())


@contextlib.contextmanager
def _considerate() -> Iterator[None]:
    """Redirect torchvision's standard output to standard error and silence its warnings about old file formats."""
    with contextlib.redirect_stdout(sys.stderr), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:240] or type(error).__name__
