"""Coarser masks: whole groups of weights, and N:M patterns."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from ssam.interop.sharded import sharded_as, whole


def group_mask(groups: Sequence[Sequence[Tensor]], scores: Sequence[float], count: int) -> dict[Tensor, Tensor]:
    """Perturb whole groups in order of decreasing score, until the next one would exceed ``count`` weights. A group
    that is larger than ``count`` by itself is skipped.

    The structured mask of the extended Sparse SAM (Mi et al. 2023, arXiv 2306.17504) selects tensors by their mean
    Fisher information. Deviation: theirs stops after the tensor that reaches the density; this one stops before it, so
    that the sparsity is at least the specified one.

    Args:
        groups: the tensors of each group; every tensor belongs to one group.
        scores: one per group; ties go to the earlier group.
        count: the maximum number of weights to perturb.

    Returns:
        ``{parameter: bool tensor}`` for every tensor of every group.

    >>> a, b = torch.zeros(3), torch.zeros(2)
    >>> mask = group_mask([[a], [b]], scores=[0.1, 0.9], count=4)
    >>> bool(mask[a].any()), bool(mask[b].all())
    (False, True)
    """
    sizes = [sum(p.numel() for p in group) for group in groups]
    chosen, room = set(), count
    for index in sorted((i for i, size in enumerate(sizes) if size <= count), key=lambda i: -scores[i]):
        if sizes[index] > room:
            break
        chosen.add(index)
        room -= sizes[index]
    return {
        p: torch.full_like(p, index in chosen, dtype=torch.bool) for index, group in enumerate(groups) for p in group
    }


def n_of_m_mask(scores: Mapping[Tensor, Tensor], n: int, m: int) -> dict[Tensor, Tensor]:
    """Perturb the ``n`` weights with the largest scores of every ``m`` consecutive ones: the N:M pattern, such as 2:4.

    A row holds the inputs of one output unit (for a convolution: input channels × kernel); a one-dimensional tensor is
    one row. Groups do not cross rows: if the row length is not a multiple of m, the last, shorter group keeps the same
    share, rounded. Ties go to the earlier entry.

    Args:
        scores: ``{parameter: score tensor of its shape}``.
        n: 0 to m.
        m: at least 1.
    """
    if not 0 <= n <= m or m < 1:
        raise ValueError(f"n must be 0 to m and m at least 1, not {n} of {m}")
    return {p: sharded_as(_n_of_m(whole(score), n, m), p) for p, score in scores.items()}


def _n_of_m(score: Tensor, n: int, m: int) -> Tensor:
    if bool(score.isnan().any()):
        raise ValueError("scores hold NaN, so they cannot be ranked")
    rows = score.flatten(1) if score.dim() > 1 else score.reshape(1, -1)
    rest = rows.shape[1] % m
    groups, last = rows[:, : rows.shape[1] - rest], rows[:, rows.shape[1] - rest :]
    chosen = _largest_of_rows(groups.reshape(-1, m), n).view(groups.shape)
    return torch.cat([chosen, _largest_of_rows(last, round(n * rest / m))], dim=1).view(score.shape)


def _largest_of_rows(rows: Tensor, count: int) -> Tensor:
    """Return a bool mask of the ``count`` largest entries of each row; ties go to the earlier one: the sort is stable."""
    mask = torch.zeros_like(rows, dtype=torch.bool)
    return mask.scatter_(1, rows.argsort(dim=1, descending=True, stable=True)[:, :count], True)
