"""What a step must see to before and between its two passes."""

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
    """Whether its ``step`` evaluates the loss itself, as that of LBFGS: there is no second gradient to hand it."""
    closure = inspect.signature(optimizer.step).parameters.get("closure")
    return closure is not None and closure.default is inspect.Parameter.empty


def forget_cached_weights() -> None:
    """Autocast keeps a copy of each weight in half precision until it is left, ``parametrize.cached()`` what it made of each:
    opened around a step, they would hand the second pass the weights of the first, and SAM would be the base optimizer."""
    torch.clear_autocast_cache()
    parametrize._cache.clear()


def replay(parameters: Sequence[Tensor]) -> Callable[[], None]:
    """What sets torch's random numbers, of the CPU and of the parameters' devices, back to where they are now."""
    states = [partial(torch.set_rng_state, torch.get_rng_state())]
    for device in {p.device for p in parameters if p.device.type not in ("cpu", "meta")}:
        module, which = torch.get_device_module(device), [] if device.type == "mps" else [device]
        states.append(partial(module.set_rng_state, module.get_rng_state(*which), *which))

    def back() -> None:
        for state in states:
            state()

    return back


def first_pass(closure: Callable[[], Any], params: Sequence[Tensor]) -> Any:
    """Calls the closure. Raises RuntimeError where its two calls would not see the same: where it adds to gradients that were
    there, as in Lightning's automatic accumulation, or where Accelerate accumulates, which skips the closure but for the
    last micro-batch."""
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
    part.fill_(float("nan"))  # what is added to it cannot hide that
    loss = closure()
    if probe.grad is gradient and bool(part.isnan().all()) and bool(torch.as_tensor(loss).isfinite().all()):
        raise RuntimeError(
            "the closure must zero the gradients: it added to those that were there. To accumulate over micro-batches, go "
            "through all of them inside the closure, or use perturbed() (in Lightning: manual optimization)"
        )
    return loss
