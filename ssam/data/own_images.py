"""The user's own images as a data set: in memory if they fit, else streamed."""

from pathlib import Path

import numpy as np
import torch

from ssam.data import sampling
from ssam.data.batches import CHUNK, Dataset, Images, Progress, Statistics
from ssam.data.images import check_all, decode_all
from ssam.data.in_memory import MemoryImages
from ssam.data.streaming import StreamedImages
from ssam.imagefolder.contents import Contents, Outcomes, resized
from ssam.imagefolder.layout import scan
from ssam.imagefolder.members import Members

MEMORY_LIMIT = 2 * 2**30  # bytes of pixels; larger sets are streamed from the files
STATISTICS_SAMPLE = 2000  # images used for the mean and standard deviation of a streamed data set


def load_own(path: Path, size: int, progress: Progress) -> Dataset:
    """Load a folder or zip with the layout described in ssam.imagefolder.layout; images become size × size RGB.

    Unreadable files are skipped; the data set's ``warnings`` list them and anything else its owner should know. Raise
    ValueError, one line, if the folder is refused or a class has no readable training image.
    """
    listing = scan(path)
    count = sum(len(samples) for samples in listing.splits.values())
    streamed = count * 3 * size**2 > MEMORY_LIMIT
    members, pixels = Members(listing.path), dict[str, torch.Tensor]()
    outcomes: dict[str, Outcomes] = {}
    for split, samples in listing.splits.items():
        what = f"{'checking' if streamed else 'reading'} {len(samples):,} {split} images"
        if streamed:
            outcomes[split] = check_all(members, samples, what, progress)
        else:
            pixels[split], outcomes[split] = decode_all(members, samples, size, what, progress)
    contents = Contents(listing, outcomes)
    contents.check()
    train, test = (_images(members, contents, pixels, split, size) for split in ("train", "test"))
    progress("measuring the colours", None)
    mean, std = _statistics(train)
    notes = (resized(size, contents.sides), *contents.notes())
    return Dataset(listing.classes, 3, size, train, test, mean, std, warnings=notes)


def _images(members: Members, contents: Contents, pixels: dict[str, torch.Tensor], split: str, size: int) -> Images:
    """Return the images of a split: in memory if they have been decoded, else decoded on demand."""
    good = contents.good(split)
    if split not in pixels:
        return StreamedImages(members, good, size)
    return MemoryImages(pixels[split], torch.tensor([label for _, label in good], dtype=torch.int64))


def _statistics(images: Images) -> Statistics:
    """Return the mean and standard deviation per channel, of all images in memory or of a sample of a streamed set."""
    rows = np.arange(len(images))
    if isinstance(images, StreamedImages):
        rows = np.sort(sampling.sample_rows(sampling.STATISTICS, len(images), STATISTICS_SAMPLE, seed=0))
    total, squares, count = torch.zeros(3, dtype=torch.float64), torch.zeros(3, dtype=torch.float64), 0
    for pixels, _ in images.chunks(rows, CHUNK):
        values = pixels.double().div_(255).transpose(0, 1).flatten(1)  # (3, B·H·W)
        total += values.sum(1)
        squares += values.square().sum(1)
        count += values.shape[1]
    mean = total / count
    std = (squares / count - mean**2).clamp_(min=0).sqrt_().clamp_(min=1 / 255)  # not 0 for single-colour images
    return tuple(mean.tolist()), tuple(std.tolist())
