"""The function whose shape is looked at: the mean loss over a fixed set of images, with everything that decides it fixed too."""

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
    """L(w): the mean loss of a private copy of a model over the same images at every call. Dropout is off.

    Args:
        model: copied; its weights, statistics and mode stay as they are.
        batches: chunks of images x (B, …) and labels y (B,), on the model's device.
        batchnorm: ``"evaluation"`` normalises by the stored running statistics, which do not follow the weights; ``"batch"`` by
            those of each chunk, which makes the chunks part of the function. Neither changes the statistics.
        dtype: of weights and images.
        loss: takes outputs and labels, returns their mean loss.
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
        """Moves to weights and statistics, by their names in the model's ``state_dict``; what is not named stays as it is."""
        for name, tensor in weights.items():
            self.tensors[name].copy_(tensor)

    @torch.no_grad()
    def loss(self) -> float:
        """L(w)."""
        return sum(float(self._mean(x, y)) * len(y) for x, y in self.batches) / self.images

    @torch.no_grad()
    def loss_and_accuracy(self) -> tuple[float, float]:
        """L(w), and the share of the images that are classified as labelled, 0–1."""
        loss, right = 0.0, 0
        for x, y in self.batches:
            outputs = self.model(x)
            loss += float(self.loss_function(outputs, y)) * len(y)
            right += int((outputs.argmax(1) == y).sum())
        return loss / self.images, right / self.images

    def gradient(self, batches: Sequence[Batch] | None = None) -> tuple[float, list[Tensor]]:
        """L(w) and ∇L(w), a tensor for each of ``params``; of some of the images where ``batches`` says so. One gradient."""
        batches = self.batches if batches is None else batches
        images = sum(len(y) for _, y in batches)
        total, sums = 0.0, [torch.zeros_like(p) for p in self.params]
        for x, y in batches:
            loss = self._mean(x, y)
            share = len(y) / images
            found = torch.autograd.grad(loss, self.params, materialize_grads=True)
            torch._foreach_add_(sums, found, alpha=share)
            total += loss.item() * share
        return total, sums

    def product(self, vector: Sequence[Tensor]) -> list[Tensor]:
        """∇²L(w) · vector, a tensor for each of ``params``. Three to four gradients on a CPU."""
        sums = [torch.zeros_like(p) for p in self.params]
        for x, y in self.batches:
            torch._foreach_add_(sums, self.product_of(x, y, vector), alpha=len(y) / self.images)
        return sums

    def product_of(self, x: Tensor, y: Tensor, vector: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """The same for the mean loss of these images alone, by differentiating the gradient's product with the vector, backwards
        (Pearlmutter 1994). Forwards would be wrong: PyTorch 2.14 has no right second derivative there for LayerNorm, nor for
        BatchNorm by the statistics of the chunk."""
        with torch.enable_grad():
            gradient = torch.autograd.grad(self._mean(x, y), self.params, create_graph=True, materialize_grads=True)
            pairs = [
                (g, v) for g, v in zip(gradient, vector, strict=True) if g.requires_grad
            ]  # the others are constant
            if not pairs:
                return tuple(0 * v for v in vector)
            depends, directions = zip(*pairs, strict=True)
            return torch.autograd.grad(depends, self.params, directions, materialize_grads=True)

    @contextmanager
    def moved(self, epsilon: Sequence[Tensor]) -> Iterator[None]:
        """At w + ε inside the block; afterwards at w again, bit for bit."""
        kept = [p.detach().clone() for p in self.params]
        with torch.no_grad():
            torch._foreach_add_(self.params, tuple(epsilon))
        try:
            yield
        finally:
            with torch.no_grad():
                torch._foreach_copy_(self.params, kept)

    def loss_at(self, epsilon: Sequence[Tensor]) -> float:
        """L(w + ε)."""
        with self.moved(epsilon):
            return self.loss()

    def _mean(self, x: Tensor, y: Tensor) -> Tensor:
        return self.loss_function(self.model(x), y)
