"""The optimizers of a lane, built from its method and its settings."""

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.optim import Optimizer

from ssam.experiment import LaneSpec, RaceSpec
from ssam.methods import METHODS
from ssam.optim import SAM


def base_for(spec: RaceSpec, lane: LaneSpec, params: Iterable[Tensor]) -> Optimizer:
    """Return the base optimizer, with the lane's peak learning rate."""
    lr, decay = spec.lane_lr(lane), spec.lane_weight_decay(lane)
    if spec.lane_base(lane) == "adamw":
        return torch.optim.AdamW(params, lr=lr, betas=(spec.momentum, 0.999), weight_decay=decay, fused=True)
    return torch.optim.SGD(params, lr=lr, momentum=spec.momentum, weight_decay=decay, fused=True)


def optimizer_for(spec: RaceSpec, lane: LaneSpec, base: Optimizer) -> SAM | None:
    """Return SAM around the base optimizer; None for a method that perturbs nothing."""
    method = METHODS[lane.method]
    if not method.perturbs:
        return None
    return SAM(base, rho=spec.lane_rho(lane), norm=spec.lane_norm(lane), **method.optimizer)
