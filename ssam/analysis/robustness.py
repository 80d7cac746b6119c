"""Accuracy of a race's weights on disturbed test images, which training has not seen."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from ssam.analysis.context import AnalysisContext, Result
from ssam.catalogue import CLEAN, DISTURBANCES
from ssam.data.disturbances import disturbed


def robustness(context: AnalysisContext) -> Result:
    """Measure every moment on the clean images, then under each disturbance and level.

    Rows have ``disturbance`` ("clean" first), ``level`` (0 for clean images) and ``accuracy`` (0–1). All moments see the same disturbed images. The seed
    of the analysis decides how they are disturbed, not the race's, so races with different seeds see the same ones, too.
    """
    cases = [(CLEAN, 0.0), *((kind, level) for kind, each in DISTURBANCES.items() for level in each.levels)]
    for number, (kind, level) in enumerate(cases):
        for place, moment in enumerate(context.moments, 1):
            context.model.load_state_dict(moment.weights)
            row = {
                "disturbance": kind,
                "level": level,
                "accuracy": accuracy(context.model, _images(context, kind, level)),
            }
            context.rows.append(context.when(moment) | row)
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
