"""The plan of a lane's steps, derived from the tensors that it perturbs."""

from collections.abc import Iterable, Sequence

from torch import Tensor

from ssam.experiment import LaneSpec, RaceSpec
from ssam.models import StagedModel
from ssam.planning.cost import Plan, Touch, plan_for


def choose_plan(
    spec: RaceSpec, lane: LaneSpec, model: StagedModel, perturbed: Iterable[Tensor], shares: Sequence[float]
) -> Plan:
    """Return the plan for a lane that perturbs weights of these tensors only. ``shares``: each stage's share of the
    compute."""
    return plan_for(spec, lane, list(model.stages), shares, touched_stages(model, perturbed))


def touched_stages(model: StagedModel, perturbed: Iterable[Tensor]) -> list[Touch]:
    """Return, per stage, whether these tensors include nothing of it, only vectors (biases, normalisation), or also
    matrices."""
    wanted = set(perturbed)
    touched: list[Touch] = []
    for stage in model.stages.values():
        dims = {p.dim() > 1 for p in stage.parameters() if p in wanted}
        touched.append("matrices" if True in dims else "vectors" if dims else "nothing")
    return touched
