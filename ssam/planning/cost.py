"""The cost of a lane's step in multiply-accumulates: how often each stage of the network runs. Never imports torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ssam.experiment.lane import LaneSpec
from ssam.experiment.race import RaceSpec
from ssam.methods import METHODS
from ssam.methods.directions import DIRECTIONS

Touch = Literal["nothing", "vectors", "matrices"]  # the most that the mask perturbs of a stage


@dataclass(frozen=True, slots=True)
class Plan:
    """How a lane takes its steps: the cheapest way that gives exactly the specified result, or the approximation that
    ``words`` describe.

    ``predicted_ratio``: multiply-accumulates of a step over those of an SGD step. ``exact``: the step equals the
    paper's, bit for bit. ``split``: the stages before it run once per step.
    """

    words: str
    predicted_ratio: float
    exact: bool = True
    split: int = 0


def plan_for(
    spec: RaceSpec, lane: LaneSpec, stages: Sequence[str], shares: Sequence[float], touched: Sequence[Touch]
) -> Plan:
    """Return the plan of a lane.

    Args:
        spec: the race of the lane.
        lane: the lane.
        stages: the names of the network's stages.
        shares: each stage's share of the compute, 0–1.
        touched: per stage, what the lane may perturb there.
    """
    predicted = predicted_ratio(shares, first_pass_shares(spec, lane, touched))
    if not METHODS[lane.method].perturbs:
        return Plan("one pass", predicted)
    if set(touched) == {"nothing"}:
        return Plan("one pass, nothing is perturbed", predicted)
    exact, split = True, 0
    if lane.is_free:
        words, exact = f"one pass, perturbed {DIRECTIONS[lane.direction].words}", False
    elif is_sub_batch(spec, lane):
        words, exact = f"ascent from {lane.ascent_batch} of {spec.batch_size} images", False
    elif needs_whole_gradient(spec, lane):
        words = "two full passes"
    else:
        split = next(i for i, what in enumerate(touched) if what != "nothing")
        words = (
            f"stages before {stages[split]} run once" if split else "two passes, the first for perturbed tensors only"
        )
    if lane.interval > 1:
        words = f"{words}, once every {lane.interval} steps"
        exact = exact and METHODS[lane.method].spans_steps
    return Plan(words, predicted, exact, split)


def first_pass_shares(spec: RaceSpec, lane: LaneSpec, touched: Sequence[Touch]) -> list[float]:
    """Return, per stage, the share of a forward+backward pass that the ascent costs on average; 0 if the stage runs
    once per step.

    A pass has three equal parts: forward, gradient of the input, gradient of the weights. Under the masked norm, the
    first pass skips all three before the first perturbed stage (prefix reuse), and the third in stages without a
    perturbed convolution or matrix (partial backward). A lane that needs the whole gradient at w skips nothing.

    Args:
        spec: the race of the lane.
        lane: the lane.
        touched: per stage of the network, what the lane may perturb there.

    >>> lane = LaneSpec.parse("sam:region=late:norm=masked")
    >>> first_pass_shares(RaceSpec(lanes=(lane,)), lane, ["nothing", "vectors", "matrices"])
    [0.0, 0.6666666666666666, 1.0]
    """
    if not METHODS[lane.method].perturbs or lane.is_free or set(touched) == {"nothing"}:
        return [0.0] * len(touched)
    if is_sub_batch(spec, lane):
        assert lane.ascent_batch is not None
        shares = [lane.ascent_batch / spec.batch_size] * len(touched)
    elif needs_whole_gradient(spec, lane):
        shares = [1.0] * len(touched)
    else:
        first = next(i for i, what in enumerate(touched) if what != "nothing")
        shares = [0.0 if i < first else 1.0 if what == "matrices" else 2 / 3 for i, what in enumerate(touched)]
    return [share / lane.interval for share in shares]


def needs_whole_gradient(spec: RaceSpec, lane: LaneSpec) -> bool:
    """Return whether the first pass needs the gradient of every weight: for its norm, or for the method's descent."""
    return spec.lane_norm(lane) == "full" or METHODS[lane.method].compares


def is_sub_batch(spec: RaceSpec, lane: LaneSpec) -> bool:
    """Return whether the ascent gradient comes from a part of the batch."""
    return lane.ascent_batch is not None and lane.ascent_batch < spec.batch_size


def predicted_ratio(stage_shares: Sequence[float], first_pass: Sequence[float]) -> float:
    """Return the multiply-accumulates of a step over those of an SGD step: 1 + Σ stage's share · share of its first
    pass.

    >>> predicted_ratio([0.75, 0.25], [0.0, 1.0])
    1.25
    """
    return 1 + sum(share * first for share, first in zip(stage_shares, first_pass, strict=True))
