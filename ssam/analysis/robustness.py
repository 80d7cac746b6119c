"""Accuracy of a race's weights on disturbed test images, which training has not seen, and of disturbed weights."""

import statistics
from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor, nn

from ssam.analysis import disturbed_weights
from ssam.analysis.context import AnalysisContext, Result
from ssam.catalogue import CLEAN, DISTURBANCES, UNDISTURBED, WEIGHT_DISTURBANCES, Disturbance
from ssam.data.disturbances import disturbed


def robustness(context: AnalysisContext) -> Result:
    """Measure every moment on the clean images, then under each disturbance and level.

    Rows have ``disturbance`` ("clean" first), ``level`` (0 for clean images) and ``accuracy`` (0–1). All moments see the same disturbed images. The seed
    of the analysis decides how they are disturbed, not the race's, so races with different seeds see the same ones, too.
    """

    def measure(kind: str, level: float) -> dict[str, float]:
        return {"accuracy": accuracy(context.model, _images(context, kind, level))}

    return _each_case(context, CLEAN, DISTURBANCES, measure)


def weight_robustness(context: AnalysisContext) -> Result:
    """Measure every moment with its own weights, then with weights under each disturbance and level.

    Rows have ``disturbance`` ("undisturbed" first), ``level`` (0 for undisturbed weights), and ``accuracy``, ``lowest`` and ``highest``
    (0–1): the mean and the range over the draws of the noise; the other disturbances have a single one. All moments have the same draws,
    which the seed of the analysis decides. BatchNorm's statistics stay as they are.
    """

    def measure(kind: str, level: float) -> dict[str, float]:
        if kind == UNDISTURBED:
            found = [accuracy(context.model, context.images)]
        else:
            found = []
            for change in disturbed_weights.changes(kind, level, context.analysis.seed):
                with disturbed_weights.disturbed(context.model, change):
                    found.append(accuracy(context.model, context.images))
        return {"accuracy": statistics.fmean(found), "lowest": min(found), "highest": max(found)}

    return _each_case(context, UNDISTURBED, WEIGHT_DISTURBANCES, measure)


def _each_case(
    context: AnalysisContext,
    undisturbed: str,
    disturbances: Mapping[str, Disturbance],
    measure: Callable[[str, float], dict[str, float]],
) -> Result:
    """Measure the model with the weights of each moment: undisturbed, then under each disturbance and level."""
    cases = [(undisturbed, 0.0), *((kind, level) for kind, each in disturbances.items() for level in each.levels)]
    for number, (kind, level) in enumerate(cases):
        for place, moment in enumerate(context.moments, 1):
            context.model.load_state_dict(moment.weights)
            row = {"disturbance": kind, "level": level}
            context.rows.append(context.when(moment) | row | measure(kind, level))
            done = (number + place / len(context.moments)) / len(cases)
            yield done, f"{context.title(moment)}: {kind} {level:g}"


def _images(context: AnalysisContext, kind: str, level: float) -> Iterable[tuple[Tensor, Tensor]]:
    """Return the images in chunks. They are disturbed again for each moment: keeping large ones would fill the memory."""
    if kind == CLEAN:
        return context.images
    mean, std = context.normalisation
    return disturbed(context.images, kind, level, mean=mean, std=std, seed=context.analysis.seed)


@torch.no_grad()
def accuracy(model: nn.Module, batches: Iterable[tuple[Tensor, Tensor]]) -> float:
    """Return the share of images that are classified as labelled, 0–1, with the model in evaluation mode."""
    model.eval()
    right = images = 0
    for x, y in batches:
        right += int((model(x).argmax(1) == y).sum())
        images += len(y)
    return right / images
