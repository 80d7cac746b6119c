"""One lane of a race: a model, its optimizer and its mask, advanced one step at a time."""

from collections.abc import Sequence
from typing import cast

from torch import Tensor

from ssam.data import Batches
from ssam.engine.distributed import ALONE, Ranks
from ssam.engine.mask_source import Masks, MaskSource
from ssam.engine.plan import choose_plan
from ssam.engine.predictions import new_answers
from ssam.experiment import LaneSpec, RaceSpec
from ssam.experiment.events import MaskEvent
from ssam.methods import METHODS
from ssam.methods.directions import DIRECTIONS
from ssam.models import StagedModel, parameters_in
from ssam.optim import SAM
from ssam.planning.cost import is_sub_batch
from ssam.training import steps
from ssam.training.average import Best, moving_average
from ssam.training.optimizer import base_for, optimizer_for
from ssam.training.schedule import learning_rate, step_rate
from ssam.training.steps import StepRecord
from ssam.training.timing import PhaseTimer


class Lane:
    """One method in training. ``step_count``, ``gradients`` and ``seconds`` are its three clocks. Only ``seconds``
    includes mask refreshes; in ``gradients``, a gradient of part of a batch counts as one.

    ``answers`` are its predictions for the training images (``ssam.engine.predictions``); None with several processes, each
    of which sees only its share of a batch.

    Args:
        spec: the race.
        lane: this lane's own settings.
        name: unique within the race.
        model: this lane's own copy, on the device.
        batches: the source of the samples for the mask scores.
        shares: each stage's share of the compute.
        ranks: the processes that share the batches of this lane.
    """

    def __init__(
        self,
        spec: RaceSpec,
        lane: LaneSpec,
        name: str,
        model: StagedModel,
        batches: Batches,
        shares: Sequence[float],
        ranks: Ranks = ALONE,
    ) -> None:
        self.spec, self.lane, self.method, self.name, self.model = spec, lane, METHODS[lane.method], name, model
        self.rho, self.sparsity = spec.lane_rho(lane), spec.lane_sparsity(lane)
        self.device = next(model.parameters()).device
        self._batches, self.ranks = batches, ranks
        self.base = base_for(spec, lane, model.parameters())
        statistics = [buffer for buffer in model.buffers() if buffer.is_floating_point()]  # of BatchNorm
        if ranks.size > 1:  # every kind of step ends with the base optimizer's step
            self.base.register_step_pre_hook(lambda *_: ranks.average(self._gradients() + statistics))
        self.sam = optimizer_for(spec, lane, self.base)
        region = parameters_in(model, lane.region)
        self._shares = shares
        self._masks = MaskSource(spec, lane, model, region, batches, shares)
        if lane.region != "all":
            self.sparsity = self._masks.sparsity
        self.plan = choose_plan(spec, lane, model, region, shares)
        self.step_count, self.gradients, self.seconds = 0, 0, 0.0
        self.total_steps = self._total_steps()
        self.new_mask: MaskEvent | None = None
        self.eigenvector: list[Tensor] | None = None  # the latest estimate for the Hessian
        self.answers = new_answers(batches, self.device) if ranks.size == 1 else None
        self.diverged = False
        self.average = moving_average(model, lane.ema) if lane.ema else None
        self.best: Best | None = None  # so far, if the lane may stop early
        self._stopped = False

    @property
    def evaluated(self) -> StagedModel:
        """Return the model to evaluate: the lane's own, or the moving average of its weights."""
        return self.model if self.average is None else cast("StagedModel", self.average.module)

    def judge(self, loss: float, accuracy: float) -> None:
        """Record the validation loss and accuracy if the lane may stop early. When it is done, load the weights with
        the best accuracy."""
        if self.lane.patience is None:
            return
        if self.best is None or accuracy > self.best.accuracy:
            weights = {name: tensor.clone() for name, tensor in self.evaluated.state_dict().items()}
            self.best = Best(self.step_count, loss, accuracy, weights)
        waited = self.step_count - self.best.step
        self._stopped = waited >= self.lane.patience * self._batches.steps_per_epoch
        if self.done:
            self.evaluated.load_state_dict(self.best.weights)

    @property
    def epoch(self) -> float:
        return self.step_count / self._batches.steps_per_epoch

    @property
    def progress(self) -> float:
        """Return the share of the budget used, 0–1, on the race's clock."""
        used = self.seconds / self.spec.seconds if self.total_steps is None else self.step_count / self.total_steps
        return min(1.0, used)

    @property
    def done(self) -> bool:
        return self.progress >= 1.0 or self._stopped

    @property
    def best_epoch(self) -> float | None:
        """Return the epoch of the best weights, which the result uses; None if it uses those of the last epoch."""
        return None if self.best is None else self.best.step / self._batches.steps_per_epoch

    def is_due(self, interval: int | None) -> bool:
        """Return whether the lane is at the start of the race or at the end of every ``interval``-th epoch; False for
        None."""
        return interval is not None and self.step_count % (interval * self._batches.steps_per_epoch) == 0

    @property
    def keeps_weights(self) -> bool:
        """Return whether to save the weights now: at the start, every ``snapshot_interval`` epochs and at the end."""
        return self.is_due(self.spec.snapshot_interval) or (self.spec.snapshot_interval is not None and self.done)

    def step(self, x: Tensor, y: Tensor) -> StepRecord:
        """Take one training step on the batch x (B, C, H, W), y (B,)."""
        timer = PhaseTimer(self.device)
        if not self.model.training:  # after an evaluation; traversing all modules takes 0.1 ms
            self.model.train()
        for group in self.base.param_groups:
            group["lr"] = self._learning_rate()
        record = self._descend(x, y, timer) if self.sam is None else self._perturb(self.sam, x, y, timer)
        if not DIRECTIONS[self.lane.direction].keeps_gradients:
            self.base.zero_grad()
        if self.average is not None:
            self.average.update_parameters(self.model)
            timer.mark("update")
        self.step_count += 1
        return record

    def _descend(self, x: Tensor, y: Tensor, timer: PhaseTimer) -> StepRecord:
        self.base.zero_grad()
        self.gradients += 1
        return steps.descend(self.model, self.base, x, y, timer, self.lane.label_smoothing)

    def _perturb(self, sam: SAM, x: Tensor, y: Tensor, timer: PhaseTimer) -> StepRecord:
        self._refresh_before(sam, timer)
        smoothing = self.lane.label_smoothing
        direction = DIRECTIONS[self.lane.direction].rule
        too_early = direction is not None and self.step_count == 0
        if too_early or self.step_count % self.lane.interval or not sam.perturbed_parameters():
            return self._descend(x, y, timer)  # at sparsity 1 the mask perturbs nothing
        if direction is not None:
            self.gradients += 1
            return steps.free_ascent(self.model, sam, x, y, timer, direction, smoothing)
        self.gradients += 2
        if is_sub_batch(self.spec, self.lane):
            assert self.lane.ascent_batch is not None
            own = self.lane.ascent_batch // self.ranks.size
            return steps.sub_batch_ascent(self.model, sam, x, y, timer, self._refresh_between, own, smoothing)
        needed = self._masks.region if self._mask_will_move() else None
        split = self.plan.split
        return steps.two_passes(self.model, sam, x, y, timer, self._refresh_between, split, needed, smoothing)

    def _learning_rate(self) -> float:
        """Return the learning rate of the lane's schedule. On the seconds clock, the warm-up is a twentieth of the
        budget."""
        peak = self.spec.lane_lr(self.lane)
        if self.total_steps is None:
            return learning_rate(peak, max(self.progress, 0.005), warmup=0.05)
        return step_rate(peak, self.step_count, self.total_steps, self._batches.steps_per_epoch)

    def _total_steps(self) -> int | None:
        """Return the number of steps; None on the seconds clock. On the gradients clock, the lane with the most passes
        per step trains for ``epochs`` epochs. On both other clocks, a lane with its own number of epochs ends after
        these."""
        steps_ = (self.lane.epochs or self.spec.epochs) * self._batches.steps_per_epoch
        if self.spec.clock == "epochs" or self.lane.epochs:
            return steps_
        if self.spec.clock == "seconds":
            return None
        most = max(lane.passes for lane in self.spec.lanes)
        return round(steps_ * most / self.lane.passes)

    def _mask_will_move(self) -> bool:
        return self.method.next_mask is not None and self.step_count > 0 and self.is_due(self.spec.mask_interval)

    def _refresh_before(self, sam: SAM, timer: PhaseTimer) -> None:
        """Set the first mask, and every mask that ranks scores: these need no gradient of the batch. Dense SAM needs no
        mask."""
        if self.step_count == 0 and (self.method.sparse or self.lane.region != "all"):
            self.set_mask(sam, self._masks.first())
            timer.mark("mask")
        elif self.lane.mask_score and self.is_due(self.spec.mask_interval):
            self.set_mask(sam, self._masks.by_score(self.step_count))
            timer.mark("mask")

    def _refresh_between(self, sam: SAM, timer: PhaseTimer) -> None:
        """Use the gradients of the first pass: average them if ε is global or if the method's rules use them, so that
        every process keeps the same, and set the next mask of a method that needs the gradient of the whole batch."""
        if self.ranks.perturbation == "global" or sam.rules:
            self.ranks.average(self._gradients())
        if self._mask_will_move():
            assert sam.masks is not None
            known = [p for p in self._masks.region if p.grad is not None]
            averaged = self.ranks.averaged([p.grad for p in known if p.grad is not None])
            gradients = dict(zip(known, averaged, strict=True))
            new = self._masks.next(dict(sam.masks), gradients, self.step_count, self.progress)
            self.set_mask(sam, new)
            timer.mark("mask")

    def _gradients(self) -> list[Tensor]:
        return [p.grad for p in self.model.parameters() if p.grad is not None]

    def set_mask(self, sam: SAM, new: Masks | None) -> None:
        new = self.ranks.masks(new)
        self.diverged |= new is None
        if new is not None:
            old = None if sam.masks is None else dict(sam.masks)
            sam.masks = new
            self.new_mask = self._masks.describe(self.name, self.step_count, self.epoch, new, old)
            if self.lane.granularity != "weight":  # which groups were chosen is known only now
                self.sparsity = 1 - self.new_mask.density
            if self.lane.mask_score:  # holds until the next ranking; a dynamic mask may grow anywhere in the region
                self.plan = choose_plan(self.spec, self.lane, self.model, sam.perturbed_parameters(), self._shares)
