"""The time of a mask refresh in SGD steps, and the agreement of cheaper scores with the per-image Fisher information."""

import copy
from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

from ssam.bench.events import Refresh
from ssam.bench.published import published_scores
from ssam.bench.timing import Timer, interleave, quartiles, ratios
from ssam.data import Batches
from ssam.engine.lane import Lane
from ssam.engine.mask_source import FISHER_DRAW, Masks, MaskSource
from ssam.experiment import LaneSpec, RaceSpec
from ssam.masks import top_k_mask
from ssam.masks.fisher import evaluation_mode
from ssam.models import StagedModel, parameters_in, stage_shares
from ssam.training.mask_facts import overlap
from ssam.training.schedule import derived_seed

IMAGES = 128
STEPS_BEFORE = 20  # training steps first, because the scores of an untrained network say little
MOST_REPEATS = 9


def refreshes(spec: RaceSpec, model: StagedModel, batches: Batches, repeats: int, timer: Timer) -> Iterator[Refresh]:
    """Yield the timing of every way to make a mask, on the same images and weights, each paired with adjacent SGD steps."""
    shares = stage_shares(model, batches.shape)
    sgd = Lane(spec, LaneSpec(method="sgd"), "sgd", copy.deepcopy(model), batches, shares)
    for step in range(STEPS_BEFORE):
        sgd.step(*batches.get(step))
    model = copy.deepcopy(sgd.model)
    truth = top_k_mask(scores_one_by_one(model, images_of(spec, batches)), spec.sparsity)
    ways = ways_to_a_mask(spec, model, batches)
    agreements = [overlap({p: found[p] for p in truth}, truth) for found in (way() for way in ways.values())]
    reference = partial(sgd.step, *batches.get(0))
    base, times = interleave(reference, list(ways.values()), min(repeats, MOST_REPEATS), timer)
    for score, taken, agreement in zip(ways, times, agreements, strict=True):
        median, iqr = quartiles(ratios(taken, base))
        yield Refresh(spec.model, score, IMAGES, median, iqr, round(agreement, 4))


def ways_to_a_mask(spec: RaceSpec, model: StagedModel, batches: Batches) -> dict[str, Callable[[], Masks]]:
    """Return functions by name; each makes a new mask of ``model`` in its current state."""

    def by_score(lane: str, batch: int = 1) -> Callable[[], Masks]:
        source = source_of(spec, lane, model, batches, batch)

        def make() -> Masks:
            masks = source.by_score(0)
            assert masks is not None
            return masks

        return make

    alone = copy.deepcopy(model)  # a copy, because its BatchNorm statistics change
    x, y = images_of(spec, batches)
    samples = DataLoader(TensorDataset(x.cpu(), y.cpu()), batch_size=1, shuffle=True)

    def published() -> Masks:
        scores = published_scores(alone, samples, IMAGES)
        return dict(zip(model.parameters(), top_k_mask(scores, spec.sparsity).values(), strict=True))

    return {
        "Fisher, image by image": by_score("ssam-f"),
        "Fisher, 8 images a gradient": by_score("ssam-f", 8),
        "Fisher, 32 images a gradient": by_score("ssam-f", 32),
        "gradient": by_score("ssam:score=gradient"),
        "published style": published,
    }


def source_of(spec: RaceSpec, lane: str, model: StagedModel, batches: Batches, batch: int = 1) -> MaskSource:
    changed = spec.model_copy(update={"fisher_samples": IMAGES, "fisher_batch": batch})
    return MaskSource(changed, LaneSpec.parse(lane), model, parameters_in(model, "all"), batches, ())


def images_of(spec: RaceSpec, batches: Batches) -> tuple[Tensor, Tensor]:
    """Return the images and labels that all ways use."""
    parts = list(batches.samples(IMAGES, derived_seed(spec.seed, FISHER_DRAW, 0)))
    return torch.cat([x for x, _ in parts]), torch.cat([y for _, y in parts])


def scores_one_by_one(model: StagedModel, images: tuple[Tensor, Tensor]) -> Masks:
    """Return the empirical Fisher information, computed the slow and simple way: one backward pass per image, squared gradients summed."""
    weights = list(model.parameters())
    scores: Masks = {p: torch.zeros_like(p) for p in weights}
    with evaluation_mode(model):
        for x, y in zip(*images, strict=True):
            loss = cross_entropy(model(x[None]), y[None])
            for p, gradient in zip(weights, torch.autograd.grad(loss, weights), strict=True):
                scores[p] += gradient.square()
    return scores
