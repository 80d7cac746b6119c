"""What a lane does in a step: its settings as text, and the stages of the network as its step runs them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.ui import texts, theme
from app.ui.live_types import Kind, Strip
from ssam.experiment import LaneSpec, RaceSpec
from ssam.methods import METHODS
from ssam.planning.cost import Plan, Touch, first_pass_shares, is_sub_batch, plan_for
from ssam.store import LaneWindow

PLANNED = {"direction": "gradient", "ascent_batch": None, "ascent_interval": None}  # described by the plan's own text
Layers = Sequence[Mapping[str, Any]]  # the event Started's, as dictionaries


@dataclass(frozen=True)
class Stage:
    """One stage in a lane's step. ``share``: its part of the compute of a pass. ``ascent``: how much of a pass the ascent
    runs in it, in the steps that perturb. ``density``: the share of its weights that is perturbed, None before the first
    mask. All are 0–1."""

    name: str
    share: float
    ascent: float
    density: float | None


@dataclass(frozen=True)
class LaneSteps:
    """How a lane takes its steps with its current mask."""

    plan: Plan
    stages: tuple[Stage, ...]


def lane_steps(
    spec: RaceSpec, lane: LaneSpec, info: Mapping[str, Any], densities: Mapping[str, float]
) -> LaneSteps | None:
    """Return a lane's stages; None if the race has not started, or is older than the recording of stages.

    Args:
        spec: the race.
        lane: the lane.
        info: the event Started as a dictionary; empty before the start.
        densities: the perturbed share of each layer under the latest mask; empty before the first.
    """
    if not info.get("stages"):
        return None
    layers, names = info["layers"], [stage["name"] for stage in info["stages"]]
    shares = [stage["share"] for stage in info["stages"]]
    perturbed = _region(layers, names, lane.region)
    if not densities and not METHODS[lane.method].sparse:  # no mask: all of the region is perturbed
        densities = dict.fromkeys(perturbed, 1.0)
    if densities and lane.mask_score:  # then the engine plans by what the latest mask perturbs
        perturbed = {name for name, density in densities.items() if density}
    inside = [[layer for layer in layers if layer["stage"] == name] for name in names]
    touched = [_touch([layer for layer in stage if layer["name"] in perturbed]) for stage in inside]
    ascents = [share * lane.interval for share in first_pass_shares(spec, lane, touched)]
    parts = zip(names, shares, ascents, inside, strict=True)
    stages = (Stage(name, share, ascent, _density(stage, densities)) for name, share, ascent, stage in parts)
    return LaneSteps(plan_for(spec, lane, names, shares, touched), tuple(stages))


def _region(layers: Layers, stages: Sequence[str], region: str) -> set[str]:
    """Return the names of a region's layers, without the network that ``ssam.models.parameters_in`` needs."""
    if region == "norm":
        return {layer["name"] for layer in layers if "norm" in layer["name"].split(".")[-2]}
    if region == "all":
        chosen = stages
    elif region.startswith("from-"):
        chosen = stages[int(region.removeprefix("from-")) :]
    else:
        sizes = [sum(_size(layer) for layer in layers if layer["stage"] == name) for name in stages]
        half = min(range(1, len(stages)), key=lambda k: abs(2 * sum(sizes[:k]) - sum(sizes)))
        chosen = stages[half:] if region == "late" else stages[:half]
    return {layer["name"] for layer in layers if layer["stage"] in chosen}


def _size(layer: Mapping[str, Any]) -> int:
    return math.prod(layer["shape"])


def _touch(layers: Layers) -> Touch:
    if any(len(layer["shape"]) > 1 for layer in layers):
        return "matrices"
    return "vectors" if layers else "nothing"


def _density(layers: Layers, densities: Mapping[str, float]) -> float | None:
    if not densities:
        return None
    weights = sum(_size(layer) for layer in layers)
    return sum(_size(layer) * densities.get(layer["name"], 0.0) for layer in layers) / max(1, weights)


def strip(spec: RaceSpec, lane: LaneSpec, steps: LaneSteps) -> Strip:
    """Return the stages as the panel draws them: width, height and kind of each, and a sentence that says the same."""
    return {
        "every": lane.interval,
        "stages": [
            {
                "name": stage.name,
                "share": stage.share,
                "ascent": stage.ascent,
                "kind": _kind(spec, lane, stage),
                "words": _sentence(spec, lane, stage),
            }
            for stage in steps.stages
        ],
    }


def _kind(spec: RaceSpec, lane: LaneSpec, stage: Stage) -> Kind:
    """Return ``once``, ``twice``, ``light`` (the first time without weight gradients) or ``part`` (of the batch)."""
    if not stage.ascent:
        return "once"
    if is_sub_batch(spec, lane):
        return "part"
    return "twice" if stage.ascent == 1 else "light"


def _sentence(spec: RaceSpec, lane: LaneSpec, stage: Stage) -> str:
    runs = {
        "once": "runs once",
        "twice": "runs twice",
        "light": "runs twice, the first time without weight gradients",
        "part": f"runs twice, the first time on {lane.ascent_batch} of {spec.batch_size} images",
    }[_kind(spec, lane, stage)]
    if stage.ascent and lane.interval > 1:
        runs += f", only in every {texts.ordinal(lane.interval)} step"
    share = f"{_percent(stage.share)} of the compute"
    if stage.density is None:
        return f"{share}, {runs}"
    return f"{share}, {runs}; {f'perturbed {_percent(stage.density)}' if stage.density else 'not perturbed'}"


def _percent(share: float) -> str:
    """Return a share as a percentage.

    >>> [_percent(share) for share in (1, 0.123, 0.0042, 0.00001)]
    ['100%', '12%', '0.4%', 'under 0.1%']
    """
    if 0 < share < 0.0005:
        return "under 0.1%"
    return f"{100 * share:.{int(share < 0.0995)}f}%" if share else "0%"


def settings(spec: RaceSpec, lane: LaneSpec, info: Mapping[str, Any], window: LaneWindow, plan: Plan | None) -> str:
    """Return what the lane perturbs and how, with the sparsity of its latest mask and a plan that saves time."""
    if not METHODS[lane.method].perturbs:
        return " · ".join(["no perturbation", *theme.training_words(lane)])
    pays = plan is not None and (plan.predicted_ratio < 2 or not plan.exact)
    where = lane.model_copy(update=PLANNED) if pays else lane
    words = [
        _pattern(spec, lane, info, window) if word == lane.granularity else word for word in texts.lane_words(where)
    ]
    parts = [_sparsity(spec, lane, window), f"ρ {spec.lane_rho(lane):g}", *words, *theme.training_words(lane)]
    if plan and pays:
        flops = f"{plan.predicted_ratio + 1e-9:.2f}×"  # 1.125 is 1.13, as the browser has it
        parts.append(f"{plan.words}{'' if plan.exact else ', approximate'}: FLOPs {flops}")
    return " · ".join(filter(None, parts))


def _sparsity(spec: RaceSpec, lane: LaneSpec, window: LaneWindow) -> str:
    """Return the sparsity requested, and that of the mask if it is another whole percentage. A dense lane has only that of its
    region."""
    asked = spec.lane_sparsity(lane)
    made = 1 - window.masks[-1]["density"] if window.masks else asked
    if round(100 * made) == round(100 * asked):
        return f"sparsity {asked * 100:.3g}%" if asked else ""
    if not METHODS[lane.method].sparse:
        return f"sparsity {made * 100:.3g}%"
    return f"sparsity {made * 100:.0f}% ({asked * 100:.3g}% requested)"


def _pattern(spec: RaceSpec, lane: LaneSpec, info: Mapping[str, Any], window: LaneWindow) -> str:
    """Return ``n-of-4`` with its N, as 2:4: N of the largest perturbed layer, else that of the requested sparsity."""
    if not lane.granularity.startswith("n-of-"):
        return lane.granularity
    m = int(lane.granularity.removeprefix("n-of-"))
    share = 1 - spec.lane_sparsity(lane)
    if taken := [layer for layer in info.get("layers", ()) if window.densities.get(layer["name"])]:
        share = window.densities[max(taken, key=_size)["name"]]
    return f"{round(m * share)}:{m}"


def masked_lanes(spec: RaceSpec) -> list[str]:
    """Return the names of the lanes that have masks: those of Sparse SAM, and SAM in a region."""
    lanes = zip(spec.lane_names, spec.lanes, strict=True)
    return [name for name, lane in lanes if METHODS[lane.method].sparse or lane.region != "all"]
