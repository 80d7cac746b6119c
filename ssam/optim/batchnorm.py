"""BatchNorm statistics once a step: the second forward pass, at w+ε, must leave them alone."""

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.module import register_module_forward_pre_hook
from torch.utils.hooks import RemovableHandle

# A hook that fires once more for the wrapper of torch.compile(model) is what is wanted here.
warnings.filterwarnings("ignore", message="Using `torch.compile\\(module\\)` when there are global hooks")


@contextmanager
def frozen_batchnorm(*models: nn.Module) -> Iterator[None]:
    """After this block the buffers of every module in training mode are as they were before it: the running statistics of
    BatchNorm and InstanceNorm, their batch counters, the vectors of spectral normalisation. Inside it they move as ever.

    It works on whatever model this thread calls inside the block, also one that ``torch.compile(model)`` or
    ``torch.jit`` made. A model whose call cannot be seen must be named: one that ``model.compile()`` or another thread
    runs, or that a compiled function calls. ``SAM.step`` and ``SAM.perturbed`` name their models themselves.

    Costs a copy of these buffers. The backward pass may come after the block for BatchNorm and InstanceNorm; for other modules
    that read their buffers it must come inside it, else autograd says so.

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
        _remove(hooks)  # again: a signal may have come while it was removed


def _remove(hooks: list[RemovableHandle]) -> None:
    for hook in hooks:
        hook.remove()


@torch.no_grad()
def _put_back(kept: list[tuple[nn.Module, str, Tensor, Tensor]]) -> None:
    for module, name, buffer, value in reversed(kept):  # a buffer seen twice ends as it was seen first
        if getattr(module, name) is not buffer:
            setattr(module, name, buffer)
        if isinstance(module, _NormBase):  # no gradient reads these in training: a backward pass may still be to come
            with torch.autograd._unsafe_preserve_version_counter(buffer):
                buffer.copy_(value)
        else:
            buffer.copy_(value)
