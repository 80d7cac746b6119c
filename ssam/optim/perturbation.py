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
    gradient_norm: Tensor  # ‖g‖₂ over all parameters, whatever the mask
    radius: Tensor  # ‖ε‖₂, the effective radius


def perturbation(
    params: Sequence[Tensor],
    grads: Sequence[Tensor],
    rhos: Sequence[float],
    masks: Sequence[Tensor | None],
    norm: Norm = "full",
    adaptive: Sequence[bool] | None = None,
) -> Perturbation:
    """ε = ρ m⊙g / (‖g‖₂ + 1e-12), the norm taken over all tensors together.

    SAM (Foret et al. 2021, eq. 2) with the mask m of Sparse SAM (Mi et al. 2022, eq. 5). ``norm="full"`` divides by
    the norm of the whole gradient, as published, so that ‖ε‖ < ρ under a mask; ``norm="masked"`` divides by ‖m⊙g‖,
    so that ‖ε‖ = ρ. Where ``adaptive`` holds, g is replaced by |w|²⊙g and the norm is that of |w|⊙g (ASAM, Kwon et al.
    2021, eq. 5, with η = 0).

    Args:
        params: tensors of any shapes, all on one device.
        grads: their gradients, same shapes.
        rhos: the radius for each tensor (parameter groups may differ).
        masks: bool tensors of the same shapes, True = perturbed; None perturbs the whole tensor.
        norm: ``"full"`` or ``"masked"``.
        adaptive: per tensor; None means nowhere.
    """
    scaled = [w.abs() * g if a else g for w, g, a in zip(params, grads, adaptive or [False] * len(params), strict=True)]
    kept = [s if m is None else s * m for s, m in zip(scaled, masks, strict=True)]
    full_norm, kept_norm = _norm(scaled), _norm(kept)
    divisor = (full_norm if norm == "full" else kept_norm) + EPSILON
    directions = (
        kept if adaptive is None else [w.abs() * k if a else k for w, k, a in zip(params, kept, adaptive, strict=True)]
    )
    epsilon = list(torch._foreach_mul(directions, list(rhos)))
    torch._foreach_div_(epsilon, divisor)
    gradient_norm = full_norm if adaptive is None or not any(adaptive) else _norm(grads)
    return Perturbation(epsilon, gradient_norm, _norm(epsilon))


def _norm(tensors: Sequence[Tensor]) -> Tensor:
    """L2 norm over all tensors together, a 0-dim tensor of at least float32."""
    half = any(t.dtype in (torch.float16, torch.bfloat16) for t in tensors)  # float16 overflows at 65,504
    norms = torch._foreach_norm(list(tensors), 2, torch.float32 if half else None)
    return torch.linalg.vector_norm(torch.stack(norms))
