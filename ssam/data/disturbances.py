"""Disturbances of test images: noise, blur, contrast, shift and occlusion, each at several levels.

``ssam.catalogue.DISTURBANCES`` has their names and levels. Levels are relative to the range of the pixels or to the side of the
image, so they have the same meaning for images of any size. The set resembles a small ImageNet-C (Hendrycks & Dietterich 2019, arXiv
1903.12261), but has its own functions and levels, so its results are not comparable with those of ImageNet-C.
"""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

GREY = 0.5  # pixel value of an occluded square


def noise(x: Tensor, level: float, generator: torch.Generator) -> Tensor:
    """Add Gaussian noise of standard deviation ``level`` to every pixel and channel."""
    return x + level * _normal(x, generator)


def blur(x: Tensor, level: float, generator: torch.Generator) -> Tensor:
    """Blur with a Gaussian whose standard deviation is ``level`` times the image side; border pixels are replicated outwards."""
    if not level:
        return x
    sigma = level * x.shape[-1]
    reach = max(1, round(3 * sigma))
    places = torch.arange(-reach, reach + 1, device=x.device, dtype=x.dtype)
    kernel = torch.exp(-(places**2) / (2 * sigma**2))
    kernel = (kernel / kernel.sum()).expand(x.shape[1], 1, 1, -1)
    padded = F.pad(x, (reach, reach, reach, reach), mode="replicate")
    rows = F.conv2d(padded, kernel, groups=x.shape[1])
    return F.conv2d(rows, kernel.transpose(2, 3), groups=x.shape[1])


def contrast(x: Tensor, level: float, generator: torch.Generator) -> Tensor:
    """Reduce each pixel's distance from the mean of its image and channel by the share ``level``."""
    return torch.lerp(x, x.mean((2, 3), keepdim=True), level)


def shift(x: Tensor, level: float, generator: torch.Generator) -> Tensor:
    """Shift each image left, right, up or down at random, by ``level`` times its side, rounded to pixels; fill with black."""
    pixels = round(level * x.shape[-1])
    padded = F.pad(x, (pixels, pixels, pixels, pixels))
    side = x.shape[-1]
    starts = ((0, pixels), (2 * pixels, pixels), (pixels, 0), (pixels, 2 * pixels))
    moved = torch.stack([padded[..., top : top + side, left : left + side] for top, left in starts])
    way = torch.randint(len(starts), (len(x),), generator=generator).to(x.device)
    return moved[way, torch.arange(len(x), device=x.device)]


def occlusion(x: Tensor, level: float, generator: torch.Generator) -> Tensor:
    """Cover a random grey square inside each image; its side is ``level`` times that of the image."""
    side = x.shape[-1]
    covered = round(level * side)
    corners = torch.randint(side - covered + 1, (2, len(x), 1), generator=generator).to(x.device)
    places = torch.arange(side, device=x.device)
    rows, columns = ((places >= corner) & (places < corner + covered) for corner in corners)  # (B, side)
    return torch.where((rows[:, :, None] & columns[:, None, :])[:, None], GREY, x)


_APPLY = {"noise": noise, "blur": blur, "contrast": contrast, "shift": shift, "occlusion": occlusion}


def disturbed(
    batches: Iterable[tuple[Tensor, Tensor]],
    kind: str,
    level: float,
    *,
    mean: tuple[float, ...],
    std: tuple[float, ...],
    seed: int,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the batches with disturbed images, clipped to the valid pixel range; labels are unchanged.

    Args:
        batches: normalised images x (B, C, S, S) and labels y (B,).
        kind: a name in ``ssam.catalogue.DISTURBANCES``.
        level: any number from 0, not only the levels in the catalogue; 0 changes nothing.
        mean, std: the values that the images were normalised with, per channel, of pixels scaled to 0–1.
        seed: determines the random choices, together with the number and size of the batches; they are drawn on the CPU, so they are
            the same on every device.

    Raise ValueError for an unknown kind.

    >>> images, labels = torch.zeros(1, 1, 2, 2), torch.zeros(1)
    >>> for x, _ in disturbed([(images, labels)], "contrast", 1.0, mean=(0.0,), std=(1.0,), seed=0):
    ...     print(x.flatten().tolist())
    [0.0, 0.0, 0.0, 0.0]
    """
    if kind not in _APPLY:
        raise ValueError(f"{kind[:60]!r} is not a disturbance; allowed: {', '.join(_APPLY)}")
    generator = torch.Generator().manual_seed(seed)
    for x, y in batches:
        shift_by, scale = (torch.tensor(values, device=x.device).view(-1, 1, 1) for values in (mean, std))
        pixels = _APPLY[kind](x * scale + shift_by, level, generator).clamp(0, 1)
        yield ((pixels - shift_by) / scale).contiguous(memory_format=_format(x)), y


def _normal(x: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randn(x.shape, generator=generator).to(x.device, x.dtype)


def _format(x: Tensor) -> torch.memory_format:
    last = x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()
    return torch.channels_last if last else torch.contiguous_format
