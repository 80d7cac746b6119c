"""One step of an optimizer in detail: the optimizer takes its own step, and all intermediate values are recorded."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.optim import Optimizer

from ssam.models import StagedModel
from ssam.optim import SAM, frozen_batchnorm
from ssam.optim.rules import Rules
from ssam.training import steps
from ssam.training.steps import Rule
from ssam.training.timing import PhaseTimer

Tensors = list[Tensor]


@dataclass(frozen=True)
class Step:
    """A step from w to w + update. Lists have one tensor for each trained parameter.

    ``gradient`` is that of ``loss`` at w, or the direction that was given instead (then ``loss`` is None). ``followed`` is what ε
    follows: the gradient, or what the method's rule makes of it. ``second`` is the gradient at w+ε. A step that perturbs nothing has neither ``epsilon`` nor ``second``. ``off`` is max |w after
    restoring − w|; ``radius`` and ``gradient_norm`` are as reported by the optimizer.
    """

    weights: Tensors
    loss: float | None
    gradient: Tensors
    gradient_norm: float
    update: Tensors
    loss_after: float
    epsilon: Tensors | None = None
    radius: float | None = None
    loss_perturbed: float | None = None
    second: Tensors | None = None
    off: float | None = None
    followed: Tensors | None = None


def take_step(
    model: StagedModel,
    optimizer: SAM | Optimizer,
    x: Tensor,
    y: Tensor,
    direction: Rule | None = None,
    ascent_images: int | None = None,
    smoothing: float = 0.0,
) -> Step:
    """Take one step on the batch x (B, C, H, W), y (B,), exactly as a race does. The model is left at the weights after the step.

    Args:
        model: the model at w; its parameters are those of the optimizer.
        optimizer: SAM, dense or sparse, or an optimizer that does not perturb.
        x: the images.
        y: their labels.
        direction: the direction that ε follows, a rule of ``ssam.methods.directions``; None: the gradient at w.
        ascent_images: compute that gradient from the first so many images; None: from all.
        smoothing: label smoothing of the loss.
    """
    model.train()  # BatchNorm uses the statistics of the batch, as in training
    params = [p for p in model.parameters() if p.requires_grad]
    seen = _Seen(x.device, params, optimizer)
    if direction is None:
        optimizer.zero_grad()
    few = None if ascent_images is None else _loss(model, x[:ascent_images], y[:ascent_images], smoothing)
    if not isinstance(optimizer, SAM):
        record = steps.descend(model, optimizer, x, y, seen, smoothing)
    elif direction is not None:
        seen.gradient = [direction(optimizer)[p].clone() for p in params]
        record = steps.free_ascent(model, optimizer, x, y, seen, direction, smoothing)
    elif ascent_images is not None:
        record = steps.sub_batch_ascent(model, optimizer, x, y, seen, _no_refresh, ascent_images, smoothing)
    else:  # with all gradients at w, even those that the step does not need
        record = steps.two_passes(model, optimizer, x, y, seen, _no_refresh, needed=params, smoothing=smoothing)
    perturbed = record.loss if record.loss_at_perturbed is None else record.loss_at_perturbed
    return Step(
        weights=seen.weights,
        loss=None if direction is not None else float(record.loss) if few is None else few,
        gradient=seen.gradient,
        gradient_norm=float(record.gradient_norm),
        update=_moved(params, seen.weights),
        loss_after=_loss(model, x, y, smoothing),
        epsilon=seen.epsilon,
        radius=None if record.radius is None else float(record.radius),
        loss_perturbed=None if seen.epsilon is None else float(perturbed),
        second=seen.second,
        off=seen.off,
        followed=seen.followed,
    )


class _Seen(PhaseTimer):
    """Recorder of a step's intermediate values, at the ends of its phases."""

    def __init__(self, device: torch.device, params: Sequence[Tensor], optimizer: SAM | Optimizer) -> None:
        super().__init__(device)
        self.params, self.weights, self.optimizer = params, [p.detach().clone() for p in params], optimizer
        self.gradient: Tensors = []
        self.epsilon: Tensors | None = None
        self.second: Tensors | None = None
        self.off: float | None = None
        self.followed: Tensors | None = None

    def mark(self, phase: str) -> None:
        if phase == "backward1":
            self.gradient = _gradients(self.params)
            if isinstance(self.optimizer, SAM) and self.optimizer.rules.ascent:
                self.followed = self._followed(self.optimizer.rules)
        elif phase == "perturb":
            self.epsilon = _moved(self.params, self.weights)
        elif phase == "backward2":
            assert isinstance(self.optimizer, SAM)
            self.second = _gradients(self.params)
            self.optimizer.restore()
            self.off = max(float(moved.abs().max()) for moved in _moved(self.params, self.weights))
        super().mark(phase)

    def _followed(self, rules: Rules) -> Tensors:
        """Return what the rule makes of the gradients, without a change to what it keeps."""
        assert rules.ascent
        with torch.no_grad():
            directions = rules.ascent(dict(zip(self.params, self.gradient, strict=True)), dict(rules.kept))
        return [directions[p] for p in self.params]


def _no_refresh(_sam: SAM, _timer: PhaseTimer) -> None:
    """Leave the masks unchanged."""


@torch.no_grad()
def _loss(model: StagedModel, x: Tensor, y: Tensor, smoothing: float) -> float:
    with frozen_batchnorm():
        return cross_entropy(model(x), y, label_smoothing=smoothing).item()


def _gradients(params: Sequence[Tensor]) -> Tensors:
    return [torch.zeros_like(p) if p.grad is None else p.grad.clone() for p in params]


@torch.no_grad()
def _moved(params: Sequence[Tensor], weights: Tensors) -> Tensors:
    return [p - w for p, w in zip(params, weights, strict=True)]


# The numbers


def numbers(step: Step, optimizer: SAM | Optimizer) -> dict[str, Any]:
    """Return the lengths and angles for a step's row.

    ``divisor`` is the norm that ε is divided by (for an adaptive ε, that of |w|⊙g); ``factor`` is ρ divided by it. ``dense`` is ‖ε‖₂
    before the mask, ``radius`` after it. ``uphill`` and ``aside`` are the components of the update along ε and orthogonal to it (along
    the gradient, if nothing is perturbed).
    """
    uphill = step.gradient if step.epsilon is None else step.epsilon
    along = dot(step.update, uphill) / max(norm(uphill), 1e-30)
    length = norm(step.update)
    row: dict[str, Any] = {
        "loss": step.loss,
        "loss_after": step.loss_after,
        "weight_norm": norm(step.weights),
        "gradient_norm": step.gradient_norm,
        "update_norm": length,
        "uphill": along,
        "aside": max(0.0, length**2 - along**2) ** 0.5,
    }
    if not isinstance(optimizer, SAM) or step.epsilon is None or step.second is None:
        return row
    measured = step.gradient if step.followed is None else step.followed
    whole = followed = step.gradient_norm if step.followed is None else norm(measured)
    if optimizer.adaptive:
        measured = [w.abs() * g for w, g in zip(step.weights, measured, strict=True)]
        whole = norm(measured)
        followed = norm([w.abs() * g for w, g in zip(step.weights, measured, strict=True)])
    masked = norm([g * m for g, m in zip(measured, masks_of(step, optimizer), strict=True)])
    divisor = whole if optimizer.norm == "full" else masked
    factor = optimizer.rho / max(divisor, 1e-12)
    gap = None if step.loss is None or step.loss_perturbed is None else step.loss_perturbed - step.loss
    return row | {
        "rho": optimizer.rho,
        "norm": optimizer.norm,
        "masked_norm": masked,
        "divisor": divisor,
        "factor": factor,
        "dense": factor * followed,
        "radius": step.radius,
        "loss_perturbed": step.loss_perturbed,
        "gap": gap,
        "second_norm": norm(step.second),
        "cosine": cosine(step.gradient, step.second),
        "second_uphill": cosine(step.second, step.epsilon),
        "off": step.off,
    }


def dot(a: Tensors, b: Tensors) -> float:
    return sum(float((first.double() * second.double()).sum()) for first, second in zip(a, b, strict=True))


def cosine(a: Tensors, b: Tensors) -> float:
    """Return the cosine of the angle between two directions; 0 if either has norm 0."""
    lengths = norm(a) * norm(b)
    return dot(a, b) / lengths if lengths else 0.0


def norm(tensors: Tensors) -> float:
    return dot(tensors, tensors) ** 0.5


def masks_of(step: Step, optimizer: SAM) -> Tensors:
    """Return a mask for each trained parameter, True where it is perturbed."""
    params = [p for group in optimizer.param_groups for p in group["params"] if p.requires_grad]
    masks = optimizer.masks
    if masks is None:
        return [torch.ones_like(w, dtype=torch.bool) for w in step.weights]
    return [masks[p] if p in masks else torch.zeros_like(p, dtype=torch.bool) for p in params]
