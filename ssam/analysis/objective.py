"""The function to analyse: the mean loss over a fixed set of images, with everything else that affects it fixed as well."""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.nn.modules.batchnorm import _BatchNorm

BatchNormMode = Literal["evaluation", "batch"]
Batch = tuple[Tensor, Tensor]


class Objective:
    """L(w): the mean loss of a private copy of a model, over the same images in every call. Dropout is off.

    Args:
        model: copied; its weights, statistics and mode are not changed.
        batches: chunks of images x (B, …) and labels y (B,), on the model's device.
        batchnorm: ``"evaluation"`` normalises by the stored running statistics, which do not depend on the weights; ``"batch"`` by
            those of each chunk, so the function depends on the chunks. Neither changes the stored statistics.
        dtype: dtype of weights and images.
        loss: maps outputs and labels to their mean loss.
    """

    def __init__(
        self,
        model: nn.Module,
        batches: Sequence[Batch],
        batchnorm: BatchNormMode = "evaluation",
        dtype: torch.dtype = torch.float32,
        loss: Callable[[Tensor, Tensor], Tensor] = cross_entropy,
    ) -> None:
        if batchnorm not in get_args(BatchNormMode):
            raise ValueError(f"batchnorm must be 'evaluation' or 'batch', not {batchnorm!r}")
        if not batches:
            raise ValueError("an objective needs at least one chunk of images")
        self.model = copy.deepcopy(model).to(dtype).eval()
        self.batchnorm, self.loss_function = batchnorm, loss
        if batchnorm == "batch":
            for module in self.model.modules():
                if isinstance(module, _BatchNorm):
                    module.training, module.track_running_stats = True, False
        self.params: list[Tensor] = [p for p in self.model.parameters() if p.requires_grad]
        self.tensors = self.model.state_dict()  # weights and statistics by name; shares memory with the model
        self.batches = [(x.to(dtype) if x.is_floating_point() else x, y) for x, y in batches]
        self.images = sum(len(y) for _, y in self.batches)

    @torch.no_grad()
    def go_to(self, weights: Mapping[str, Tensor]) -> None:
        """Set weights and statistics, by their names in the model's ``state_dict``; the others stay unchanged."""
        for name, tensor in weights.items():
            self.tensors[name].copy_(tensor)

    @torch.no_grad()
    def loss(self) -> float:
        """Return L(w)."""
        return sum(float(self.mean_loss(x, y)) * len(y) for x, y in self.batches) / self.images

    @torch.no_grad()
    def loss_and_accuracy(self) -> tuple[float, float]:
        """Return L(w) and the accuracy on the given labels, 0–1."""
        loss, right = 0.0, 0
        for x, y in self.batches:
            outputs = self.model(x)
            loss += float(self.loss_function(outputs, y)) * len(y)
            right += int((outputs.argmax(1) == y).sum())
        return loss / self.images, right / self.images

    def gradient(self, batches: Sequence[Batch] | None = None) -> tuple[float, list[Tensor]]:
        """Return L(w) and ∇L(w), a tensor for each of ``params``, on ``batches`` (None: all images). Takes one gradient."""
        batches = self.batches if batches is None else batches
        images = sum(len(y) for _, y in batches)
        total, sums = 0.0, [torch.zeros_like(p) for p in self.params]
        for x, y in batches:
            loss = self.mean_loss(x, y)
            share = len(y) / images
            found = torch.autograd.grad(loss, self.params, materialize_grads=True)
            torch._foreach_add_(sums, found, alpha=share)
            total += loss.item() * share
        return total, sums

    def product(self, vector: Sequence[Tensor]) -> list[Tensor]:
        """Return ∇²L(w) · vector, a tensor for each of ``params``. Takes three to four gradients on a CPU."""
        sums = [torch.zeros_like(p) for p in self.params]
        for x, y in self.batches:
            torch._foreach_add_(sums, self.product_of(x, y, vector), alpha=len(y) / self.images)
        return sums

    def product_of(self, x: Tensor, y: Tensor, vector: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Return the same for the mean loss of these images alone, by reverse-mode differentiation of the product of gradient and vector
        (Pearlmutter 1994). Forward mode would be wrong: in PyTorch 2.14 its second derivative is incorrect for LayerNorm, and for
        BatchNorm with the statistics of the chunk."""
        with torch.enable_grad():
            gradient = torch.autograd.grad(self.mean_loss(x, y), self.params, create_graph=True, materialize_grads=True)
            pairs = [
                (g, v) for g, v in zip(gradient, vector, strict=True) if g.requires_grad
            ]  # the other gradients are constant
            if not pairs:
                return tuple(0 * v for v in vector)
            depends, directions = zip(*pairs, strict=True)
            return torch.autograd.grad(depends, self.params, directions, materialize_grads=True)

    @contextmanager
    def moved(self, epsilon: Sequence[Tensor]) -> Iterator[None]:
        """Move to w + ε inside the block; restore w afterwards, bit for bit."""
        kept = [p.detach().clone() for p in self.params]
        with torch.no_grad():
            torch._foreach_add_(self.params, tuple(epsilon))
        try:
            yield
        finally:
            with torch.no_grad():
                torch._foreach_copy_(self.params, kept)

    def loss_at(self, epsilon: Sequence[Tensor]) -> float:
        """Return L(w + ε)."""
        with self.moved(epsilon):
            return self.loss()

    def mean_loss(self, x: Tensor, y: Tensor) -> Tensor:
        return self.loss_function(self.model(x), y)
