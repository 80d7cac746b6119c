"""Situations of several processes, each trying all of them: two processes must train what one does."""

import os
import warnings
from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.checkpoint.state_dict import get_optimizer_state_dict, set_optimizer_state_dict
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.nn.functional import cross_entropy
from torch.nn.parallel import DistributedDataParallel

from benchmarks.border.cases import X, Y, network, slow_step
from benchmarks.border.libraries import Library
from benchmarks.border.outcome import outcome

STEPS = 3


def data_parallel(library: Library) -> bool:
    model = network()
    _trained(library, DistributedDataParallel(model))
    return _as_one_process(model)


def sharded(library: Library) -> bool:
    model = _sharded()
    _trained(library, model)
    return _as_one_process(model)


def checkpointed(library: Library) -> bool:
    """``torch.distributed.checkpoint`` saves the state of a sharded optimizer and reads it into another."""
    model, other = _sharded(), _sharded()
    first = _trained(library, model, momentum=0.9)
    second = library.make(other, momentum=0.9)
    set_optimizer_state_dict(other, second, get_optimizer_state_dict(model, first))
    pairs = zip(model.parameters(), other.parameters(), strict=True)
    return all(torch.equal(_momentum(first, p).full_tensor(), _momentum(second, q).full_tensor()) for p, q in pairs)


CASES: dict[str, Callable[[Library], bool]] = {
    "DDP, two processes": data_parallel,
    "FSDP2, two processes": sharded,
    "`torch.distributed.checkpoint`": checkpointed,
}


def try_all(rank: int, make_library: Callable[[], Library], port: int, results: Any) -> None:
    """Try every case in this process of two; the first puts the outcomes into ``results``."""
    warnings.simplefilter("ignore")
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), RANK=str(rank), WORLD_SIZE="2")
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    library = make_library()
    found = {name: outcome(case, library) for name, case in CASES.items()}
    if rank == 0:
        results.put(found)
    dist.destroy_process_group()


def _sharded() -> Any:
    return fully_shard(network(), mesh=init_device_mesh("cpu", (2,)))


def _trained(library: Library, model: nn.Module, **settings: Any) -> Any:
    """Train on this process's half of the batch; return the optimizer."""
    optimizer = library.make(model, **settings)
    x, y = X[dist.get_rank() :: 2], Y[dist.get_rank() :: 2]

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = cross_entropy(model(x), y)
        loss.backward()
        return loss

    for _ in range(STEPS):
        library.step(optimizer, model, closure)
    return optimizer


def _as_one_process(model: nn.Module) -> bool:
    whole = network()
    for _ in range(STEPS):
        slow_step(whole)
    pairs = zip(model.parameters(), whole.parameters(), strict=True)
    return all(torch.allclose(_full(p.detach()), q.detach(), rtol=0, atol=1e-6) for p, q in pairs)


def _full(tensor: Any) -> torch.Tensor:
    return tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor


def _momentum(optimizer: Any, parameter: torch.Tensor) -> Any:
    base = getattr(optimizer, "base", None) or optimizer.base_optimizer
    return base.state[parameter]["momentum_buffer"]
