"""Tensors of which each process holds a part (``DTensor``: FSDP2's ``fully_shard``, tensor parallelism).

What works entry by entry runs on each process's own part; a norm is the one thing that needs the others.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


def is_sharded(tensor: Tensor) -> bool:
    """Return whether it is a DTensor, without importing DTensor's module, which one process does not need."""
    return hasattr(tensor, "full_tensor")


def local(tensor: Any) -> Tensor:
    """Return this process's part, sharing memory; a tensor that is not sharded as it is. Call it under ``no_grad``."""
    part: Tensor = tensor.to_local() if is_sharded(tensor) else tensor
    return part


def whole(tensor: Any) -> Tensor:
    """Return the whole tensor, the same in each process."""
    full: Tensor = tensor.full_tensor() if is_sharded(tensor) else tensor
    return full


def sharded_as(full: Tensor, key: Any) -> Tensor:
    """Return this process's part of ``full``, sharded like ``key``. The values are those of the first process's ``full``."""
    if not is_sharded(key):
        return full
    from torch.distributed.tensor import distribute_tensor  # takes seconds to import

    part: Tensor = distribute_tensor(full, key.device_mesh, key.placements)
    return part


def total_norm(tensors: Sequence[Tensor], parts_of: Sequence[Tensor] | None = None) -> Tensor:
    """Return the L2 norm over all tensors together, a 0-dim tensor of at least float32, the same in each process.

    ``parts_of``: the parameters whose local parts the tensors are; None: the tensors say themselves how they are sharded.
    """
    parts = [local(t) for t in tensors]
    half = any(t.dtype in (torch.float16, torch.bfloat16) for t in parts)  # float16 overflows at 65,504
    norms = list(torch._foreach_norm(parts, 2, torch.float32 if half else None))
    sharded: dict[Any, list[Tensor]] = {}
    alone: list[Tensor] = []
    for norm, owner in zip(norms, parts_of or tensors, strict=True):
        (sharded.setdefault((owner.device_mesh, owner.placements), []) if is_sharded(owner) else alone).append(norm)  # type: ignore[attr-defined]
    for (mesh, placements), group in sharded.items():
        squares = torch.stack(group).square().sum()
        for dimension, placement in enumerate(placements):
            if not placement.is_replicate():
                torch.distributed.all_reduce(squares, group=mesh.get_group(dimension))
        alone.append(squares.sqrt())
    total: Tensor = torch.linalg.vector_norm(torch.stack(alone))
    return total


def total_dot(ones: Sequence[Tensor], others: Sequence[Tensor]) -> Tensor:
    """Return the inner product over all pairs of tensors together, a 0-dim tensor of at least float32, the same in each
    process."""
    wide = torch.float64 if any(t.dtype == torch.float64 for t in ones) else torch.float32
    return torch.stack([whole((a.to(wide) * b).sum()) for a, b in zip(ones, others, strict=True)]).sum()


def version(tensor: Tensor) -> int:
    """Return the number of changes in place."""
    return 0 if tensor.is_inference() else tensor._version + local(tensor.detach())._version


def gradients_of(loss: Tensor, params: Sequence[Tensor]) -> Sequence[Tensor | None]:
    """Return what ``torch.autograd.grad`` does, None for a parameter that the loss does not depend on; ``.grad`` is not changed.

    Raises ValueError if sharded parameters are given different losses: their gradients are averaged over the processes.
    """
    if not any(map(is_sharded, params)):
        return torch.autograd.grad(loss, params, allow_unused=True)
    ends = torch.stack([loss.detach(), -loss.detach()])
    torch.distributed.all_reduce(ends, torch.distributed.ReduceOp.MAX)
    if not torch.isclose(ends[0], -ends[1]):
        raise ValueError("every process must give the same samples: under FSDP2 their gradients are averaged")
    kept = [p.grad for p in params]
    try:
        for p in params:
            p.grad = None
        torch.autograd.backward(loss)  # only it puts the parts of a gradient together
        return [p.grad for p in params]
    finally:
        for p, gradient in zip(params, kept, strict=True):
            p.grad = gradient
