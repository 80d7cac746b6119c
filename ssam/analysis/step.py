"""One step of an optimizer, taken apart: the step is its own, and everything that it passes through is kept."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.optim import Optimizer

from ssam.models import StagedModel
from ssam.optim import SAM, frozen_batchnorm
from ssam.optim.perturbation import total_norm

Tensors = list[Tensor]


@dataclass(frozen=True)
class Step:
    """A step from w to w + update. Lists have a tensor for each trained parameter.

    ``gradient`` is what ε follows: the gradient at w of ``loss``, unless another direction was given (then ``loss`` is None). A step
    that perturbs nothing has no ``epsilon`` and no ``second`` gradient, the one at w+ε. ``off`` is max |w after restoring − w|;
    ``radius`` and ``gradient_norm`` are as the optimizer tells them.
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


def take_step(
    model: StagedModel,
    optimizer: SAM | Optimizer,
    x: Tensor,
    y: Tensor,
    along: Mapping[Tensor, Tensor] | None = None,
    ascent_images: int | None = None,
) -> Step:
    """One step on the batch x (B, C, H, W), y (B,); the model is left after it.

    Args:
        model: at w, its parameters the optimizer's.
        optimizer: SAM, dense or sparse, or what steps without perturbing.
        x: the images.
        y: their labels.
        along: the direction that ε follows, by parameter; None: the gradient at w.
        ascent_images: take that gradient from the first so many images; None: from all.
    """
    model.train()  # BatchNorm by the statistics of the batch, as in training
    params = [p for p in model.parameters() if p.requires_grad]
    weights, loss = _copied(params), None
    optimizer.zero_grad()
    if along is None:
        loss = _backward(model, x[:ascent_images], y[:ascent_images], counts=ascent_images is None)
    gradient = _gradients(params) if along is None else [along[p].clone() for p in params]
    if not isinstance(optimizer, SAM):
        optimizer.step()
        update = _moved(params, weights)
        return Step(weights, loss, gradient, float(total_norm(gradient)), update, _loss(model, x, y))
    optimizer.ascent_step(along)
    epsilon = _moved(params, weights)
    loss_perturbed = _backward(model, x, y, counts=loss is None or ascent_images is not None)
    second = _gradients(params)
    optimizer.restore()
    off = max(float(moved.abs().max()) for moved in _moved(params, weights))
    optimizer.descent_step()
    update = _moved(params, weights)
    assert optimizer.gradient_norm is not None
    assert optimizer.radius is not None
    return Step(
        weights,
        loss,
        gradient,
        float(optimizer.gradient_norm),
        update,
        _loss(model, x, y),
        epsilon,
        float(optimizer.radius),
        loss_perturbed,
        second,
        off,
    )


def _backward(model: StagedModel, x: Tensor, y: Tensor, counts: bool) -> float:
    """The loss, with its gradients added. ``counts``: whether it counts for BatchNorm's statistics, once a step."""
    if not counts:
        with frozen_batchnorm():
            return _backward(model, x, y, counts=True)
    loss = cross_entropy(model(x), y)
    loss.backward()
    return loss.item()


@torch.no_grad()
def _loss(model: StagedModel, x: Tensor, y: Tensor) -> float:
    with frozen_batchnorm():
        return cross_entropy(model(x), y).item()


@torch.no_grad()
def _copied(params: Sequence[Tensor]) -> Tensors:
    return [p.clone() for p in params]


def _gradients(params: Sequence[Tensor]) -> Tensors:
    return [torch.zeros_like(p) if p.grad is None else p.grad.clone() for p in params]


@torch.no_grad()
def _moved(params: Sequence[Tensor], weights: Tensors) -> Tensors:
    return [p - w for p, w in zip(params, weights, strict=True)]


# The numbers


def numbers(step: Step, optimizer: SAM | Optimizer) -> dict[str, Any]:
    """What a step's row says of lengths and angles.

    ``divisor`` is the norm that ε is divided by, ``factor`` ρ over it, ``dense`` ‖ε‖ before the mask and ``radius`` after it, both
    ‖·‖₂. ``uphill`` and ``aside`` are the update along ε (along the gradient, where nothing is perturbed) and at right angles to it.
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
    masked = norm([g * m for g, m in zip(step.gradient, masks_of(step, optimizer), strict=True)])
    divisor = step.gradient_norm if optimizer.norm == "full" else masked
    factor = optimizer.rho / max(divisor, 1e-12)
    gap = None if step.loss is None or step.loss_perturbed is None else step.loss_perturbed - step.loss
    return row | {
        "rho": optimizer.rho,
        "norm": optimizer.norm,
        "masked_norm": masked,
        "divisor": divisor,
        "factor": factor,
        "dense": factor * step.gradient_norm,
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
    """Of the angle between two directions; 0 where one has no length."""
    lengths = norm(a) * norm(b)
    return dot(a, b) / lengths if lengths else 0.0


def norm(tensors: Tensors) -> float:
    return dot(tensors, tensors) ** 0.5


def masks_of(step: Step, optimizer: SAM) -> Tensors:
    """True where perturbed, for each trained parameter."""
    params = [p for group in optimizer.param_groups for p in group["params"] if p.requires_grad]
    masks = optimizer.masks
    if masks is None:
        return [torch.ones_like(w, dtype=torch.bool) for w in step.weights]
    return [masks[p] if p in masks else torch.zeros_like(p, dtype=torch.bool) for p in params]
