"""What the loss says of each weight: its empirical Fisher information (and the mask of SSAM-F), or its gradient."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.nn.parallel import DistributedDataParallel

from ssam.interop.batches import arguments, change_all, parts
from ssam.interop.sharded import gradients_of, is_sharded
from ssam.masks.select import top_k_mask

Loss = Callable[[Any, Any], Tensor]
Batches = Iterable[Any]  # of (inputs, targets), or of dictionaries


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
        model: any module. Where ``torch.func.vmap`` cannot run it (recurrent networks, branching by data) the samples go
            one by one, which is slower. Under DistributedDataParallel the scores of all processes are added up; under
            FSDP2 every process must give the same samples.
        loss_fn: ``loss_fn(outputs, targets)`` for a batch of one; any reduction.
        batches: (inputs, targets) with the samples along dimension 0 of every tensor in them; any number N ≥ 1 of samples in
            all. Inputs that are a tuple are the model's arguments, a dictionary its keywords. A batch that is itself a
            dictionary is both the model's keywords and the targets.
        chunk: samples at a time; memory is ``chunk`` copies of the gradient. None: 64, or as many as have their gradients in
            256 MiB, but not below 16.
        batch: how many samples share one gradient. 1 is the empirical Fisher information. More is cheaper and rougher:
            the square of their mean gradient, times their number, so ``loss_fn`` must be their mean. How far the masks
            agree is measured by ``python -m ssam bench``.

    Returns:
        ``{parameter: tensor of its shape}`` for each parameter that requires a gradient, in float32 at least.
    """
    replicated = isinstance(model, DistributedDataParallel)
    inner: nn.Module = getattr(model, "module" if replicated else "_orig_mod", model)  # the latter of torch.compile
    scores, samples = _zeros(inner), 0
    by_vmap = _squares_by_vmap(inner, loss_fn) if batch == 1 and not any(map(is_sharded, scores)) else None
    with evaluation_mode(inner):
        for part, count in parts(batches, (chunk or _chunk(scores)) if by_vmap else batch):
            squares = None
            if by_vmap is not None:
                try:
                    squares = by_vmap(*part)
                except Exception:  # the loop goes on from here, or says what is wrong
                    by_vmap = None
            for of_parameter in _squares_one_by_one(inner, loss_fn, part, batch) if squares is None else [squares]:
                for p, square in of_parameter.items():
                    scores[p] += square
            samples += count
    if samples == 0:
        raise ValueError("scores need at least one sample")
    if replicated:
        for score in scores.values():
            torch.distributed.all_reduce(score)
    return scores


@torch.no_grad()
def gradient_scores(model: nn.Module, loss_fn: Loss, batches: Batches) -> dict[Tensor, Tensor]:
    """|g|, the mean gradient over all samples, the model in evaluation mode: what the samples agree on, where the Fisher
    information also counts what cancels out.

    Takes what ``fisher_scores`` takes, with a ``loss_fn`` that is the mean over its batch; returns the same kind of thing.
    """
    sums, samples = _zeros(model), 0
    for gradients, count in _mean_gradients(model, loss_fn, batches, batch=None):
        samples += count
        for p, gradient in gradients.items():
            sums[p] += count * gradient
    if samples == 0:
        raise ValueError("scores need at least one sample")
    return {p: total.abs() for p, total in sums.items()}


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


def _squares_by_vmap(model: nn.Module, loss_fn: Loss) -> Callable[[Any, Any], dict[Tensor, Tensor]]:
    """A function of (inputs, targets): the squared gradients of their samples, added up."""
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    weights = {name: p.detach() for name, p in trained.items()}
    fixed = {name: p.detach() for name, p in model.named_parameters() if name not in trained} | dict(
        model.named_buffers()
    )

    def loss(weights: dict[str, Tensor], inputs: Any, targets: Any) -> Tensor:
        args, kwargs = arguments(change_all(inputs, _one))
        outputs = functional_call(model, (weights, fixed), args, kwargs)
        return loss_fn(outputs, change_all(targets, _one)).sum()

    per_sample_grad = vmap(grad(loss), in_dims=(None, 0, 0))

    def squares(inputs: Any, targets: Any) -> dict[Tensor, Tensor]:
        gradients = per_sample_grad(weights, inputs, targets)
        return {trained[name]: _wide(gradient).square().sum(0) for name, gradient in gradients.items()}

    return squares


def _squares_one_by_one(model: nn.Module, loss_fn: Loss, part: Any, batch: int) -> Iterator[dict[Tensor, Tensor]]:
    """The squared mean gradient of each ``batch`` samples, times their number."""
    for gradients, count in _mean_gradients(model, loss_fn, [part], batch):
        yield {p: count * gradient.square() for p, gradient in gradients.items()}


def _chunk(parameters: Iterable[Tensor]) -> int:
    """More samples at a time are faster, as long as their gradients are not many: 16 → 64 takes a cnn8 from 5.4 SGD steps
    to 3.0, a ResNet-20 from 1.9 to 1.6."""
    return max(16, min(64, 2**28 // max(1, sum(p.nbytes for p in parameters))))


def _mean_gradients(
    model: nn.Module, loss_fn: Loss, batches: Batches, batch: int | None
) -> Iterator[tuple[dict[Tensor, Tensor], int]]:
    """The gradient of each ``batch`` samples (None: of each pair as it comes) with their number. Leaves ``.grad`` alone; a
    parameter that the loss does not depend on is left out."""
    trained = [p for p in model.parameters() if p.requires_grad]
    recurrent = any(
        isinstance(module, nn.RNNBase) for module in model.modules()
    )  # cuDNN's have no gradient in this mode
    with evaluation_mode(model), torch.backends.cudnn.flags(enabled=torch.backends.cudnn.enabled and not recurrent):
        for (inputs, targets), count in parts(batches, batch):
            args, kwargs = arguments(inputs)
            with torch.enable_grad():
                loss = loss_fn(model(*args, **kwargs), targets)
                found = gradients_of(loss.sum() if batch == 1 else loss, trained)
            yield {p: _wide(g) for p, g in zip(trained, found, strict=True) if g is not None}, count


def _zeros(model: nn.Module) -> dict[Tensor, Tensor]:
    return {p: torch.zeros_like(_wide(p.detach())) for p in model.parameters() if p.requires_grad}


def _one(tensor: Tensor) -> Tensor:
    """As a batch of one."""
    return tensor.unsqueeze(0)


def _wide(tensor: Tensor) -> Tensor:
    """Dense, and in float32 at least: squares in half precision would underflow."""
    tensor = tensor.to_dense() if tensor.is_sparse else tensor
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor
