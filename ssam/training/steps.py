"""Ways to take one sharpness-aware step. Each updates w and returns a record of the step.

The masks must be set before; ``refresh`` is called when the gradients at w are in ``.grad``, and may set new masks. The
loss is the cross-entropy with label smoothing ``smoothing``. tests/test_steps.py compares each way with its slow twin.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ssam.models import StagedModel
from ssam.optim import SAM, frozen_batchnorm
from ssam.optim.perturbation import total_norm
from ssam.training.precision import autocast, random_state, set_random_state
from ssam.training.timing import PhaseTimer

Refresh = Callable[[SAM, PhaseTimer], None]
Rule = Callable[[SAM], dict[Tensor, Tensor]]


@dataclass(frozen=True, slots=True)
class StepRecord:
    """One step as the device left it: the tensors may not be computed yet, nor the times read.

    ``outputs`` (B, classes) are those of the whole batch that ``loss`` is computed from.

    ``loss`` is L(w), or L(w+ε) if the step never computes L(w) on the whole batch; ``loss_at_perturbed`` is None then,
    and for SGD. ``perturbed_norm`` is the norm of the whole gradient at w+ε, None for SGD.
    """

    outputs: Tensor
    loss: Tensor
    loss_at_perturbed: Tensor | None
    gradient_norm: Tensor
    radius: Tensor | None
    timer: PhaseTimer
    perturbed_norm: Tensor | None = None


def descend(
    model: StagedModel,
    base: torch.optim.Optimizer,
    x: Tensor,
    y: Tensor,
    timer: PhaseTimer,
    smoothing: float = 0.0,
) -> StepRecord:
    """Take a plain base-optimizer step (SGD): one gradient at w."""
    loss, outputs = _loss(model.stages.values(), x, y, smoothing)
    timer.mark("forward1")
    loss.backward()
    timer.mark("backward1")
    base.step()
    timer.mark("update")
    return StepRecord(outputs, loss.detach(), None, _gradient_norm(base), None, timer)


def two_passes(
    model: StagedModel,
    sam: SAM,
    x: Tensor,
    y: Tensor,
    timer: PhaseTimer,
    refresh: Refresh,
    split: int = 0,
    needed: Sequence[Tensor] | None = None,
    smoothing: float = 0.0,
) -> StepRecord:
    """Take a SAM step with two passes over the whole batch: at w, then at w+ε.

    With ``split`` > 0, or under the masked norm, work that cannot change the result is skipped; the step is the same,
    bit for bit:

    * prefix reuse: no weight before stage ``split`` is perturbed, so those stages give the same output in both passes.
      They run once, and the first backward pass stops there.
    * partial backward: tensors that are not perturbed need no gradient in the first pass.

    Both need the masked norm, since the norm of the full gradient needs every gradient at w, and a method whose descent
    does not use them (``Rules.descent``). ``needed`` are the tensors whose
    gradient the first pass must compute; None: those perturbed now. A refresh that may perturb others must name them.

    Dropout draws the same random numbers in both passes. Raise RuntimeError if stages cannot be shared: a stage that
    changes its input in place would corrupt the input of the second pass.
    """
    stages = list(model.stages.values())
    shared = x if split == 0 else _through(stages[:split], x)
    random, unchanged = random_state(x.device), shared._version
    loss, outputs = _loss(stages[split:], shared.detach(), y, smoothing)
    if shared._version != unchanged:
        raise RuntimeError(
            f"stage {list(model.stages)[split]!r} changes its input in place, so it cannot be used twice"
        )
    timer.mark("forward1")
    needed = sam.perturbed_parameters() if needed is None else needed
    if sam.norm == "full" or sam.rules.descent or not needed:
        loss.backward()
    else:
        for parameter, gradient in zip(needed, torch.autograd.grad(loss, needed), strict=True):
            parameter.grad = gradient
    timer.mark("backward1")
    refresh(sam, timer)
    sam.ascent_step()
    timer.mark("perturb")
    set_random_state(x.device, random)
    with frozen_batchnorm():
        loss_at_perturbed, _ = _loss(stages[split:], shared, y, smoothing)
    del shared  # the graph keeps what it needs; this reference would outlive the backward pass
    timer.mark("forward2")
    loss_at_perturbed.backward()
    timer.mark("backward2")
    sam.descent_step()
    timer.mark("update")
    assert sam.gradient_norm is not None
    losses = loss.detach(), loss_at_perturbed.detach()
    return StepRecord(outputs, *losses, sam.gradient_norm, sam.radius, timer, _gradient_norm(sam))


def sub_batch_ascent(
    model: StagedModel,
    sam: SAM,
    x: Tensor,
    y: Tensor,
    timer: PhaseTimer,
    refresh: Refresh,
    ascent_batch: int,
    smoothing: float = 0.0,
) -> StepRecord:
    """Compute ε from the first ``ascent_batch`` images, and the descent gradient from all of them. This is an
    approximation, and labelled as one.

    BatchNorm normalises the small batch by itself. Its statistics are updated once, from the whole batch at w+ε.
    """
    with frozen_batchnorm():
        loss, _ = _loss(model.stages.values(), x[:ascent_batch], y[:ascent_batch], smoothing)
    timer.mark("forward1")
    loss.backward()
    timer.mark("backward1")
    refresh(sam, timer)
    sam.ascent_step()
    return _one_pass_at_perturbed(model, sam, x, y, timer, smoothing)


def free_ascent(
    model: StagedModel,
    sam: SAM,
    x: Tensor,
    y: Tensor,
    timer: PhaseTimer,
    direction: Rule,
    smoothing: float = 0.0,
) -> StepRecord:
    """Perturb along a direction that is already available, so that the step needs one pass. This is an approximation,
    and labelled as one.

    ``direction`` is a rule of ``ssam.methods.directions``. None of them has a direction before the first step.
    """
    sam.ascent_step(direction(sam))
    return _one_pass_at_perturbed(model, sam, x, y, timer, smoothing)


def _one_pass_at_perturbed(
    model: StagedModel, sam: SAM, x: Tensor, y: Tensor, timer: PhaseTimer, smoothing: float
) -> StepRecord:
    timer.mark("perturb")
    loss, outputs = _loss(model.stages.values(), x, y, smoothing)
    timer.mark("forward2")
    loss.backward()
    timer.mark("backward2")
    sam.descent_step()
    timer.mark("update")
    assert sam.gradient_norm is not None
    return StepRecord(outputs, loss.detach(), None, sam.gradient_norm, sam.radius, timer, _gradient_norm(sam))


def _gradient_norm(optimizer: torch.optim.Optimizer) -> Tensor:
    """Return the norm of the gradients that the update used: with several processes, of their mean. Not part of a
    step's time."""
    return total_norm([p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None])


def _loss(stages: Iterable[nn.Module], x: Tensor, y: Tensor, smoothing: float) -> tuple[Tensor, Tensor]:
    """Return the loss, and the outputs without their graph."""
    with autocast(x.device):
        outputs = _through(stages, x)
        return cross_entropy(outputs, y, label_smoothing=smoothing), outputs.detach()


def _through(stages: Iterable[nn.Module], x: Tensor) -> Tensor:
    with autocast(x.device):
        for stage in stages:
            x = stage(x)
        return x
