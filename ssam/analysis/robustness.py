"""Robustness of a race's weights: their accuracy on disturbed test images. Training never sees disturbed images."""

from ssam.analysis.context import AnalysisContext, Result
from ssam.catalogue import DISTURBANCES
from ssam.data.disturbances import disturbed

CLEAN = "clean"


def robustness(context: AnalysisContext) -> Result:
    """Add rows with ``disturbance``, ``level``, ``loss`` and ``accuracy`` (0–1) for every moment; those of clean images, level 0, come first.

    At each level of a disturbance, the images are the same for all moments. The disturbances depend on the seed of the analysis, not
    on that of the race, so races with different seeds are measured on the same images.
    """
    mean, std = context.normalisation
    cases = [(CLEAN, 0.0), *((kind, level) for kind, each in DISTURBANCES.items() for level in each.levels)]
    for number, (kind, level) in enumerate(cases):
        images = context.images
        if kind != CLEAN:
            images = list(disturbed(images, kind, level, mean=mean, std=std, seed=context.analysis.seed))
        for place, moment in enumerate(context.moments, 1):
            loss, accuracy = context.objective(moment, images).loss_and_accuracy()
            row = {"disturbance": kind, "level": level, "loss": loss, "accuracy": accuracy}
            context.rows.append(context.when(moment) | row)
            done = (number + place / len(context.moments)) / len(cases)
            yield done, f"{context.title(moment)}: {kind} {level:g}"
