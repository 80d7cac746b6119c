"""The user's own images as a data set: in memory where they fit, else streamed."""

from pathlib import Path

import numpy as np
import torch

from ssam.data import sampling
from ssam.data.batches import CHUNK, Dataset, Images, Progress, Statistics
from ssam.data.images import Members, check_all, decode_all
from ssam.data.memory import MemoryImages
from ssam.data.streaming import StreamedImages
from ssam.imagefolder.archive import shown
from ssam.imagefolder.layout import scan

MEMORY_LIMIT = 2 * 2**30  # bytes of pixels; more than this is streamed from the files
STATISTICS_SAMPLE = 2000  # images from which a streamed data set's mean and deviation are taken
SHOWN_SKIPPED = 3
SHOWN_CLASSES = 3


def load_own(path: Path, size: int, progress: Progress) -> Dataset:
    """Reads a folder or zip as ssam.imagefolder.layout describes it; images become size × size RGB.

    Files that cannot be read are skipped and named in the data set's ``warnings``. Raises ValueError, one line, where
    the folder is refused or too little is left.
    """
    listing = scan(path)
    count = sum(len(samples) for samples in listing.splits.values())
    streamed = count * 3 * size**2 > MEMORY_LIMIT
    members, skipped = Members(listing.path), list(listing.skipped)
    splits: dict[str, Images] = {}
    for split, samples in listing.splits.items():
        what = f"{'checking' if streamed else 'reading'} {len(samples):,} {split} images"
        if streamed:
            good, failed = check_all(members, samples, what, progress)
            splits[split] = StreamedImages(members, good, size)
        else:
            pixels, labels, failed = decode_all(members, samples, size, what, progress)
            splits[split] = MemoryImages(pixels, labels)
        skipped += failed
    train, test = splits["train"], splits["test"]
    warnings = (*listing.notes, *_untested_warning(listing.classes, test), *_skipped_warning(skipped))
    if len(train.labels.unique()) < 2 or not len(test):
        raise ValueError(
            f"{shown(listing.path.name)} needs readable training images of two classes and a test image; "
            + "; ".join(warnings)
        )
    progress("measuring the colours", None)
    mean, std = _statistics(train)
    return Dataset(listing.classes, 3, size, train, test, mean, std, warnings=warnings)


def _untested_warning(classes: tuple[str, ...], test: Images) -> tuple[str, ...]:
    tested = set(test.labels.tolist())
    untested = [shown(name) for index, name in enumerate(classes) if index not in tested]
    if not untested:
        return ()
    first = "; ".join(untested[:SHOWN_CLASSES]) + ("; …" if len(untested) > SHOWN_CLASSES else "")
    have, them = ("has", "it") if len(untested) == 1 else ("have", "them")
    return (
        f"{len(untested)} of {len(classes)} classes {have} no test images, "
        f"so the test accuracy says nothing about {them}: {first}",
    )


def _skipped_warning(skipped: list[str]) -> tuple[str, ...]:
    if not skipped:
        return ()
    first = "; ".join(skipped[:SHOWN_SKIPPED]) + ("; …" if len(skipped) > SHOWN_SKIPPED else "")
    return (f"{len(skipped)} {'file' if len(skipped) == 1 else 'files'} skipped: {first}",)


def _statistics(images: Images) -> Statistics:
    """Mean and standard deviation per channel, of all images in memory or of some of a streamed set."""
    rows = np.arange(len(images))
    if isinstance(images, StreamedImages):
        rows = np.sort(sampling.few_rows(sampling.STATISTICS, len(images), STATISTICS_SAMPLE, seed=0))
    total, squares, count = torch.zeros(3, dtype=torch.float64), torch.zeros(3, dtype=torch.float64), 0
    for pixels, _ in images.chunks(rows, CHUNK):
        values = pixels.double().div_(255).transpose(0, 1).flatten(1)  # (3, B·H·W)
        total += values.sum(1)
        squares += values.square().sum(1)
        count += values.shape[1]
    mean = total / count
    std = (squares / count - mean**2).clamp_(min=0).sqrt_().clamp_(min=1 / 255)  # pictures of one flat colour
    return tuple(mean.tolist()), tuple(std.tolist())
