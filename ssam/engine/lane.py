"""One lane of a race: a model, its optimizer and its mask, one step at a time."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ssam.data import Batches
from ssam.engine.device import autocast
from ssam.engine.schedule import derived_seed, learning_rate
from ssam.engine.timing import PhaseTimer
from ssam.masks import (
    cosine_drop_rate,
    density,
    drop_and_grow,
    fisher_scores,
    overlap,
    picture,
    random_mask,
    share_changed,
    top_k_mask,
)
from ssam.models import StagedModel
from ssam.optim import SAM, frozen_batchnorm
from ssam.spec import METHODS, LaneSpec, RaceSpec
from ssam.spec.events import MaskEvent

FISHER_DRAW, MASK_DRAW = 1, 2  # tell the random streams of one seed apart


@dataclass(frozen=True, slots=True)
class StepRecord:
    """One step as the device left it: the tensors may still be computed, the times not yet read."""

    loss: Tensor
    loss_at_perturbed: Tensor | None
    gradient_norm: Tensor
    radius: Tensor | None
    timer: PhaseTimer


class Lane:
    """A method at work. ``step_count``, ``gradients`` and ``seconds`` are its three clocks; of these only ``seconds``
    counts mask refreshes too.

    Args:
        spec: the race.
        lane: this lane's own settings.
        name: unique in the race.
        model: this lane's own copy, on the device.
        batches: where Fisher samples come from.
    """

    def __init__(self, spec: RaceSpec, lane: LaneSpec, name: str, model: StagedModel, batches: Batches) -> None:
        self.spec, self.method, self.name, self.model = spec, METHODS[lane.method], name, model
        self.rho, self.sparsity = spec.lane_rho(lane), spec.lane_sparsity(lane)
        self.device = next(model.parameters()).device
        self._batches = batches
        self.base = torch.optim.SGD(
            model.parameters(), lr=spec.lr, momentum=spec.momentum, weight_decay=spec.weight_decay, fused=True
        )
        self.sam = SAM(self.base, rho=self.rho, norm=spec.norm) if self.method.passes == 2 else None
        self.step_count, self.gradients, self.seconds = 0, 0, 0.0
        self.total_steps = self._total_steps()
        self.new_mask: MaskEvent | None = None
        self.diverged = False

    @property
    def epoch(self) -> float:
        return self.step_count / self._batches.steps_per_epoch

    @property
    def progress(self) -> float:
        """Share of the budget used, 0–1, on the race's clock."""
        used = self.seconds / self.spec.seconds if self.total_steps is None else self.step_count / self.total_steps
        return min(1.0, used)

    @property
    def done(self) -> bool:
        return self.progress >= 1.0

    def step(self, x: Tensor, y: Tensor) -> StepRecord:
        """One training step on the batch x (B, C, H, W), y (B,)."""
        timer = PhaseTimer(self.device)
        self.model.train()
        for group in self.base.param_groups:
            group["lr"] = self._learning_rate()
        if self._mask_is_due("ssam-f"):
            self._refresh_fisher_mask()
            timer.mark("mask")
        loss = self._forward(x, y)
        timer.mark("forward1")
        loss.backward()
        timer.mark("backward1")
        record = (
            self._descend(loss, timer) if self.sam is None else self._ascend_and_descend(self.sam, loss, x, y, timer)
        )
        self.base.zero_grad()
        self.step_count += 1
        self.gradients += self.method.passes
        return record

    def _descend(self, loss: Tensor, timer: PhaseTimer) -> StepRecord:
        self.base.step()
        timer.mark("update")
        norm = nn.utils.get_total_norm([p.grad for p in self.model.parameters() if p.grad is not None])
        return StepRecord(loss.detach(), None, norm, None, timer)

    def _ascend_and_descend(self, sam: SAM, loss: Tensor, x: Tensor, y: Tensor, timer: PhaseTimer) -> StepRecord:
        if self._mask_is_due("ssam-d"):
            self._refresh_dynamic_mask(sam)
            timer.mark("mask")
        sam.ascent_step()
        timer.mark("perturb")
        with frozen_batchnorm():
            loss_at_perturbed = self._forward(x, y)
        timer.mark("forward2")
        loss_at_perturbed.backward()
        timer.mark("backward2")
        sam.descent_step()
        timer.mark("update")
        assert sam.gradient_norm is not None
        return StepRecord(loss.detach(), loss_at_perturbed.detach(), sam.gradient_norm, sam.radius, timer)

    def _forward(self, x: Tensor, y: Tensor) -> Tensor:
        with autocast(self.device):
            return cross_entropy(self.model(x), y)

    def _learning_rate(self) -> float:
        """Warm-up over one epoch, at most a fifth of the race (a twentieth on the seconds clock). The middle of the step
        counts, so that no step has a rate of 0."""
        if self.total_steps is None:
            return learning_rate(self.spec.lr, max(self.progress, 0.005), warmup=0.05)
        warmup = min(0.2, self._batches.steps_per_epoch / self.total_steps)
        return learning_rate(self.spec.lr, (self.step_count + 0.5) / self.total_steps, warmup)

    def _total_steps(self) -> int | None:
        """None on the seconds clock. On the gradients clock the dearest lane makes ``epochs`` epochs."""
        steps = self.spec.epochs * self._batches.steps_per_epoch
        if self.spec.clock == "epochs":
            return steps
        most = max(METHODS[lane.method].passes for lane in self.spec.lanes)
        return steps * most // self.method.passes if self.spec.clock == "gradients" else None

    def _mask_is_due(self, method: str) -> bool:
        """At the first step of each ``mask_interval``-th epoch, the very first step included."""
        interval = self.spec.mask_interval * self._batches.steps_per_epoch
        return self.method.name == method and self.step_count % interval == 0

    def _refresh_fisher_mask(self) -> None:
        draw = derived_seed(self.spec.seed, FISHER_DRAW, self.step_count)
        scores = fisher_scores(self.model, cross_entropy, self._batches.samples(self.spec.fisher_samples, draw))
        if self._can_rank(scores.values()):
            self._set_mask(top_k_mask(scores, self.sparsity))

    def _refresh_dynamic_mask(self, sam: SAM) -> None:
        """Random at the start, then drop and grow by the batch gradient at w, which is in ``.grad`` now."""
        generator = torch.Generator().manual_seed(derived_seed(self.spec.seed, MASK_DRAW, self.step_count))
        if sam.masks is None:
            trained = [p for p in self.model.parameters() if p.requires_grad]
            self._set_mask(random_mask(trained, self.sparsity, generator))
        else:
            gradients = {p: p.grad for p in sam.masks}
            if self._can_rank(g for g in gradients.values() if g is not None):
                self._set_mask(drop_and_grow(sam.masks, gradients, cosine_drop_rate(self.progress), generator))

    def _can_rank(self, scores: Iterable[Tensor]) -> bool:
        """Weights that have become NaN have NaN scores: there is nothing left to rank, the lane has diverged."""
        self.diverged |= any(bool(score.isnan().any()) for score in scores)
        return not self.diverged

    def _set_mask(self, masks: dict[Tensor, Tensor]) -> None:
        assert self.sam is not None
        old, self.sam.masks = self.sam.masks, masks
        names: dict[Tensor, str] = {p: name for name, p in self.model.stages.named_parameters()}
        self.new_mask = MaskEvent(
            lane=self.name,
            step=self.step_count,
            epoch=self.epoch,
            density=density(masks),
            changed=None if old is None else share_changed(masks, old),
            overlap=None if old is None else overlap(masks, old),
            densities={names[p]: int(m.sum()) / m.numel() for p, m in masks.items()},
            heatmaps={names[p]: picture(m).cpu().numpy() for p, m in masks.items()},
        )
