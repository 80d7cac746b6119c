"""How a lane takes its steps: the cheapest way that gives exactly what was asked for, and what it should cost."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from torch import Tensor

from ssam.models import StagedModel
from ssam.spec import METHODS, LaneSpec, RaceSpec
from ssam.spec.cost import Touch, first_pass_shares, is_sub_batch, predicted_ratio

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
    spec: RaceSpec, lane: LaneSpec, model: StagedModel, perturbed: Iterable[Tensor], shares: Sequence[float]
) -> Plan:
    """The plan for a lane that perturbs weights of these tensors only. ``shares``: each stage's part of the compute."""
    touched = touched_stages(model, perturbed)
    first_pass = first_pass_shares(spec, lane, touched)
    predicted = predicted_ratio(shares, first_pass)
    if not METHODS[lane.method].perturbs:
        return Plan("one pass", predicted)
    exact, split = True, 0
    if lane.direction != "gradient":
        words, exact = f"one pass, perturbed {NAMES[lane.direction]}", False
    elif is_sub_batch(spec, lane):
        words, exact = f"ascent from {lane.ascent_batch} of {spec.batch_size} images", False
    elif spec.lane_norm(lane) == "full":
        words = "two full passes"
    else:
        split = next((i for i, what in enumerate(touched) if what != "nothing"), 0)
        before = list(model.stages)[split]
        words = f"stages before {before} run once" if split else "two passes, the first for perturbed tensors only"
    if lane.ascent_interval > 1:
        words, exact = f"{words}, once every {lane.ascent_interval} steps", False
    return Plan(words, predicted, exact, split)


def touched_stages(model: StagedModel, perturbed: Iterable[Tensor]) -> list[Touch]:
    """Per stage, whether these tensors hold nothing of it, only vectors (biases, normalisation), or also matrices."""
    wanted = set(perturbed)
    touched: list[Touch] = []
    for stage in model.stages.values():
        dims = {p.dim() > 1 for p in stage.parameters() if p in wanted}
        touched.append("matrices" if True in dims else "vectors" if dims else "nothing")
    return touched
