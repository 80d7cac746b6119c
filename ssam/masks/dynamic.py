"""SSAM-D's dynamic mask: drop the weights of smallest gradient (the paper's "flattest"), grow as many at random."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from ssam.interop.sharded import whole
from ssam.masks.select import flatten, largest, unflatten


def cosine_drop_rate(progress: float, initial: float = 0.5) -> float:
    """Return d = d₀/2 · (1 + cos(π·progress)): d₀ at the start of training (progress 0), 0 at its end (progress 1).

    Mi et al. 2022, with d₀ = 0.5 as in their code.

    >>> cosine_drop_rate(0.5)
    0.25
    """
    if not (0.0 <= progress <= 1.0 and 0.0 <= initial <= 1.0):
        raise ValueError(f"progress and initial must be 0 to 1, not {progress} and {initial}")
    return initial / 2 * (1 + math.cos(math.pi * progress))


def drop_and_grow(
    masks: Mapping[Tensor, Tensor],
    gradients: Mapping[Tensor, Tensor | None],
    drop_rate: float,
    generator: torch.Generator,
) -> dict[Tensor, Tensor]:
    """Update the dynamic mask once; the number of perturbed weights stays exactly the same.

    Of the K perturbed weights, the ``drop_rate`` share with the smallest |g| is dropped. The same number is grown,
    uniformly at random among the weights that were unperturbed before the drop (Mi et al. 2022).

    Deviation: the published code misses the density whenever fewer weights are unperturbed than it drops (sparsity
    below 1/3 at d₀ = 0.5). Here, no more weights are dropped than can be grown.

    Args:
        masks: the current mask, ``{parameter: bool tensor}``.
        gradients: the batch gradient at w for each of these parameters; None counts as zero.
        drop_rate: 0–1.
        generator: on the CPU, so that the same seed grows the same weights on every device.
    """
    if not 0.0 <= drop_rate <= 1.0:
        raise ValueError(f"drop_rate must be 0 to 1, not {drop_rate}")
    old = flatten(masks)
    unperturbed = (~old).nonzero().squeeze(1)
    perturbed = old.numel() - len(unperturbed)
    dropped = min(round(drop_rate * perturbed), len(unperturbed))
    sharpness = torch.cat([_absolute(gradients.get(p), mask) for p, mask in masks.items()])
    new = largest(torch.where(old, sharpness, -1.0), perturbed - dropped)  # |g| ≥ 0, so −1 ranks below every weight
    grown = torch.randperm(len(unperturbed), generator=generator)[:dropped]
    new[unperturbed[grown.to(unperturbed.device)]] = True
    return unflatten(new, masks)


def _absolute(gradient: Tensor | None, mask: Tensor) -> Tensor:
    if gradient is None:
        return torch.zeros(mask.numel(), device=mask.device)
    return whole(gradient.detach()).abs().reshape(-1)
