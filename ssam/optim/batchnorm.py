"""BatchNorm statistics once a step: the second forward pass, at w+ε, must leave them alone."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook


@contextmanager
def frozen_batchnorm() -> Iterator[None]:
    """Inside this block BatchNorm layers in training mode normalise with the batch, as ever, but neither their
    running statistics nor their batch counters move.

    It works on whatever model is called inside the block (by the same thread), so an optimizer that never sees the
    model can use it. ``track_running_stats`` is switched off around each BatchNorm call rather than ``momentum`` set
    to 0, which would still count batches and break when nested.

    >>> import torch
    >>> bn = torch.nn.BatchNorm1d(2)
    >>> with frozen_batchnorm():
    ...     _ = bn(torch.randn(8, 2))
    >>> int(bn.num_batches_tracked)
    0
    """
    thread = threading.get_ident()
    switched_off: list[_BatchNorm] = []

    def before(module: torch.nn.Module, _inputs: object) -> None:
        if not isinstance(module, _BatchNorm) or threading.get_ident() != thread:
            return
        if module.training and module.track_running_stats:
            module.track_running_stats = False
            switched_off.append(module)

    def after(module: torch.nn.Module, _inputs: object, _output: object) -> None:
        if switched_off and module is switched_off[-1] and threading.get_ident() == thread:
            switched_off.pop().track_running_stats = True

    pre, post = register_module_forward_pre_hook(before), register_module_forward_hook(after, always_call=True)
    try:
        yield
    finally:
        pre.remove()
        post.remove()
        for batchnorm in switched_off:
            batchnorm.track_running_stats = True
