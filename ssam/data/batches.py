"""The batches of a race, by step: any step, in any order, any number of times, always with the same result."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal, Union

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ssam.data import augment, sampling, validation
from ssam.data.in_memory import MemoryImages
from ssam.experiment import RaceSpec

if TYPE_CHECKING:
    from ssam.data.streaming import StreamedImages

CHUNK = 256  # images at a time in evaluation

Images = Union[MemoryImages, "StreamedImages"]
Statistics = tuple[tuple[float, ...], tuple[float, ...]]  # mean and standard deviation per channel
Progress = Callable[[str, float | None], None]  # what is being done, and the share done


@dataclass(frozen=True)
class Dataset:
    """Images with labels, split for training and testing.

    ``channels`` and ``size`` describe the model's input (B, channels, size, size); ``train_size`` is the number of training
    images that the race uses, including those held out for validation, or 0 until it is known; ``mean`` and ``std`` are per
    channel, of pixels scaled to 0–1.
    """

    classes: tuple[str, ...]
    channels: int
    size: int
    train: Images
    test: Images
    mean: tuple[float, ...]
    std: tuple[float, ...]
    train_size: int = 0
    warnings: tuple[str, ...] = ()

    @property
    def test_size(self) -> int:
        return len(self.test)

    def batches(self, spec: RaceSpec, device: torch.device | str, channels_last: bool) -> "Batches":
        """Return the race's batches of this data on ``device``, in memory format channels_last if ``channels_last``."""
        return Batches(self, spec, torch.device(device), channels_last)


class Batches:
    """Random access to a race's training batches, its validation images and its test images.

    A batch's images and their augmentation depend only on ``(spec.seed, step)``. Training and validation labels carry the
    race's label noise; test labels never do. Pixels are float32 (B, C, S, S), normalised; labels are int64 (B,).
    Raises ValueError, one line, if a class has too few images to hold some out.
    """

    def __init__(self, data: Dataset, spec: RaceSpec, device: torch.device, channels_last: bool) -> None:
        self._spec, self._device, self._size = spec, device, data.size
        self._format = torch.channels_last if channels_last else torch.contiguous_format
        mean, std = (torch.tensor(values, device=device).view(-1, 1, 1) for values in (data.mean, data.std))
        self._scale, self._shift = 1 / (255 * std), -mean / std
        self.shape = (data.channels, data.size, data.size)
        self._train, self._test = data.train.on(device), data.test.on(device)

        labels = data.train.labels.cpu().numpy()
        self._chosen = sampling.balanced_subset(labels, data.train_size, spec.seed)  # training rows in use
        noisy = labels.copy()
        noisy[self._chosen] = sampling.noisy_labels(
            labels[self._chosen], len(data.classes), spec.label_noise, spec.seed
        )
        self._labels = torch.from_numpy(noisy).to(device)
        self._held = self._chosen[:0]
        if spec.validation:  # after the noise, so that validation labels are as noisy as training labels
            held = validation.held_out(noisy[self._chosen], data.classes, spec.validation, spec.seed)
            self._held, self._chosen = self._chosen[held], np.delete(self._chosen, held)

        self.train_size, self.validation_size = len(self._chosen), len(self._held)
        self.steps_per_epoch = self.train_size // spec.batch_size
        self._position = torch.full((len(labels),), -1, device=device)
        self._position[torch.from_numpy(self._chosen).to(device)] = torch.arange(self.train_size, device=device)
        rows_of = partial(sampling.batch_rows, self._chosen, spec.batch_size, spec.seed)
        self._read = self._train.reader(rows_of, 1 if spec.clock == "epochs" else len(spec.lanes))
        self._last: tuple[int, Tensor, Tensor, Tensor] | None = None

    def get(self, step: int) -> tuple[Tensor, Tensor]:
        """Return the augmented batch of ``step`` (from 0): x (B, C, S, S) and y (B,).

        Repeated calls for the same step return the same tensors: do not change them in place.
        """
        return self._batch(step)[1:3]

    def positions(self, step: int) -> Tensor:
        """Return (B,) int64: which training images, counted from 0 in the order of ``train_rows``, are in the batch of ``step``; −1 for
        one that replaces an unreadable file and is not among them."""
        return self._position[self._batch(step)[3]]

    @property
    def train_rows(self) -> sampling.Rows:
        """Return the rows, ascending, of the images trained on, without those held out."""
        return self._chosen

    def train_labels(self, noisy: bool) -> np.ndarray:
        """Return (n,) int16: the labels of ``train_rows``, with the race's label noise or without."""
        labels = self._labels if noisy else self._train.labels
        return labels.cpu().numpy()[self._chosen].astype(np.int16)

    def thumbnails(
        self, split: Literal["train", "test"], rows: sampling.Rows, side: int
    ) -> tuple[np.ndarray, sampling.Rows]:
        """Return these images, not augmented, shrunk to S = ``side`` pixels if they are larger, (n, S, S, C) uint8, and the rows
        (n,) that they really come from: another one where a file cannot be read."""
        if not len(rows):
            return np.zeros((0, side, side, 1), dtype=np.uint8), rows
        images = self._train if split == "train" else self._test
        chunks = [(_shrunk(pixels, side).cpu(), used.cpu()) for pixels, used in images.chunks(rows, CHUNK)]
        pictures, used = (torch.cat(parts) for parts in zip(*chunks, strict=True))
        return pictures.permute(0, 2, 3, 1).numpy(), used.numpy()

    def samples(self, count: int, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield ``count`` distinct training images (at most all), not augmented, with their noisy labels, in chunks."""
        rows = self._chosen[sampling.sample_rows(sampling.SAMPLES, len(self._chosen), count, seed)]
        return self._chunks(self._train, rows, self._labels)

    def validation(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the held-out images in chunks, not augmented, with labels as noisy as those of training."""
        return self._chunks(self._train, self._held, self._labels)

    def test(self, limit: int | None) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the test images in chunks: all of them, or ``limit`` of them, those of ``test_rows``."""
        return self._chunks(self._test, self.test_rows(limit), self._test.labels)

    def test_rows(self, limit: int | None) -> sampling.Rows:
        """Return the rows, ascending, of all test images, or of ``limit`` of them, the same ones for every seed."""
        if limit is None:
            return np.arange(len(self._test))
        return np.sort(sampling.sample_rows(sampling.TEST, len(self._test), limit, seed=0))

    def _batch(self, step: int) -> tuple[int, Tensor, Tensor, Tensor]:
        if self._last is None or self._last[0] != step:
            pixels, rows = self._read(step)
            self._last = step, self._augmented(pixels, step), self._labels[rows], rows
        return self._last

    def _chunks(self, images: Images, rows: sampling.Rows, labels: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        for pixels, used in images.chunks(rows, CHUNK):
            yield self._finished(self._normalised(pixels)), labels[used]

    def _augmented(self, pixels: Tensor, step: int) -> Tensor:
        kind = self._spec.augment
        if kind == "none":
            return self._finished(self._normalised(pixels))
        rng = sampling.generator(sampling.AUGMENT, self._spec.seed, step)
        draws = torch.from_numpy(augment.draw(rng, len(pixels), pixels.shape[-1])).to(self._device)
        x = self._normalised(augment.crop_flip(pixels, draws, crop=kind != "flip"))
        return self._finished(augment.cutout(x, draws) if kind == "crop-flip-cutout" else x)

    def _normalised(self, pixels: Tensor) -> Tensor:
        """Convert uint8 to float32, normalised so that the data set has mean 0 and standard deviation 1 per channel."""
        return pixels.float().mul_(self._scale).add_(self._shift)

    def _finished(self, x: Tensor) -> Tensor:
        """Resize the images if the model's input differs in size from the stored images; set the requested memory format."""
        if x.shape[-1] != self._size:
            shrink = x.shape[-1] > self._size
            x = F.interpolate(x, (self._size, self._size), mode="bilinear", antialias=shrink)
        return x.contiguous(memory_format=self._format)


def _shrunk(pixels: Tensor, side: int) -> Tensor:
    """Return pixels (B, C, H, H) uint8 no larger than ``side``."""
    if pixels.shape[-1] <= side:
        return pixels
    small = F.interpolate(pixels.float(), (side, side), mode="bilinear", antialias=True)
    return small.round().clamp(0, 255).to(torch.uint8)
