"""λ₁, the largest eigenvalue of the Hessian, estimated during a race."""

import math

import torch
from torch import Tensor

from ssam.analysis.hessian import power_iteration
from ssam.analysis.objective import Objective
from ssam.data import Batches
from ssam.engine.lane import Lane
from ssam.planning.estimate import HESSIAN_IMAGES, HESSIAN_PRODUCTS
from ssam.training.schedule import derived_seed
from ssam.training.timing import PhaseTimer

IMAGES_DRAW, START_DRAW = 3, 4  # distinguish these random streams of one seed, also from those of the masks


def largest_eigenvalue(lane: Lane, batches: Batches) -> dict[str, float]:
    """Return fields of an EpochEvent: the estimate of λ₁ at the lane's weights, its residual, the time in milliseconds.

    Runs power iteration, which finds the eigenvalue of largest magnitude (early in training it may be negative), on the
    Hessian of the mean loss over a few training images, with the labels that the race trains on and BatchNorm in
    evaluation mode. It starts from the last vector of the previous call: the eigenvector changes little from epoch to
    epoch, so a few products per call suffice to track it. The lane's seconds and the race's random state are not
    changed. With several processes, each computes it on the same images.
    """
    timer = PhaseTimer(lane.device)
    seed = lane.spec.seed
    objective = Objective(lane.evaluated, list(batches.samples(HESSIAN_IMAGES, derived_seed(seed, IMAGES_DRAW))))
    start = lane.eigenvector or _random(lane, derived_seed(seed, START_DRAW))
    value, vector, residual = power_iteration(objective, start, HESSIAN_PRODUCTS)
    lane.eigenvector = vector if math.isfinite(value) else None
    timer.mark("eigenvalue")
    took = timer.milliseconds()["eigenvalue"]
    return lane.ranks.mean({"eigenvalue": value, "eigenvalue_residual": residual, "eigenvalue_ms": took})


def _random(lane: Lane, seed: int) -> list[Tensor]:
    """Return the same random vector for every lane and on every device."""
    generator = torch.Generator().manual_seed(seed)
    trained = [p for p in lane.model.parameters() if p.requires_grad]
    return [torch.randn(p.shape, generator=generator).to(p.device) for p in trained]
