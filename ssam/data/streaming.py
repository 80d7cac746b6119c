"""Images that do not fit in memory: decoded on demand by the workers of a DataLoader."""

import contextlib
import copy
import itertools
import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from ssam.data.images import decode
from ssam.data.sampling import Rows
from ssam.imagefolder.archive import shown
from ssam.imagefolder.layout import Sample
from ssam.imagefolder.members import Members

MAX_DAMAGED = 100  # unreadable files in a row before giving up


class _Decoded(torch.utils.data.Dataset[tuple[Tensor, int]]):
    """Maps a row to pixels (3, S, S) uint8 and the row they really come from: that of the next readable file, or -1 if none is found."""

    def __init__(self, members: Members, samples: list[Sample], size: int) -> None:
        self.members, self.samples, self.size = members, samples, size

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, row: int) -> tuple[Tensor, int]:
        for candidate in range(row, row + MAX_DAMAGED):
            used = candidate % len(self.samples)
            with contextlib.suppress(Exception):  # the header was valid at the start, but decoding can raise anything
                return decode(self.members, self.samples[used][0], self.size), used
        return torch.zeros(3, self.size, self.size, dtype=torch.uint8), -1


class StreamedImages:
    """Streaming counterpart of MemoryImages: ``labels`` (N,) int64 on the device, pixels (3, size, size) decoded on demand."""

    def __init__(self, members: Members, samples: list[Sample], size: int) -> None:
        self.members, self.samples, self.size = members, samples, size
        self.labels = torch.tensor([label for _, label in samples], dtype=torch.int64)

    def __len__(self) -> int:
        return len(self.samples)

    def on(self, device: torch.device) -> "StreamedImages":
        moved = copy.copy(self)
        moved.labels = self.labels.to(device)
        return moved

    def reader(self, rows_of: Callable[[int], Rows], lanes: int) -> Callable[[int], tuple[Tensor, Tensor]]:
        """Return a function from a step to its batch, as MemoryImages.reader does. Lanes read at up to ``lanes`` positions of the race;
        each position has its own workers."""
        places: dict[int, Iterator[tuple[Tensor, Tensor]]] = {}  # next step -> batches from that step on, oldest first

        def read(step: int) -> tuple[Tensor, Tensor]:
            if step not in places and len(places) == lanes:
                del places[next(iter(places))]
            batches = places.pop(step, None) or self.load(map(rows_of, itertools.count(step)), lanes)
            places[step + 1] = batches
            return next(batches)

        return read

    def chunks(self, rows: Rows, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the given rows in order, ``size`` at a time: pixels and the rows they come from."""
        return self.load((rows[start : start + size] for start in range(0, len(rows), size)), 1)

    def load(self, batches: Iterable[Rows], lanes: int) -> Iterator[tuple[Tensor, Tensor]]:
        device = self.labels.device
        daemon = multiprocessing.current_process().daemon  # a daemonic process may not have children
        loader = DataLoader(
            _Decoded(self.members, self.samples, self.size),
            batch_sampler=batches,  # type: ignore[arg-type]  # any iterable of row numbers works
            num_workers=0 if daemon else max(1, (os.cpu_count() or 1) // lanes),
            pin_memory=device.type == "cuda",
            generator=torch.Generator(),  # otherwise starting it would draw from the global random state
        )
        for pixels, rows in loader:
            if (rows < 0).any():
                raise ValueError(
                    f"{MAX_DAMAGED} images in a row cannot be read; is {shown(self.members.path.name)} damaged?"
                )
            yield pixels.to(device, non_blocking=True), rows.to(device, non_blocking=True)
