"""Sparse SAM in the published style: our own slow reference twin of the authors' approach, with no code copied.

It shows where the time goes: images pass through transforms one by one, masks are float, Python loops run over the tensors, ε is
stored and subtracted again, BatchNorm statistics are updated in both passes, and scores are computed image by image with BatchNorm
in training mode.
"""

from collections.abc import Iterable, Iterator
from itertools import islice

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, Dataset

from ssam.masks import top_k_mask
from ssam.training.precision import autocast

CUTOUT_SIDE, CUTOUT_SHARE = 16, 0.5

Pixels = npt.NDArray[np.uint8]


class PublishedSSAM:
    """The steps of SSAM, mathematically the same as those of ``ssam.SAM`` up to rounding.

    Args:
        model: the model; its parameters are those of ``base``.
        base: the base optimizer, which makes the update.
        rho: radius, divided by the norm of the full gradient.
        masks: ``{parameter: bool tensor}``, True = perturbed, for every parameter.
    """

    def __init__(self, model: nn.Module, base: torch.optim.Optimizer, rho: float, masks: dict[Tensor, Tensor]) -> None:
        self.model, self.base, self.rho = model, base, rho
        self.set_masks(masks)
        self.epsilon: dict[Tensor, Tensor] = {}

    def set_masks(self, masks: dict[Tensor, Tensor]) -> None:
        self.masks = {p: mask.to(p.dtype) for p, mask in masks.items()}

    def step(self, x: Tensor, y: Tensor) -> None:
        backward(self.model, x, y)
        self._ascend()
        backward(self.model, x, y)
        self._descend()

    @torch.no_grad()
    def _ascend(self) -> None:
        gradients = {p: p.grad for p in self.masks if p.grad is not None}
        norm = torch.stack([gradient.norm() for gradient in gradients.values()]).norm()
        for parameter, gradient in gradients.items():
            epsilon = gradient * (self.rho / (norm + 1e-12))
            epsilon *= self.masks[parameter]
            parameter.add_(epsilon)
            self.epsilon[parameter] = epsilon
        self.base.zero_grad()

    @torch.no_grad()
    def _descend(self) -> None:
        for parameter, epsilon in self.epsilon.items():
            parameter.sub_(epsilon)
        self.base.step()
        self.base.zero_grad()


class PublishedImages(Dataset[tuple[Tensor, int]]):
    """A data set of ``pixels`` (N, H, W, 3) with labels; each image becomes a PIL image and passes through the transforms on its own."""

    def __init__(self, pixels: Pixels, labels: list[int]) -> None:
        self.pixels, self.labels = pixels, labels
        from torchvision import transforms  # here, so that steps can be timed where it is not installed

        self.transform = transforms.Compose(
            [
                transforms.RandomCrop(pixels.shape[1], padding=4),
                transforms.RandomHorizontalFlip(),
                transforms.ToTensor(),
                transforms.Normalize((0.5, 0.5, 0.5), (0.29, 0.29, 0.29)),
                cutout,
            ]
        )

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(Image.fromarray(self.pixels[index])), self.labels[index]


def cutout(image: Tensor) -> Tensor:
    """Set a square anywhere in the image to zero, in half of the images: (C, H, W) -> the same."""
    if torch.rand(()) < CUTOUT_SHARE:
        _, height, width = image.shape
        top = int(torch.randint(height, ())) - CUTOUT_SIDE // 2
        left = int(torch.randint(width, ())) - CUTOUT_SIDE // 2
        image[:, max(0, top) : top + CUTOUT_SIDE, max(0, left) : left + CUTOUT_SIDE] = 0.0
    return image


def endless(images: PublishedImages, batch_size: int, device: torch.device) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield shuffled batches, epoch after epoch."""
    while True:
        for x, y in DataLoader(images, batch_size, shuffle=True, drop_last=True):
            yield x.to(device), y.to(device)


def published_scores(model: nn.Module, samples: Iterable[tuple[Tensor, Tensor]], count: int) -> dict[Tensor, Tensor]:
    """Return the squared gradients over batches of one image, with the model in training mode: BatchNorm sees each image alone."""
    scores: dict[Tensor, Tensor] = {p: torch.zeros_like(p) for p in model.parameters()}
    device = next(model.parameters()).device
    model.train()
    for x, y in islice(samples, count):
        model.zero_grad()
        backward(model, x.to(device), y.to(device))
        for parameter, score in scores.items():
            if parameter.grad is not None:
                score += parameter.grad**2
    model.zero_grad()
    return scores


def published_refresh(ssam: PublishedSSAM, images: PublishedImages, count: int, sparsity: float) -> None:
    samples = DataLoader(images, batch_size=1, shuffle=True)
    ssam.set_masks(top_k_mask(published_scores(ssam.model, samples, count), sparsity))


def backward(model: nn.Module, x: Tensor, y: Tensor) -> None:
    with autocast(x.device):
        loss = cross_entropy(model(x), y)
    loss.backward()
