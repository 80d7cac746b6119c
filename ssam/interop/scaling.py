"""Checks for loss scaling and gradient accumulation.

The gradients at w + ε must be used once, and unscaled once, after the second pass.
"""

import sys
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from ssam.interop.sharded import version


class SecondGradients:
    """Checks on the gradients at w + ε, from the second pass to the base optimizer's step that uses them."""

    def __init__(self) -> None:
        self._left: tuple[Tensor, int] | None = None  # one gradient that no step has used yet, and its version
        self._scaler: Callable[[], Any] = lambda: None

    def __bool__(self) -> bool:
        return self._left is not None

    def note(self, params: Sequence[Tensor]) -> None:
        """Record the gradients at w + ε, at the end of the second pass."""
        gradient = next((p.grad for p in params if p.grad is not None), None)
        self._left = None if gradient is None else (gradient, version(gradient))

    def forget(self) -> None:
        """Discard the record of the gradients at w + ε."""
        self._left = None

    def check_gone(self, params: Sequence[Tensor], *optimizers: Optimizer) -> None:
        """Raise RuntimeError if, before an ascent step, the gradients are those at w + ε or have been unscaled."""
        if self._left is not None and any(p.grad is self._left[0] for p in params):
            raise RuntimeError(
                "the gradients at w + ε have not been used: call step() or zero_grad(). To accumulate over micro-batches, "
                "run all of them before perturbed() and all of them again inside it"
            )
        scaler = self._scaler()
        if scaler is not None and any(_has_unscaled(scaler, optimizer) for optimizer in optimizers):
            raise RuntimeError("the gradients have been unscaled before the second pass: unscale once, after it")

    def use(self, sam: Optimizer, base: Optimizer, has_rules: bool = False) -> None:
        """Mark the gradients at w + ε as used, before the base optimizer's step.

        Raise RuntimeError if a GradScaler has unscaled them twice, or not since the second pass, or has scaled those at
        w although the method's own rules use them.
        """
        if has_rules and _calling_scaler() is not None:
            raise RuntimeError("this method's rules need gradients that are not scaled: train without a GradScaler")
        left, self._left = self._left, None
        scaler = None if left is None else _calling_scaler()
        if scaler is None or left is None:
            return
        self._scaler = weakref.ref(scaler)
        divides = getattr(base, "grad_scale", None) is not None  # a fused optimizer unscales inside its step
        if _has_unscaled(scaler, sam) and (divides or _has_unscaled(scaler, base)):
            raise RuntimeError(
                "the gradients have been unscaled twice: scaler.unscale_(sam.base), scaler.step(sam.base)"
            )
        if version(left[0]) == left[1] and not divides:
            raise RuntimeError("the gradients at w + ε are still scaled: unscale once, after the second backward pass")


def _calling_scaler() -> Any:
    """Return the enabled GradScaler that is running an optimizer's step; None if there is none."""
    frame = sys._getframe(2)
    for _ in range(12):  # two frames of torch's step, two of the scaler; the rest for wrappers of other libraries
        scaler = frame.f_locals.get("self")
        if isinstance(scaler, torch.amp.GradScaler):
            return scaler if scaler.is_enabled() else None
        if frame.f_back is None:
            return None
        frame = frame.f_back
    return None


def _has_unscaled(scaler: Any, optimizer: Optimizer) -> bool:
    """Return whether the scaler has unscaled this optimizer's gradients since its last ``update``."""
    state = scaler._per_optimizer_states.get(id(optimizer))  # torch has no public method for this
    return state is not None and state["stage"].name == "UNSCALED"
