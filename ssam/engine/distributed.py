"""One race by several processes: each takes its share of every batch, and all hold the same replicas, bit for bit.

Gradients are averaged after each backward pass that is to be averaged, without DistributedDataParallel. A race has
several models in one process, lanes that call the stages of a network one by one (prefix reuse), and ascent passes whose
gradients stay where they are (under that class: forward and backward inside ``no_sync()``): each would go against the
wrapper. The price is that nothing is sent while a backward pass still computes.

BatchNorm normalises each share by itself, as DistributedDataParallel leaves it. SyncBatchNorm would make the ascent pass of
one process depend on the images of the others, which is not m-sharpness, and it does not run on a CPU. The running
statistics are averaged with the gradients of each step; they are linear in those of the batches, so that every process has
those of all shares.
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
    """This process among those of the race. Alone, it sends nothing and hands back what it is given.

    ``perturbation``: ``worker`` takes each process's ε from the gradient of its own share (m-sharpness with m = batch size /
    processes, as published code does); ``global`` from the averaged gradient, as one process would with the whole batch.
    ``local`` counts the processes of one host, ``gpu`` is the number of this one's GPU among those that it sees.

    Every method with a result returns the same bits everywhere, and must be called everywhere in the same order. Raises
    ConnectionError, one line, where another process has ended.
    """

    rank: int = 0
    size: int = 1
    local: int = 0
    gpu: int = 0
    perturbation: Perturbation = "worker"

    def check(self, spec: RaceSpec) -> None:
        """Raises ValueError, one line, where the processes cannot share the batches of this race equally."""
        ascents = {lane.ascent_batch for lane in spec.lanes if is_sub_batch(spec, lane)}
        for field, images in [("batch_size", spec.batch_size), *(("ascent_batch", images) for images in ascents)]:
            if images is not None and images % self.size:
                raise ValueError(f"{field} {images} must be a multiple of the number of processes, {self.size}")

    def device(self, wanted: str) -> torch.device:
        """As ``pick_device``, but one GPU for each process of a host. Raises ValueError where there are too few."""
        found = pick_device(wanted)
        if self.size == 1 or found.type == "cpu":
            return found
        if found.type != "cuda" or ":" in wanted:
            raise ValueError(f"device {wanted!r} is no choice for {self.size} processes; allowed: auto, cpu, cuda")
        own = pick_device(f"cuda:{self.gpu}")
        torch.cuda.set_device(own)
        return own

    def share(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """This process's rows of a batch: every ``size``-th, so that a part of the batch is shared equally too."""
        if self.size == 1:
            return x, y
        channels_last = x.dim() == 4 and x.is_contiguous(memory_format=torch.channels_last)
        layout = torch.channels_last if channels_last else torch.contiguous_format
        return x[self.rank :: self.size].contiguous(memory_format=layout), y[self.rank :: self.size]

    def averaged(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """The mean of each over the processes, in one message."""
        if self.size == 1 or not tensors:
            return list(tensors)
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        with _others():
            dist.all_reduce(flat)
        parts = flat.div_(self.size).split([tensor.numel() for tensor in tensors])
        return [part.view(tensor.shape) for part, tensor in zip(parts, tensors, strict=True)]

    def average(self, tensors: Sequence[Tensor]) -> None:
        """The same in place."""
        if self.size > 1 and tensors:
            torch._foreach_copy_(list(tensors), self.averaged(tensors))

    def mean(self, numbers: dict[str, float]) -> dict[str, float]:
        """The mean of each number over the processes."""
        if self.size == 1:
            return numbers
        means = self.averaged([torch.tensor(list(numbers.values()), dtype=torch.float64)])[0].tolist()
        return dict(zip(numbers, means, strict=True))

    def total(self, tensor: Tensor) -> Tensor:
        """The sum over the processes, in place."""
        if self.size > 1:
            with _others():
                dist.all_reduce(tensor)
        return tensor

    def least(self, number: int) -> int:
        """The smallest of the processes' numbers; also where they wait for each other."""
        if self.size == 1:
            return number
        smallest = torch.tensor(number)
        with _others():
            dist.all_reduce(smallest, dist.ReduceOp.MIN)
        return int(smallest)

    def masks(self, masks: Masks | None) -> Masks | None:
        """The first process's masks; None where any has none. Replicas rank alike, but a GPU may break a tie otherwise."""
        if self.size == 1 or not self.least(masks is not None) or masks is None:
            return masks
        flat = flatten(masks).view(torch.uint8)
        with _others():
            dist.broadcast(flat, 0)
        return unflatten(flat.view(torch.bool), masks)


ALONE = Ranks()


@contextmanager
def joined(perturbation: Perturbation, gpu: int | None = None) -> Iterator[Ranks]:
    """The processes that share a race, this one among them, as torchrun's environment variables say: by gloo on the CPU, by
    NCCL on GPUs. ``gpu``: this one's; None takes as many GPUs of a host as it has processes. Raises ConnectionError, one line,
    where they do not find each other."""
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
    except RuntimeError as error:  # gloo and NCCL raise nothing more exact
        raise ConnectionError("another process of this race has ended or cannot be reached") from error
