"""How the weights of a race do on test images that are disturbed, of which training has seen none."""

from ssam.analysis.context import AnalysisContext, Result
from ssam.catalogue import DISTURBANCES
from ssam.data.disturbances import disturbed

CLEAN = "clean"


def robustness(context: AnalysisContext) -> Result:
    """Rows with ``disturbance``, ``level``, ``loss``, ``accuracy`` (0–1) of every moment, first of the clean images, level 0.

    A disturbance and its level disturb the images in the same way for all moments. The seed of the analysis decides how, not that of the race, so
    races with different seeds are measured on the same images.
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
