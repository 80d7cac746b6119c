"""One training step of each lane in detail: the next step from a snapshot, taken by the optimizer itself, with all its intermediate values.

``what`` tells the kinds of rows apart. "step" has the numbers of a lane's step (None if its method has no such number). "layer", one for
each of ``about["layers"]``, has the layer's part of them: ``density``, the norm of each of PICTURES except the mask, the ``cosine`` of its
two gradients, and the ``scales`` of its pictures. ``arrays`` holds the pictures as PICTURE/LANE: those of all layers in order, flattened,
each ``rows`` × ``columns`` weights of the layer. A larger layer is sampled at even spacing, so that a cell is always one weight.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.optim import Optimizer

from ssam.analysis.context import AnalysisContext, LaneWeights, Result
from ssam.analysis.step import Step, Tensors, cosine, masks_of, norm, numbers, take_step
from ssam.methods import METHODS
from ssam.methods.directions import DIRECTIONS
from ssam.optim import SAM
from ssam.training.optimizer import base_for, optimizer_for

CELLS = 32  # maximum rows and columns of a picture
PICTURES = ("gradient", "mask", "epsilon", "second", "update")


def sampled(tensor: Tensor, cells: int = CELLS) -> Tensor:
    """Return a sample of the tensor's entries as a matrix: rows are output units (dimension 0), columns the rest. If there are more than
    ``cells`` rows or columns, take ``cells`` of them, evenly spaced from the first to the last.

    >>> sampled(torch.arange(10), cells=4)
    tensor([[0, 3, 6, 9]])
    """
    matrix = tensor.reshape(tensor.shape[0] if tensor.dim() > 1 else 1, -1)
    rows, columns = (_places(size, cells) for size in matrix.shape)
    return matrix[rows][:, columns]


def _places(size: int, cells: int) -> list[int]:
    shown = min(size, cells)
    return [place * (size - 1) // max(1, shown - 1) for place in range(shown)]


def quantised(picture: Tensor) -> tuple[np.ndarray, float]:
    """Quantise a signed picture to int8 q and a scale: a cell represents sign(q) · (q/127)² · scale. The square root preserves
    differences between small values; the scale is the largest absolute value."""
    scale = float(picture.abs().max())
    if not 0 < scale < float("inf"):  # all zero, or weights that have become NaN
        return np.zeros(picture.shape, np.int8), 0.0
    share = (picture.abs() / scale).sqrt()
    return (127 * share * picture.sign()).round().to(torch.int8).cpu().numpy(), scale


def restored(cells: np.ndarray, scale: float) -> np.ndarray:
    """Return the values that a picture's cells represent."""
    share = cells.astype(np.float64) / 127
    return np.sign(share) * share**2 * scale


# The lanes of a race


def anatomy(context: AnalysisContext) -> Result:
    """Analyse the next step of each lane from its latest snapshot, on the next batch."""
    named = [(name, p) for name, p in context.model.stages.named_parameters() if p.requires_grad]
    context.about |= {"images": context.race.batch_size, "layers": [_layer(name, p) for name, p in named]}
    context.about["caveats"] = [
        "BatchNorm normalises by the statistics of the batch, as in training.",
        "The update has the momentum and the weight decay of the base optimizer in it.",
    ]
    if any(lane.ema for lane in context.race.lanes) and context.analysis.epochs:
        context.about["caveats"].append("A lane that averages its weights kept the average: its step starts there.")
    if any(METHODS[lane.method].keeps for lane in context.race.lanes) and context.analysis.epochs:
        context.about["caveats"].append(
            "Saved weights come without what a method keeps between steps: it starts without it."
        )
    for number, moment in enumerate(context.last, 1):
        optimizer, step, about = _of_lane(context, moment)
        masks = masks_of(step, optimizer) if isinstance(optimizer, SAM) else None
        context.rows.append({"what": "step"} | context.when(moment) | about | numbers(step, optimizer))
        if masks is not None:
            perturbed = sum(int(mask.sum()) for mask in masks)
            context.rows[-1]["density"] = perturbed / sum(mask.numel() for mask in masks)
        _draw(context, moment, step, None if moment.masks is None else masks)
        yield number / len(context.last), context.title(moment)


def _layer(name: str, p: Tensor) -> dict[str, Any]:
    rows, columns = sampled(p.detach()).shape
    return {"name": name, "stage": name.split(".")[0], "shape": list(p.shape), "rows": rows, "columns": columns}


def _of_lane(context: AnalysisContext, moment: LaneWeights) -> tuple[SAM | Optimizer, Step, dict[str, Any]]:
    """Return the optimizer as it was at that moment, its step, and facts about how the step is taken."""
    race, lane = context.race, context.race.lanes[moment.lane]
    context.model.load_state_dict(moment.weights)
    base, rate = _base(context, moment)
    x, y = context.batch(moment.step)
    about: dict[str, Any] = {"rate": rate, "momentum": moment.optimizer is not None, "direction": "gradient"}
    if (sam := optimizer_for(race, lane, base)) is None:
        return base, take_step(context.model, base, x, y, smoothing=lane.label_smoothing), about
    if moment.masks is not None:
        names = dict(context.model.stages.named_parameters())
        sam.masks = {names[name]: mask.to(x.device) for name, mask in moment.masks.items()}
    params = list(context.model.parameters())
    for p, left in zip(params, moment.left or [None] * len(params), strict=True):
        p.grad = None if left is None else left.to(p.device, copy=True)
    sam.rules.restore(params, moment.kept or [None] * len(params))
    rule = DIRECTIONS[lane.direction].rule
    if rule is not None and len(rule(sam)) < len(params):  # no direction to follow yet, so the race does not perturb
        plain = take_step(context.model, base, x, y, smoothing=lane.label_smoothing)
        return base, plain, about | {"direction": "none"}
    images = None if lane.ascent_batch is None or lane.ascent_batch >= len(x) else lane.ascent_batch
    step = take_step(context.model, sam, x, y, rule, images, lane.label_smoothing)
    return sam, step, about | {"direction": lane.direction, "ascent_images": images}


def _base(context: AnalysisContext, moment: LaneWeights) -> tuple[Optimizer, float]:
    """Return the base optimizer, with its momentum if that was saved, and the learning rate of its step."""
    base = base_for(context.race, context.race.lanes[moment.lane], context.model.parameters())
    if moment.optimizer is not None:
        base.load_state_dict(copy.deepcopy(dict(moment.optimizer)))
    if moment.rate is not None:
        base.param_groups[0]["lr"] = moment.rate
    return base, base.param_groups[0]["lr"]


def _draw(context: AnalysisContext, moment: LaneWeights, step: Step, masks: Tensors | None) -> None:
    """Add the lane's layers as rows and as pictures."""
    parts: dict[str, Tensors | None] = {
        "gradient": step.gradient,
        "epsilon": step.epsilon,
        "second": step.second,
        "update": step.update,
    }
    there = {name: tensors for name, tensors in parts.items() if tensors is not None}
    flat: dict[str, list[np.ndarray]] = {name: [] for name in there}
    for place in range(len(step.weights)):
        row: dict[str, Any] = {"what": "layer", "lane": moment.lane, "layer": place, "scales": {}}
        for name, tensors in there.items():
            cells, row["scales"][name] = quantised(sampled(tensors[place]))
            flat[name].append(cells.reshape(-1))
            row[name] = norm([tensors[place]])
        if step.second is not None:
            row["cosine"] = cosine([step.gradient[place]], [step.second[place]])
        if masks is not None:
            row["density"] = float(masks[place].float().mean())
        context.rows.append(row)
    if masks is not None:
        flat["mask"] = [sampled(mask).to(torch.int8).cpu().numpy().reshape(-1) for mask in masks]
    context.arrays |= {f"{name}/{moment.lane}": np.concatenate(cells) for name, cells in flat.items()}


def with_rates(moments: Sequence[LaneWeights], rate: Callable[[LaneWeights], float | None]) -> list[LaneWeights]:
    """Return the moments with the learning rate of their next step."""
    return [replace(moment, rate=rate(moment)) for moment in moments]
