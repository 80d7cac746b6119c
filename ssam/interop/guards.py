"""Checks and precautions before and between the two passes of a step."""

import inspect
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils import parametrize
from torch.optim import Optimizer

from ssam.interop.sharded import local


def needs_closure(optimizer: Optimizer) -> bool:
    """Return whether ``step`` requires a closure, as in LBFGS. Such a step cannot use gradients computed before it."""
    closure = inspect.signature(optimizer.step).parameters.get("closure")
    return closure is not None and closure.default is inspect.Parameter.empty


def forget_cached_weights() -> None:
    """Clear the caches of autocast (half-precision copies of weights) and ``parametrize.cached()`` (computed weights).

    If either context is open around a whole step, its cache would give the second pass the weights of the first, and
    SAM would reduce to the base optimizer.
    """
    torch.clear_autocast_cache()
    parametrize._cache.clear()


def replay(parameters: Sequence[Tensor]) -> Callable[[], None]:
    """Return a function that restores the current state of torch's random generators: CPU and parameters' devices."""
    states = [partial(torch.set_rng_state, torch.get_rng_state())]
    for device in {p.device for p in parameters if p.device.type not in ("cpu", "meta")}:
        module, which = torch.get_device_module(device), [] if device.type == "mps" else [device]
        states.append(partial(module.set_rng_state, module.get_rng_state(*which), *which))

    def back() -> None:
        for state in states:
            state()

    return back


def first_pass(closure: Callable[[], Any], params: Sequence[Tensor]) -> Any:
    """Call the closure and return its loss. Raise RuntimeError if the two passes would use different samples.

    This happens if the closure adds to existing gradients, as in Lightning's automatic accumulation, and if Accelerate
    accumulates gradients: it then runs the closure on the last micro-batch only.
    """
    accelerate = sys.modules.get("accelerate.state")
    if accelerate is not None and accelerate.GradientState().num_steps > 1:
        raise RuntimeError(
            "Accelerate's gradient accumulation runs the closure on the last micro-batch only; use "
            "Accelerator(gradient_accumulation_steps=1) and go through the micro-batches inside the closure"
        )
    left = [(p, local(p.grad.detach())) for p in params if p.grad is not None and local(p.grad.detach()).numel()]
    if not left:
        return closure()
    probe, part = min(left, key=lambda pair: pair[1].numel())
    gradient = probe.grad
    part.fill_(float("nan"))  # NaN stays NaN if the closure adds to it
    loss = closure()
    if probe.grad is gradient and bool(part.isnan().all()) and bool(torch.as_tensor(loss).isfinite().all()):
        raise RuntimeError(
            "the closure must zero the gradients: it added to those that were there. To accumulate over micro-batches, go "
            "through all of them inside the closure, or use perturbed() (in Lightning: manual optimization)"
        )
    return loss
