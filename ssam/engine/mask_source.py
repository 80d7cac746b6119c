"""Where a lane's mask comes from, refresh by refresh."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from ssam.data import Batches
from ssam.engine.schedule import derived_seed
from ssam.masks import (
    cosine_drop_rate,
    density,
    drop_and_grow,
    fisher_scores,
    largest_mask,
    overlap,
    perturbed_count,
    picture,
    random_mask_of,
    share_changed,
)
from ssam.models import StagedModel
from ssam.spec import RaceSpec
from ssam.spec.events import MaskEvent

FISHER_DRAW, MASK_DRAW = 1, 2  # tell the random streams of one seed apart

Masks = dict[Tensor, Tensor]


class MaskSource:
    """Makes the masks of one lane. Only weights of ``region`` are perturbed: of all N weights (1 − s)·N, or the whole region
    where that is smaller.

    A refresh returns None where the scores are NaN: the weights have become NaN, there is nothing left to rank.
    """

    def __init__(
        self,
        spec: RaceSpec,
        method: str,
        sparsity: float,
        model: StagedModel,
        region: Sequence[Tensor],
        batches: Batches,
    ) -> None:
        self._spec, self._method, self._model, self._batches = spec, method, model, batches
        self.region = list(region)
        self._trained = [p for p in model.parameters() if p.requires_grad]
        total = sum(p.numel() for p in self._trained)
        self._count = min(perturbed_count(total, sparsity), sum(p.numel() for p in self.region))
        self.sparsity = 1 - self._count / total  # what was asked for, or what the region leaves of it

    def first(self) -> Masks | None:
        """The mask of the first step: by Fisher information, random for SSAM-D, the whole region for SAM."""
        if self._method == "ssam-f":
            return self.by_fisher(0)
        if self._method == "ssam-d":
            return self._whole(random_mask_of(self.region, self._count, self._generator(0)))
        return self._whole({p: torch.ones_like(p, dtype=torch.bool) for p in self.region})

    def by_fisher(self, step: int) -> Masks | None:
        draw = derived_seed(self._spec.seed, FISHER_DRAW, step)
        samples = self._batches.samples(self._spec.fisher_samples, draw)
        scores = fisher_scores(self._model, cross_entropy, samples)
        if _has_nan(scores.values()):
            return None
        return self._whole(largest_mask({p: scores[p] for p in self.region}, self._count))

    def drop_and_grow(self, old: Masks, step: int, progress: float) -> Masks | None:
        """By the gradients at w, which are in ``.grad`` now."""
        gradients = {p: p.grad for p in self.region}
        if _has_nan(g for g in gradients.values() if g is not None):
            return None
        masks = {p: old[p] for p in self.region}
        return self._whole(drop_and_grow(masks, gradients, cosine_drop_rate(progress), self._generator(step)))

    def describe(self, lane: str, step: int, epoch: float, new: Masks, old: Masks | None) -> MaskEvent:
        names: dict[Tensor, str] = {p: name for name, p in self._model.stages.named_parameters()}
        return MaskEvent(
            lane=lane,
            step=step,
            epoch=epoch,
            density=density(new),
            changed=None if old is None else share_changed(new, old),
            overlap=None if old is None else overlap(new, old),
            densities={names[p]: int(m.sum()) / m.numel() for p, m in new.items()},
            heatmaps={names[p]: picture(m).cpu().numpy() for p, m in new.items()},
        )

    def _whole(self, masks: Masks) -> Masks:
        """With empty masks for what lies outside the region."""
        return {p: masks[p] if p in masks else torch.zeros_like(p, dtype=torch.bool) for p in self._trained}

    def _generator(self, step: int) -> torch.Generator:
        return torch.Generator().manual_seed(derived_seed(self._spec.seed, MASK_DRAW, step))


def _has_nan(tensors: Iterable[Tensor]) -> bool:
    return any(bool(tensor.isnan().any()) for tensor in tensors)
