"""What the loss says of each weight: its empirical Fisher information (and the mask of SSAM-F), or its gradient."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from ssam.masks.select import top_k_mask

Loss = Callable[[Tensor, Tensor], Tensor]
Batches = Iterable[tuple[Tensor, Tensor]]


def fisher_mask(
    model: nn.Module, loss_fn: Loss, batches: Batches, sparsity: float, *, chunk: int | None = None, batch: int = 1
) -> dict[Tensor, Tensor]:
    """The mask of SSAM-F (Mi et al. 2022): 1 on the (1 − s)·N weights with the largest Fisher information.

    Takes what ``fisher_scores`` takes, and the sparsity.

    >>> model = nn.Linear(4, 2)
    >>> mask = fisher_mask(model, nn.functional.cross_entropy, [(torch.randn(8, 4), torch.randint(2, (8,)))], 0.5)
    >>> sum(int(m.sum()) for m in mask.values())
    5
    """
    return top_k_mask(fisher_scores(model, loss_fn, batches, chunk=chunk, batch=batch), sparsity)


@torch.no_grad()
def fisher_scores(
    model: nn.Module, loss_fn: Loss, batches: Batches, *, chunk: int | None = None, batch: int = 1
) -> dict[Tensor, Tensor]:
    """The diagonal of the empirical Fisher information, F_i = Σ_samples (∂ℓ/∂w_i)² at the given labels.

    Per-sample gradients, the model in evaluation mode. Deviation from the published code: that one ran each image alone
    through BatchNorm in training mode, which ranks something other than the Fisher information and spoils the running
    statistics. Modes, gradients, buffers and the random state are left as they were.

    Args:
        model: any module that ``torch.func.vmap`` can run (no data-dependent branching).
        loss_fn: ``loss_fn(outputs, targets)`` for a batch of one; any reduction.
        batches: (x, y) pairs with the samples along dimension 0; any number N ≥ 1 of samples in all.
        chunk: samples at a time; memory is ``chunk`` copies of the gradient. None: 64, or as many as have their gradients in
            256 MiB, but not below 16.
        batch: how many samples share one gradient. 1 is the empirical Fisher information. More is cheaper and rougher:
            the square of their mean gradient, times their number, so ``loss_fn`` must be their mean. How far the masks
            agree is measured by ``python -m ssam bench``.

    Returns:
        ``{parameter: tensor of its shape}`` for each parameter that requires a gradient.
    """
    if batch > 1:
        return _shared_gradient_scores(model, loss_fn, batches, batch)
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
    samples, chunk = 0, chunk or _chunk(weights.values())
    with evaluation_mode(model):
        for x, y in batches:
            for x_chunk, y_chunk in zip(x.split(chunk), y.split(chunk), strict=True):
                for name, gradient in per_sample_grad(weights, x_chunk, y_chunk).items():
                    scores[name] += gradient.square().sum(0)
                samples += len(x_chunk)
    if samples == 0:
        raise ValueError("scores need at least one sample")
    return {trained[name]: score for name, score in scores.items()}


def _chunk(weights: Iterable[Tensor]) -> int:
    """More samples at a time are faster, as long as their gradients are not many: 16 → 64 takes a cnn8 from 5.4 SGD steps
    to 3.0, a ResNet-20 from 1.9 to 1.6."""
    return max(16, min(64, 2**28 // max(1, sum(weight.nbytes for weight in weights))))


def _shared_gradient_scores(model: nn.Module, loss_fn: Loss, batches: Batches, batch: int) -> dict[Tensor, Tensor]:
    scores: dict[Tensor, Tensor] = {p: torch.zeros_like(p) for p in model.parameters() if p.requires_grad}
    for gradients, count in _mean_gradients(model, loss_fn, batches, batch):
        for p, gradient in gradients.items():
            scores[p] += count * gradient.square()
    return scores


@torch.no_grad()
def gradient_scores(model: nn.Module, loss_fn: Loss, batches: Batches) -> dict[Tensor, Tensor]:
    """|g|, the mean gradient over all samples, the model in evaluation mode: what the samples agree on, where the Fisher
    information also counts what cancels out.

    Takes what ``fisher_scores`` takes, with a ``loss_fn`` that is the mean over its batch; returns the same kind of thing.
    """
    sums: dict[Tensor, Tensor] = {p: torch.zeros_like(p) for p in model.parameters() if p.requires_grad}
    for gradients, count in _mean_gradients(model, loss_fn, batches, batch=None):
        for p, gradient in gradients.items():
            sums[p] += count * gradient
    return {p: total.abs() for p, total in sums.items()}


def _mean_gradients(
    model: nn.Module, loss_fn: Loss, batches: Batches, batch: int | None
) -> Iterator[tuple[dict[Tensor, Tensor], int]]:
    """The gradient of each ``batch`` samples (None: of each pair as it comes) with their number. Leaves ``.grad`` alone; a
    parameter that the loss does not depend on is left out."""
    trained, samples = [p for p in model.parameters() if p.requires_grad], 0
    with evaluation_mode(model):
        for x, y in batches:
            for x_part, y_part in zip(x.split(batch or len(x)), y.split(batch or len(y)), strict=True):
                with torch.enable_grad():
                    loss = loss_fn(model(x_part), y_part)
                found = torch.autograd.grad(loss, trained, allow_unused=True)
                yield {p: g for p, g in zip(trained, found, strict=True) if g is not None}, len(x_part)
                samples += len(x_part)
    if samples == 0:
        raise ValueError("scores need at least one sample")


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
