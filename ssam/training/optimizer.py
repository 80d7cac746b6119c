"""The optimizer of a lane, as its method and its settings make it."""

from torch.optim import Optimizer

from ssam.experiment import LaneSpec, RaceSpec
from ssam.methods import METHODS
from ssam.optim import SAM


def optimizer_for(spec: RaceSpec, lane: LaneSpec, base: Optimizer) -> SAM | None:
    """SAM around the base optimizer; None for a method that perturbs nothing."""
    method = METHODS[lane.method]
    if not method.perturbs:
        return None
    return SAM(base, rho=spec.lane_rho(lane), norm=spec.lane_norm(lane), **method.optimizer)
