"""BatchNorm statistics updated once per step: the second forward pass, at w+ε, must not change them."""

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.module import register_module_forward_pre_hook
from torch.utils.hooks import RemovableHandle

# The hook is meant to fire for the wrapper of torch.compile(model), too.
warnings.filterwarnings("ignore", message="Using `torch.compile\\(module\\)` when there are global hooks")


@contextmanager
def frozen_batchnorm(*models: nn.Module) -> Iterator[None]:
    """Restore, after this block, the buffers of every module in training mode: the running statistics of BatchNorm and
    InstanceNorm, their batch counters, the vectors of spectral normalisation. Inside the block they change as usual.

    It covers every model that this thread calls inside the block, including models made by ``torch.compile(model)`` or
    ``torch.jit``. A model whose call is invisible to hooks must be passed explicitly: one that is compiled by
    ``model.compile()``, runs in another thread, or is called by a compiled function. ``SAM.step`` and ``SAM.perturbed``
    pass their models themselves.

    Costs a copy of these buffers. For BatchNorm and InstanceNorm, the backward pass may come after the block; for other
    modules that read their buffers it must come inside it, otherwise autograd raises an error.

    >>> import torch
    >>> bn = torch.nn.BatchNorm1d(2)
    >>> with frozen_batchnorm():
    ...     _ = bn(torch.randn(8, 2))
    >>> int(bn.num_batches_tracked)
    0
    """
    thread = threading.get_ident()
    seen: dict[int, nn.Module] = {}
    kept: list[tuple[nn.Module, str, Tensor, Tensor]] = []

    def keep(model: nn.Module) -> None:
        for module in model.modules():
            if id(module) not in seen:
                seen[id(module)] = module
                buffers = module.named_buffers(recurse=False) if module.training else ()
                kept.extend((module, name, buffer, buffer.clone()) for name, buffer in buffers)

    def before(module: nn.Module, _inputs: object) -> None:
        if not torch.compiler.is_compiling() and threading.get_ident() == thread and id(module) not in seen:
            keep(module)

    hooks: list[RemovableHandle] = []
    try:
        try:
            try:
                for model in models:
                    keep(model)
                hooks.append(register_module_forward_pre_hook(before))
                yield
            finally:
                _put_back(kept)
        finally:
            _remove(hooks)
    finally:
        _remove(hooks)  # again: a signal may have interrupted the removal


def _remove(hooks: list[RemovableHandle]) -> None:
    for hook in hooks:
        hook.remove()


@torch.no_grad()
def _put_back(kept: list[tuple[nn.Module, str, Tensor, Tensor]]) -> None:
    for module, name, buffer, value in reversed(kept):  # a buffer seen twice gets its first value
        if getattr(module, name) is not buffer:
            setattr(module, name, buffer)
        if isinstance(module, _NormBase):  # no gradient reads these in training; a backward pass may follow
            with torch.autograd.grad_mode._unsafe_preserve_version_counter(buffer):
                buffer.copy_(value)
        else:
            buffer.copy_(value)
