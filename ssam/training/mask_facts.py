"""The reported facts of a mask: its density, how it changed, and a heatmap."""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from ssam.masks.select import flatten


def density(masks: Mapping[Tensor, Tensor]) -> float:
    """Return the share of perturbed weights, 0–1."""
    flat = flatten(masks)
    return int(flat.sum()) / flat.numel()


def share_changed(new: Mapping[Tensor, Tensor], old: Mapping[Tensor, Tensor]) -> float:
    """Return the share of all weights whose mask entry differs, 0–1."""
    a, b = flatten(new), flatten(old)
    return int((a ^ b).sum()) / a.numel()


def overlap(new: Mapping[Tensor, Tensor], old: Mapping[Tensor, Tensor]) -> float:
    """Return the intersection over union of the perturbed sets, 0–1; 1 for two empty masks."""
    a, b = flatten(new), flatten(old)
    union = int((a | b).sum())
    return int((a & b).sum()) / union if union else 1.0


def heatmap(mask: Tensor, limit: int = 64) -> Tensor:
    """Return the mask as a uint8 image (rows, columns), at most ``limit`` each way; 255 = every weight there is
    perturbed.

    Rows are output units (dimension 0), columns the other dimensions, flattened. A larger mask is pooled to the mean of
    its cells, which overlap by a row or column if the size is not divisible.
    """
    rows = mask.reshape(mask.shape[0] if mask.dim() > 1 else 1, -1)
    size = (min(rows.shape[0], limit), min(rows.shape[1], limit))
    pooled = adaptive_avg_pool2d(rows.to(torch.float32)[None, None], size)[0, 0]
    return (pooled * 255).round().to(torch.uint8)
