"""How a lane takes its steps: the cheapest way that gives exactly what was asked for, and what it should cost."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from ssam.models import StagedModel, first_stage, stage_macs
from ssam.spec import METHODS, LaneSpec, RaceSpec

NAMES = {"momentum": "against the momentum buffer", "last": "along the last descent gradient"}


@dataclass(frozen=True, slots=True)
class Plan:
    """``split``: the stages before it run once a step. ``predicted_ratio``: multiply-accumulates of a step over those of an
    SGD step. ``exact``: the step is the paper's, bit for bit; otherwise it is what ``words`` says."""

    words: str
    predicted_ratio: float
    exact: bool = True
    split: int = 0


def choose_plan(
    spec: RaceSpec, lane: LaneSpec, model: StagedModel, region: Sequence[Tensor], shape: tuple[int, int, int]
) -> Plan:
    """The plan for a lane that perturbs weights of ``region`` only, on images of ``shape`` (C, H, W)."""
    if not METHODS[lane.method].perturbs:
        return Plan("one pass", 1.0)
    if lane.direction != "gradient":
        plan = Plan(f"one pass, perturbed {NAMES[lane.direction]}", 1.0, exact=False)
    elif lane.ascent_batch is not None and lane.ascent_batch < spec.batch_size:
        words = f"ascent from {lane.ascent_batch} of {spec.batch_size} images"
        plan = Plan(words, 1 + lane.ascent_batch / spec.batch_size, exact=False)
    elif spec.lane_norm(lane) == "full":
        plan = Plan("two full passes", 2.0)
    else:
        plan = _two_lean_passes(model, region, shape)
    if lane.ascent_interval == 1:
        return plan
    words = f"{plan.words}, once every {lane.ascent_interval} steps"
    return Plan(words, 1 + (plan.predicted_ratio - 1) / lane.ascent_interval, exact=False, split=plan.split)


def _two_lean_passes(model: StagedModel, region: Sequence[Tensor], shape: tuple[int, int, int]) -> Plan:
    """Prefix reuse and partial backward. Of three equal parts of a stage's cost (forward, gradient of its input, gradient
    of its weights) the first pass skips all three before the first perturbed stage, and the last where no convolution or
    matrix of the stage is perturbed."""
    split = first_stage(model, list(region))
    costs, perturbed = stage_macs(model, shape), set(region)
    first_pass = 0.0
    for stage, cost in list(zip(model.stages.values(), costs, strict=True))[split:]:
        needs_weights = any(p in perturbed and p.dim() > 1 for p in stage.parameters())
        first_pass += cost * (3 if needs_weights else 2) / 3
    names = list(model.stages)
    words = f"stages before {names[split]} run once" if split else "two passes, the first for perturbed tensors only"
    return Plan(words, 1 + first_pass / sum(costs), split=split)
