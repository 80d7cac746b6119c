"""The empirical Fisher information of each weight, and the mask of SSAM-F."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from ssam.masks.select import top_k_mask

Loss = Callable[[Tensor, Tensor], Tensor]
Batches = Iterable[tuple[Tensor, Tensor]]


def fisher_mask(
    model: nn.Module, loss_fn: Loss, batches: Batches, sparsity: float, *, chunk: int = 16
) -> dict[Tensor, Tensor]:
    """The mask of SSAM-F (Mi et al. 2022): 1 on the (1 − s)·N weights with the largest Fisher information.

    Takes what ``fisher_scores`` takes, and the sparsity.

    >>> model = nn.Linear(4, 2)
    >>> mask = fisher_mask(model, nn.functional.cross_entropy, [(torch.randn(8, 4), torch.randint(2, (8,)))], 0.5)
    >>> sum(int(m.sum()) for m in mask.values())
    5
    """
    return top_k_mask(fisher_scores(model, loss_fn, batches, chunk=chunk), sparsity)


@torch.no_grad()
def fisher_scores(model: nn.Module, loss_fn: Loss, batches: Batches, *, chunk: int = 16) -> dict[Tensor, Tensor]:
    """The diagonal of the empirical Fisher information, F_i = Σ_samples (∂ℓ/∂w_i)² at the given labels.

    Per-sample gradients, the model in evaluation mode. Deviation from the published code: that one ran each image alone
    through BatchNorm in training mode, which ranks something other than the Fisher information and spoils the running
    statistics. Modes, gradients, buffers and the random state are left as they were.

    Args:
        model: any module that ``torch.func.vmap`` can run (no data-dependent branching).
        loss_fn: ``loss_fn(outputs, targets)`` for a batch of one; any reduction.
        batches: (x, y) pairs with the samples along dimension 0; any number N ≥ 1 of samples in all.
        chunk: samples at a time; memory is ``chunk`` copies of the gradient.

    Returns:
        ``{parameter: tensor of its shape}`` for each parameter that requires a gradient.
    """
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    weights = {name: p.detach() for name, p in trained.items()}
    fixed = {name: p.detach() for name, p in model.named_parameters() if name not in trained} | dict(
        model.named_buffers()
    )

    def loss(weights: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        outputs = functional_call(model, (weights, fixed), (x.unsqueeze(0),))
        return loss_fn(outputs, y.unsqueeze(0)).sum()

    per_sample_grad = vmap(grad(loss), in_dims=(None, 0, 0))
    scores = {name: torch.zeros_like(p) for name, p in weights.items()}
    samples = 0
    with evaluation_mode(model):
        for x, y in batches:
            for x_chunk, y_chunk in zip(x.split(chunk), y.split(chunk), strict=True):
                for name, gradient in per_sample_grad(weights, x_chunk, y_chunk).items():
                    scores[name] += gradient.square().sum(0)
                samples += len(x_chunk)
    if samples == 0:
        raise ValueError("the Fisher information needs at least one sample")
    return {trained[name]: score for name, score in scores.items()}


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Every module in evaluation mode inside the block, and back in its own mode after it."""
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True
