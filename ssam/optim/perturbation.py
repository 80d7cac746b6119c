"""The perturbation ε of sharpness-aware minimization as one pure function."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from ssam.interop.sharded import local, total_norm

Norm = Literal["full", "masked"]
EPSILON = 1e-12  # keeps a zero gradient from dividing by zero; the value of the published code


class Perturbation(NamedTuple):
    """The perturbation and its norms. ``epsilon`` has one tensor per parameter; the norms are 0-dim tensors, so nothing
    waits for the device."""

    epsilon: list[Tensor]
    radius: Tensor  # ‖ε‖₂, the effective radius
    norm: Tensor  # ‖g‖₂ or ‖m⊙g‖₂, the divisor of ε


def perturbation(
    params: Sequence[Tensor],
    grads: Sequence[Tensor],
    rhos: Sequence[float],
    masks: Sequence[Tensor | None],
    norm: Norm = "full",
    adaptive: Sequence[bool] | None = None,
) -> Perturbation:
    """Return ε = ρ m⊙g / (‖g‖₂ + 1e-12), with the norm taken over all tensors together.

    SAM (Foret et al. 2021) with the mask m of Sparse SAM (Mi et al. 2022). ``norm="full"`` divides by the norm of the
    whole gradient, as published, so that ‖ε‖ < ρ under a mask; ``norm="masked"`` divides by ‖m⊙g‖, so that ‖ε‖ = ρ.
    Where ``adaptive`` is True, g is replaced by |w|²⊙g and the norm is that of |w|⊙g (ASAM, Kwon et al. 2021, with
    η = 0).

    Args:
        params: tensors of any shapes, all on one device. For sharded ones (DTensor), ``epsilon`` is the local part.
        grads: their gradients, same shapes. For gradients in half precision, ``epsilon`` is float32.
        rhos: the radius for each tensor (parameter groups may differ).
        masks: bool tensors of the same shapes, True = perturbed; None perturbs the whole tensor, at no cost.
        norm: ``"full"`` or ``"masked"``.
        adaptive: per tensor; None means False for all.
    """
    if not params:
        return Perturbation([], torch.zeros(()), torch.zeros(()))
    gradients = [_at_least_float32(local(g)) for g in grads]
    scales = [local(w).abs() if a else None for w, a in zip(params, adaptive or [False] * len(params), strict=True)]
    scaled = [g if t is None else t * g for g, t in zip(gradients, scales, strict=True)]
    # View the mask as bytes: a CPU multiplies bytes up to twice as fast as bools, with the same result.
    kept = [s if m is None else s * local(m).view(torch.uint8) for s, m in zip(scaled, masks, strict=True)]
    directions = [k if t is None else t * k for k, t in zip(kept, scales, strict=True)]
    size = total_norm(scaled if norm == "full" else kept, params)
    divisor = size + EPSILON
    if len(set(rhos)) == 1:  # the usual case: one pass over the weights instead of two
        epsilon = list(torch._foreach_mul(directions, rhos[0] / divisor))
    else:
        epsilon = list(torch._foreach_mul(directions, list(rhos)))
        torch._foreach_div_(epsilon, divisor)
    return Perturbation(epsilon, total_norm(epsilon, params), size)


def _at_least_float32(gradient: Tensor) -> Tensor:
    """Return the gradient in float32 or wider, and dense: an embedding's gradient may be sparse."""
    gradient = gradient.to_dense() if gradient.is_sparse else gradient
    return gradient.float() if gradient.dtype in (torch.float16, torch.bfloat16) else gradient
