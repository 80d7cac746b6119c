"""Training one race in several processes: each takes a share of every batch, all hold the same replicas, bit for bit.

Gradients are averaged explicitly after each backward pass that needs it, without DistributedDataParallel. That wrapper
does not suit a race: it has several models in one process, lanes that call the stages of a network one by one (prefix
reuse), and ascent passes whose gradients stay local (the wrapper would need both forward and backward inside
``no_sync()``). The price is that communication does not overlap with the backward pass.

BatchNorm normalises each share separately, as under DistributedDataParallel. SyncBatchNorm would make the ascent pass
of one process depend on the images of the others, which is not m-sharpness, and it does not run on a CPU. The running
statistics are averaged together with the gradients of each step. They are linear in the batch statistics, so every
process has those of all shares.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch
import torch.distributed as dist
from torch import Tensor

from ssam.engine.device import pick_device
from ssam.experiment import RaceSpec
from ssam.masks.select import flatten, unflatten
from ssam.planning.cost import is_sub_batch

Perturbation = Literal["worker", "global"]
Masks = dict[Tensor, Tensor]


@dataclass(frozen=True)
class Ranks:
    """This process among the processes of the race. A single process sends nothing and returns its inputs unchanged.

    ``perturbation``: ``worker`` takes each process's ε from the gradient of its own share (m-sharpness with m = batch
    size / processes, as in published code); ``global`` takes it from the averaged gradient, like a single process with
    the whole batch. ``local`` is this process's number on its host, ``gpu`` the index of its GPU among the visible
    ones.

    Every method that returns a result returns the same bits in every process, and every process must call these methods
    in the same order. They raise ConnectionError, one line, if another process has ended.
    """

    rank: int = 0
    size: int = 1
    local: int = 0
    gpu: int = 0
    perturbation: Perturbation = "worker"

    def check(self, spec: RaceSpec) -> None:
        """Raise ValueError, one line, if the processes cannot share the batches of this race equally."""
        ascents = {lane.ascent_batch for lane in spec.lanes if is_sub_batch(spec, lane)}
        for field, images in [("batch_size", spec.batch_size), *(("ascent_batch", images) for images in ascents)]:
            if images is not None and images % self.size:
                raise ValueError(f"{field} {images} must be a multiple of the number of processes, {self.size}")

    def device(self, wanted: str) -> torch.device:
        """Return the device as ``pick_device`` does, but one GPU per process of a host. Raise ValueError if there are
        too few."""
        found = pick_device(wanted)
        if self.size == 1 or found.type == "cpu":
            return found
        if found.type != "cuda" or ":" in wanted:
            raise ValueError(f"device {wanted!r} is no choice for {self.size} processes; allowed: auto, cpu, cuda")
        own = pick_device(f"cuda:{self.gpu}")
        torch.cuda.set_device(own)
        return own

    def share(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return this process's rows of a batch: every ``size``-th, so that a sub-batch is shared equally too."""
        if self.size == 1:
            return x, y
        channels_last = x.dim() == 4 and x.is_contiguous(memory_format=torch.channels_last)
        layout = torch.channels_last if channels_last else torch.contiguous_format
        return x[self.rank :: self.size].contiguous(memory_format=layout), y[self.rank :: self.size]

    def averaged(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """Return the mean of each tensor over the processes, using a single message."""
        if self.size == 1 or not tensors:
            return list(tensors)
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        with _others():
            dist.all_reduce(flat)
        parts = flat.div_(self.size).split([tensor.numel() for tensor in tensors])
        return [part.view(tensor.shape) for part, tensor in zip(parts, tensors, strict=True)]

    def average(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor by its mean over the processes, in place."""
        if self.size > 1 and tensors:
            torch._foreach_copy_(list(tensors), self.averaged(tensors))

    def mean(self, numbers: dict[str, float]) -> dict[str, float]:
        """Return the mean of each number over the processes."""
        if self.size == 1:
            return numbers
        means = self.averaged([torch.tensor(list(numbers.values()), dtype=torch.float64)])[0].tolist()
        return dict(zip(numbers, means, strict=True))

    def total(self, tensor: Tensor) -> Tensor:
        """Sum the tensor over the processes, in place, and return it."""
        if self.size > 1:
            with _others():
                dist.all_reduce(tensor)
        return tensor

    def least(self, number: int) -> int:
        """Return the smallest of the processes' numbers; also serves as a barrier."""
        if self.size == 1:
            return number
        smallest = torch.tensor(number)
        with _others():
            dist.all_reduce(smallest, dist.ReduceOp.MIN)
        return int(smallest)

    def masks(self, masks: Masks | None) -> Masks | None:
        """Return the first process's masks; None if any process has none. Replicas rank identically, but GPUs may break
        ties differently."""
        if self.size == 1 or not self.least(masks is not None) or masks is None:
            return masks
        flat = flatten(masks).view(torch.uint8)
        with _others():
            dist.broadcast(flat, 0)
        return unflatten(flat.view(torch.bool), masks)


ALONE = Ranks()


@contextmanager
def joined(perturbation: Perturbation, gpu: int | None = None) -> Iterator[Ranks]:
    """Join the processes that share a race, as torchrun's environment variables describe them, and yield this one's
    Ranks. Uses gloo on the CPU and NCCL on GPUs. ``gpu`` is the index of this process's GPU; None uses as many GPUs of
    a host as it has processes. Raise ConnectionError, one line, if the processes cannot find each other."""
    with _others():
        dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")
    local = int(os.environ["LOCAL_RANK"])
    try:
        yield Ranks(dist.get_rank(), dist.get_world_size(), local, local if gpu is None else gpu, perturbation)
    finally:
        dist.destroy_process_group()


@contextmanager
def _others() -> Iterator[None]:
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:  # gloo and NCCL raise nothing more specific
        raise ConnectionError("another process of this race has ended or cannot be reached") from error
