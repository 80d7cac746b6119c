"""Disturbances of trained weights: Gaussian noise, quantisation and pruning, each of one tensor at a time.

``ssam.catalogue.WEIGHT_DISTURBANCES`` has their names and levels. Only tensors with two or more dimensions are disturbed:
the weights of linear and convolution layers and, in a vision transformer, the position embeddings; not biases or
normalisation layers. All levels are relative to the tensor's own weights, so a tensor that is scaled is disturbed alike.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor, nn

from ssam.catalogue import WEIGHT_DISTURBANCES
from ssam.masks.select import top_k_mask
from ssam.training.schedule import derived_seed

Change = Callable[[Tensor], Tensor]


def noisy(w: Tensor, level: float, generator: torch.Generator) -> Tensor:
    """Return w + level · RMS(w) · n, with n ~ N(0, 1) for each weight, drawn on the CPU: the same on every device."""
    n = torch.randn(w.shape, generator=generator).to(w)
    return w + level * w.square().mean().sqrt() * n


def quantised(w: Tensor, bits: int) -> Tensor:
    """Round to the nearest of 2^bits − 1 evenly spaced values around 0: multiples of max |w| ÷ (2^(bits−1) − 1).

    >>> quantised(torch.tensor([-1.0, 0.2, 0.6]), bits=2).tolist()
    [-1.0, 0.0, 1.0]
    """
    step = w.abs().max() / (2 ** (bits - 1) - 1)
    return (w / step).round() * step if step != 0 else w.clone()


def pruned(w: Tensor, share: float) -> Tensor:
    """Set the ``share`` of the weights with the smallest magnitudes to 0, rounded to whole weights. Of equal ones the later
    go first.

    >>> pruned(torch.tensor([3.0, -1.0, 2.0, -4.0]), share=0.5).tolist()
    [3.0, 0.0, 0.0, -4.0]
    """
    magnitudes = w.abs().nan_to_num(nan=torch.inf, posinf=torch.inf)  # a lane that diverged may have NaN
    return w.where(top_k_mask({w: magnitudes}, share)[w], 0.0)


def changes(kind: str, level: float, seed: int) -> list[Change]:
    """Return a disturbance of a tensor for each draw. Apply it to the tensors of a model in their order: its noise goes on
    from one to the next, and depends on seed and draw only, so all lanes and levels have the same."""
    if kind == "quantisation":
        return [partial(quantised, bits=int(level))]
    if kind == "pruning":
        return [partial(pruned, share=level)]
    generators = (
        torch.Generator().manual_seed(derived_seed(seed, draw)) for draw in range(WEIGHT_DISTURBANCES["noise"].draws)
    )
    return [partial(noisy, level=level, generator=generator) for generator in generators]


@contextmanager
def disturbed(model: nn.Module, change: Change) -> Iterator[None]:
    """Apply ``change`` to every parameter with two or more dimensions inside the block; restore them afterwards, exactly."""
    weights: list[Tensor] = [p for p in model.parameters() if p.dim() > 1]
    kept = [p.detach().clone() for p in weights]
    try:
        with torch.no_grad():
            for p in weights:
                p.copy_(change(p))
        yield
    finally:
        with torch.no_grad():
            torch._foreach_copy_(weights, kept)
