"""Masks from scores, with counts exact to one entry."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from ssam.interop.sharded import is_sharded, sharded_as, whole


def perturbed_count(total: int, sparsity: float) -> int:
    """Return how many of ``total`` weights are perturbed: (1 − s)·N, rounded, half to even."""
    if not 0.0 <= sparsity <= 1.0:
        raise ValueError(f"sparsity must be 0 to 1, not {sparsity}")
    return round((1.0 - sparsity) * total)


def top_k_mask(scores: Mapping[Tensor, Tensor], sparsity: float) -> dict[Tensor, Tensor]:
    """Perturb the (1 − s)·N weights with the largest scores, ranked over all tensors together.

    Args:
        scores: ``{parameter: score tensor of its shape}``.
        sparsity: share of weights not perturbed, 0–1.

    Returns:
        ``{parameter: bool tensor}`` with exactly ``perturbed_count(N, sparsity)`` True entries; ties go to the earlier
        entry.

    >>> w = torch.nn.Parameter(torch.zeros(4))
    >>> top_k_mask({w: torch.tensor([3.0, 1.0, 2.0, 0.0])}, sparsity=0.5)[w].tolist()
    [True, False, True, False]
    """
    return largest_mask(scores, perturbed_count(sum(score.numel() for score in scores.values()), sparsity))


def largest_mask(scores: Mapping[Tensor, Tensor], count: int) -> dict[Tensor, Tensor]:
    """Perturb the weights with the largest scores, like ``top_k_mask``, but given their number instead of a share."""
    return unflatten(largest(flatten(scores), count), scores)


def random_mask(parameters: Iterable[Tensor], sparsity: float, generator: torch.Generator) -> dict[Tensor, Tensor]:
    """Perturb (1 − s)·N of the weights, chosen uniformly at random. The generator lives on the CPU, so that the same
    seed gives the same mask on every device."""
    params = list(parameters)
    return random_mask_of(params, perturbed_count(sum(p.numel() for p in params), sparsity), generator)


def random_mask_of(parameters: Iterable[Tensor], count: int, generator: torch.Generator) -> dict[Tensor, Tensor]:
    """Perturb random weights, like ``random_mask``, but given their number instead of a share."""
    params = {p: p for p in parameters}
    total = sum(p.numel() for p in params)
    chosen = torch.randperm(total, generator=generator)[:count]
    mask = torch.zeros(total, dtype=torch.bool)
    mask[chosen] = True
    return unflatten(mask, params)


def largest(flat: Tensor, count: int) -> Tensor:
    """Return a bool tensor of the shape of ``flat`` (N,) with exactly ``count`` True entries, at the largest values.

    Selects a threshold, then breaks ties by position. This takes linear time; sorting 36 million scores does not.
    """
    if bool(flat.isnan().any()):
        raise ValueError("scores hold NaN, so they cannot be ranked")
    if count <= 0:
        return torch.zeros_like(flat, dtype=torch.bool)
    threshold = flat.kthvalue(flat.numel() - count + 1).values
    mask = flat > threshold
    ties = (flat == threshold).nonzero().squeeze(1)
    mask[ties[: count - int(mask.sum())]] = True
    return mask


def flatten(tensors: Mapping[Tensor, Tensor]) -> Tensor:
    """Return all entries as one (N,) tensor, in the mapping's order; for sharded tensors, of all processes."""
    if not tensors:
        raise ValueError("there is no parameter to mask")
    return torch.cat([whole(tensor).reshape(-1) for tensor in tensors.values()])


def unflatten(flat: Tensor, like: Mapping[Tensor, Tensor]) -> dict[Tensor, Tensor]:
    """Split the (N,) tensor into one tensor per key. Each has its value's shape and the key's device, sharding and
    memory layout (a CPU multiplies tensors of the same layout much faster)."""
    parts = torch.split(flat, [tensor.numel() for tensor in like.values()])
    return {
        key: sharded_as(part.view(tensor.shape), key)
        if is_sharded(key)
        else torch.empty_like(key, dtype=flat.dtype, requires_grad=False).copy_(part.view(tensor.shape))
        for (key, tensor), part in zip(like.items(), parts, strict=True)
    }
