"""Images that fit in memory: one uint8 tensor on the device."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from ssam.data.sampling import Rows


class MemoryImages:
    """Images in memory: ``pixels`` (N, C, H, W) uint8 and ``labels`` (N,) int64, both on the CPU until ``on`` moves them."""

    def __init__(self, pixels: Tensor, labels: Tensor) -> None:
        self.pixels, self.labels = pixels, labels

    def __len__(self) -> int:
        return len(self.labels)

    def on(self, device: torch.device) -> "MemoryImages":
        return MemoryImages(self.pixels.to(device), self.labels.to(device))

    def reader(self, rows_of: Callable[[int], Rows], lanes: int) -> Callable[[int], tuple[Tensor, Tensor]]:
        """Return a function from a step to its pixels (B, C, H, W) and their rows, which are those of ``rows_of``."""

        def read(step: int) -> tuple[Tensor, Tensor]:
            rows = torch.from_numpy(rows_of(step)).to(self.pixels.device)
            return self.pixels[rows], rows

        return read

    def chunks(self, rows: Rows, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the given rows in order, ``size`` at a time: pixels and rows."""
        for some in torch.from_numpy(rows).to(self.pixels.device).split(size):
            yield self.pixels[some], some
