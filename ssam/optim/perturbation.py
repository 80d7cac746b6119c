"""The perturbation ε of sharpness-aware minimization, as one pure function."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor

Norm = Literal["full", "masked"]
EPSILON = 1e-12  # keeps a zero gradient from dividing by zero; the value of the published code


class Perturbation(NamedTuple):
    """``epsilon`` has one tensor per parameter; the norms are 0-dim tensors, so nothing waits for the device."""

    epsilon: list[Tensor]
    radius: Tensor  # ‖ε‖₂, the effective radius
    norm: Tensor  # ‖g‖₂ or ‖m⊙g‖₂, what ε is divided by


def perturbation(
    params: Sequence[Tensor],
    grads: Sequence[Tensor],
    rhos: Sequence[float],
    masks: Sequence[Tensor | None],
    norm: Norm = "full",
    adaptive: Sequence[bool] | None = None,
) -> Perturbation:
    """ε = ρ m⊙g / (‖g‖₂ + 1e-12), the norm taken over all tensors together.

    SAM (Foret et al. 2021) with the mask m of Sparse SAM (Mi et al. 2022). ``norm="full"`` divides by
    the norm of the whole gradient, as published, so that ‖ε‖ < ρ under a mask; ``norm="masked"`` divides by ‖m⊙g‖,
    so that ‖ε‖ = ρ. Where ``adaptive`` holds, g is replaced by |w|²⊙g and the norm is that of |w|⊙g (ASAM, Kwon et al.
    2021, with η = 0).

    Args:
        params: tensors of any shapes, all on one device.
        grads: their gradients, same shapes.
        rhos: the radius for each tensor (parameter groups may differ).
        masks: bool tensors of the same shapes, True = perturbed; None perturbs the whole tensor, at no cost.
        norm: ``"full"`` or ``"masked"``.
        adaptive: per tensor; None means nowhere.
    """
    if not params:
        return Perturbation([], torch.zeros(()), torch.zeros(()))
    scales = [w.abs() if a else None for w, a in zip(params, adaptive or [False] * len(params), strict=True)]
    scaled = [g if t is None else t * g for g, t in zip(grads, scales, strict=True)]
    # Read as bytes: a CPU multiplies those up to twice as fast as bools, to the same result.
    kept = [s if m is None else s * m.view(torch.uint8) for s, m in zip(scaled, masks, strict=True)]
    directions = [k if t is None else t * k for k, t in zip(kept, scales, strict=True)]
    size = total_norm(scaled if norm == "full" else kept)
    divisor = size + EPSILON
    if len(set(rhos)) == 1:  # as nearly always: one pass over the weights instead of two
        epsilon = list(torch._foreach_mul(directions, rhos[0] / divisor))
    else:
        epsilon = list(torch._foreach_mul(directions, list(rhos)))
        torch._foreach_div_(epsilon, divisor)
    return Perturbation(epsilon, total_norm(epsilon), size)


def total_norm(tensors: Sequence[Tensor]) -> Tensor:
    """L2 norm over all tensors together, a 0-dim tensor of at least float32."""
    half = any(t.dtype in (torch.float16, torch.bfloat16) for t in tensors)  # float16 overflows at 65,504
    norms = torch._foreach_norm(list(tensors), 2, torch.float32 if half else None)
    return torch.linalg.vector_norm(torch.stack(norms))
