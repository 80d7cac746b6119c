"""Estimators of sharpness: how much the loss rises around the weights. Sharpness is not one number, so always name the estimator.

All except ``adaptive_sharpness`` depend on the scale of the weights: rescaling the weights without changing the function changes the
values (Dinh et al. 2017, arXiv 1703.04933). Compare lanes of one race, not races of different networks.
"""

import math
import statistics
from collections.abc import Sequence

import torch
from torch import Tensor

from ssam.analysis.objective import Objective
from ssam.optim.perturbation import Norm, perturbation, total_norm


def ascent_gap(
    objective: Objective, rho: float, masks: Sequence[Tensor | None] | None = None, norm: Norm = "full"
) -> float:
    """Return L(w + ε) − L(w) for SAM's own ε = ρ m⊙g/‖g‖ (Foret et al. 2021): the gap that the optimizer sees, on these images.

    Takes one gradient and one forward pass. It is one step along the gradient at w, so a lower bound of the worst case. With
    ``masks`` (one for each of the objective's parameters, None = all of it), ε is that of SSAM.
    """
    loss, gradient = objective.gradient()
    return objective.loss_at(_epsilon(objective, gradient, rho, masks, norm)) - loss


def worst_case(objective: Objective, rho: float, steps: int = 10) -> float:
    """Return the largest L(w + ε) − L(w) for ‖ε‖₂ ≤ ρ found by ``steps`` normalised gradient steps of length ρ/4, projected onto the ball.

    Takes ``steps`` gradients and forward passes. Starts at SAM's ε, so it is never below ``ascent_gap``; the true maximum may be higher.
    """
    loss, gradient = objective.gradient()
    epsilon = _epsilon(objective, gradient, rho)
    best = objective.loss_at(epsilon) - loss
    for _ in range(steps - 1):
        with objective.moved(epsilon):
            _, gradient = objective.gradient()
        epsilon = list(torch._foreach_add(epsilon, _epsilon(objective, gradient, rho / 4)))
        radius = float(total_norm(epsilon))
        if radius > rho:
            torch._foreach_mul_(epsilon, rho / radius)
        best = max(best, objective.loss_at(epsilon) - loss)
    return best


def m_sharpness(objective: Objective, rho: float, m: int = 16) -> tuple[float, float]:
    """Return the mean of ``ascent_gap`` over groups of m images, each with the ε of its own gradient, and its standard error (Foret et
    al. 2021, section 4.1; Andriushchenko & Flammarion 2022, arXiv 2206.06232). Images that do not fill a group are left out.

    Takes one gradient and one forward pass of the images, at the speed of small batches. Small groups have larger gradients and
    different maxima, so values for different m are not comparable. Raise ValueError if no chunk has m images.
    """
    if m < 1:
        raise ValueError(f"m must be at least 1, not {m}")
    gaps = []
    for x, y in objective.batches:
        for some in zip(x.split(m), y.split(m), strict=True):
            if len(some[1]) == m:
                loss, gradient = objective.gradient([some])
                with objective.moved(_epsilon(objective, gradient, rho)), torch.no_grad():
                    gaps.append(float(objective.loss_function(objective.model(some[0]), some[1])) - loss)
    if not gaps:
        raise ValueError(f"m must be at most the images of a chunk, not {m}")
    return _mean_and_error(gaps)


def random_directions(objective: Objective, rho: float, draws: int = 20, seed: int = 0) -> tuple[float, float]:
    """Return the mean of L(w + ρu) − L(w) over directions u drawn uniformly from the unit sphere, and its standard error.

    Takes ``draws`` forward passes. Nearly all directions of a high-dimensional space are flat, so at SAM's ρ this is often near zero or
    negative.
    """
    generator = torch.Generator().manual_seed(seed)
    loss, rises = objective.loss(), []
    for _ in range(draws):
        u = [torch.randn(p.shape, generator=generator).to(p) for p in objective.params]
        rises.append(objective.loss_at(torch._foreach_mul(u, rho / total_norm(u))) - loss)
    return _mean_and_error(rises)


def adaptive_sharpness(objective: Objective, rho: float) -> float:
    """Return L(w + ε) − L(w) for ASAM's ε = ρ |w|²⊙g/‖|w|⊙g‖ (Kwon et al. 2021, arXiv 2102.11600, with η = 0).

    Takes one gradient and one forward pass. Invariant to rescaling of the weights that does not change the function. Its ρ is not
    SAM's: it is relative to each weight.
    """
    loss, gradient = objective.gradient()
    return objective.loss_at(_epsilon(objective, gradient, rho, adaptive=True)) - loss


def _epsilon(
    objective: Objective,
    gradient: Sequence[Tensor],
    rho: float,
    masks: Sequence[Tensor | None] | None = None,
    norm: Norm = "full",
    adaptive: bool = False,
) -> list[Tensor]:
    params = [p.detach() for p in objective.params]
    kept = [None] * len(params) if masks is None else masks
    return perturbation(params, gradient, [rho] * len(params), kept, norm, [True] * len(params) if adaptive else None)[
        0
    ]


def _mean_and_error(values: Sequence[float]) -> tuple[float, float]:
    """Return the mean and its standard error, NaN for a single value."""
    error = statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else math.nan
    return statistics.fmean(values), error
