"""Images that say which they are, so that a test sees which ones a batch holds."""

import torch

from ssam.data import Batches, Dataset
from ssam.data.in_memory import MemoryImages
from ssam.experiment import RaceSpec, parse_spec


def toy(train: int = 60, test: int = 20, channels: int = 1, size: int = 28, model_size: int | None = None) -> Dataset:
    """Images that say which they are: the first two pixels hold the row number. Three uneven classes."""

    def images(count: int) -> MemoryImages:
        pixels = torch.randint(0, 256, (count, channels, size, size), generator=torch.Generator().manual_seed(count))
        pixels[:, :, 0, 0], pixels[:, :, 0, 1] = (torch.arange(count)[:, None] // base % 256 for base in (256, 1))
        return MemoryImages(pixels.to(torch.uint8), torch.arange(count) % 7 % 3)

    return Dataset(
        ("a", "b", "c"), channels, model_size or size, images(train), images(test),
        (0.25,) * channels, (0.5,) * channels, train,
    )  # fmt: skip


def spec_of(**values: object) -> RaceSpec:
    return parse_spec({"batch_size": 8, **values})


def batches_of(data: Dataset, spec: RaceSpec) -> Batches:
    return data.batches(spec, "cpu", channels_last=False)


def pixels_of(x: torch.Tensor) -> torch.Tensor:
    """Undoes the toy's normalisation."""
    return ((x * 0.5 + 0.25) * 255).round().to(torch.uint8)


def rows_of(x: torch.Tensor) -> list[int]:
    corner = pixels_of(x)[:, 0, 0, :2].long()
    return (corner[:, 0] * 256 + corner[:, 1]).tolist()
