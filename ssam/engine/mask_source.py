"""The source of a lane's masks: its score, its granularity, its region and its random streams."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from ssam.data import Batches
from ssam.experiment import LaneSpec, RaceSpec
from ssam.experiment.events import MaskEvent
from ssam.masks import (
    fisher_scores,
    gradient_scores,
    group_mask,
    largest_mask,
    n_of_m_mask,
    perturbed_count,
)
from ssam.methods import METHODS
from ssam.models import StagedModel
from ssam.training.mask_bits import packed
from ssam.training.mask_facts import density, heatmap, overlap, share_changed
from ssam.training.schedule import derived_seed

FISHER_DRAW, MASK_DRAW = 1, 2  # distinguish the random streams of one seed
MOST_TOLD_BITS = 1_000_000  # the most weights of a network whose events hold complete masks

Masks = dict[Tensor, Tensor]


class MaskSource:
    """Makes the masks of one lane. Only weights of ``region`` are perturbed: (1 − s)·N of all N weights, or the whole
    region if it is smaller. Coarse granularities come as close to that number as their groups allow.

    A refresh returns None if the scores are NaN: the weights have become NaN, so nothing can be ranked.

    Args:
        spec: the race.
        lane: the lane.
        model: the lane's own.
        region: the tensors that may be perturbed.
        batches: the source of the samples for the scores.
        shares: each stage's share of the compute, for the score per cost.
    """

    def __init__(
        self,
        spec: RaceSpec,
        lane: LaneSpec,
        model: StagedModel,
        region: Sequence[Tensor],
        batches: Batches,
        shares: Sequence[float],
    ) -> None:
        self._spec, self._lane, self._model, self._batches, self._shares = spec, lane, model, batches, shares
        self._method, self.region = METHODS[lane.method], list(region)
        self._trained = [p for p in model.parameters() if p.requires_grad]
        self._total = sum(p.numel() for p in self._trained)
        self._size = sum(p.numel() for p in self.region)
        self._count = min(perturbed_count(self._total, spec.lane_sparsity(lane)), self._size)
        self.sparsity = 1 - self._count / self._total  # as specified, or higher if the region is too small

    def first(self) -> Masks | None:
        """Return the mask of the first step: by its score, by the method's own rule, or the whole region."""
        if self._lane.mask_score:
            return self.by_score(0)
        if self._method.first_mask is not None:
            return self._whole(self._method.first_mask(self.region, self._count, self._generator(0)))
        return self._whole({p: torch.ones_like(p, dtype=torch.bool) for p in self.region})

    def by_score(self, step: int) -> Masks | None:
        """Return the mask of a method that ranks, at the current weights."""
        scores = self._scores(step)
        if _has_nan(scores.values()):
            return None
        granularity = self._lane.granularity
        if granularity == "weight":
            return self._whole(largest_mask(scores, self._count))
        if granularity.startswith("n-of-"):
            m = int(granularity.removeprefix("n-of-"))
            return self._whole(n_of_m_mask(scores, round(m * self._count / self._size), m))
        groups = [[p] for p in self.region] if granularity == "tensor" else self._blocks()
        return self._whole(group_mask(groups, self._group_scores(groups, scores, step), self._count))

    def next(self, old: Masks, gradients: Masks, step: int, progress: float) -> Masks | None:
        """Return the next mask by the method's own rule, from the gradients at w."""
        if _has_nan(gradients.values()):
            return None
        assert self._method.next_mask is not None
        masks = {p: old[p] for p in self.region}
        return self._whole(self._method.next_mask(masks, gradients, progress, self._generator(step)))

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
            heatmaps={names[p]: heatmap(m).cpu().numpy() for p, m in new.items()},
            bits={names[p]: packed(m) for p, m in new.items()} if self._total <= MOST_TOLD_BITS else {},
        )

    def _scores(self, step: int) -> Masks:
        """Return one score per weight of the region."""
        kind = self._lane.mask_score
        if kind == "random":
            draws = torch.rand(self._size, generator=self._generator(step)).split([p.numel() for p in self.region])
            return {p: draw.view(p.shape).to(p.device) for p, draw in zip(self.region, draws, strict=True)}
        if kind == "magnitude":
            return {p: p.detach().abs() for p in self.region}
        samples = self._batches.samples(self._spec.fisher_samples, derived_seed(self._spec.seed, FISHER_DRAW, step))
        if kind == "gradient":
            scores = gradient_scores(self._model, cross_entropy, samples)
        else:
            scores = fisher_scores(self._model, cross_entropy, samples, batch=self._spec.fisher_batch)
        return {p: scores[p] for p in self.region}

    def _group_scores(self, groups: list[list[Tensor]], scores: Masks, step: int) -> list[float]:
        """Return the mean score of each group's weights. Random scores are drawn per group, because the mean of many
        draws is nearly constant. Per cost, the score is the sum over the block's weights divided by the block's share
        of the compute."""
        if self._lane.mask_score == "random":
            return torch.rand(len(groups), generator=self._generator(step)).tolist()
        masses = [sum(float(scores[p].sum()) for p in group) for group in groups]
        if self._lane.mask_score == "fisher-per-cost":
            prices = [share for share, stage in zip(self._shares, self._stages(), strict=True) if stage]
        else:
            prices = [float(sum(p.numel() for p in group)) for group in groups]
        return [mass / max(price, 1e-12) for mass, price in zip(masses, prices, strict=True)]

    def _blocks(self) -> list[list[Tensor]]:
        return [stage for stage in self._stages() if stage]

    def _stages(self) -> list[list[Tensor]]:
        """Return the region's tensors, stage by stage."""
        region = set(self.region)
        return [[p for p in stage.parameters() if p in region] for stage in self._model.stages.values()]

    def _whole(self, masks: Masks) -> Masks:
        """Return the masks, extended by empty ones for all tensors outside the region."""
        return {p: masks[p] if p in masks else torch.zeros_like(p, dtype=torch.bool) for p in self._trained}

    def _generator(self, step: int) -> torch.Generator:
        return torch.Generator().manual_seed(derived_seed(self._spec.seed, MASK_DRAW, step))


def _has_nan(tensors: Iterable[Tensor]) -> bool:
    return any(bool(tensor.isnan().any()) for tensor in tensors)
