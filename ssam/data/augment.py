"""Crop, flip and cutout of a whole batch at once, by index arithmetic on the device.

The published recipe for 32×32 pixels: zero padding of 4, horizontal flip, cutout of side 16 in half of the images (DeVries &
Taylor 2017). For other sizes, padding and cutout scale with the image, but the padding is at least 4.
"""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

Draws = npt.NDArray[np.int64]
TOP, LEFT, FLIP, CUT, CUT_ROW, CUT_COLUMN = range(6)  # columns of a batch's draws


def padding(size: int) -> int:
    return max(4, size // 8)


def cutout_side(size: int) -> int:
    return size // 2


def draw(rng: np.random.Generator, batch: int, size: int) -> Draws:
    """Draw (B, 6): top and left corner of the crop in the padded image, flip?, cut?, centre row and column of the cutout.

    All six are drawn even if some are not used, so races that differ in ``augment`` share their crops and flips.
    """
    pad = padding(size)
    high = (2 * pad + 1, 2 * pad + 1, 2, 2, size, size)
    return rng.integers(0, high, (batch, len(high)))


def crop_flip(pixels: Tensor, draws: Tensor, crop: bool) -> Tensor:
    """Crop the zero-padded image (if ``crop``), then mirror it if FLIP says so: (B, C, S, S) of any type -> the same."""
    batch, channels, size, _ = pixels.shape
    pad = padding(size) if crop else 0
    line = torch.arange(size, device=pixels.device)
    top, left, flip = (draws[:, column, None] for column in (TOP, LEFT, FLIP))  # each (B, 1)
    rows = line + (top if crop else 0)  # (B, S), or (1, S) without a crop
    columns = torch.where(flip.bool(), size - 1 - line, line) + (left if crop else 0)  # (B, S)
    width = size + 2 * pad
    flat = rows.view(-1, size, 1) * width + columns.view(batch, 1, size)  # (B, S, S)
    padded = F.pad(pixels, (pad, pad, pad, pad)).flatten(2)
    index = flat.view(batch, 1, -1).expand(-1, channels, -1)
    return padded.gather(2, index).view(batch, channels, size, size)


def cutout(x: Tensor, draws: Tensor) -> Tensor:
    """Set a square to zero, the mean colour, in the images for which CUT says so: (B, C, S, S) normalised -> the same.

    The centre of the square may lie anywhere in the image, so part of the square may fall outside.
    """
    size = x.shape[-1]
    side = cutout_side(size)
    line = torch.arange(size, device=x.device)
    first = draws[:, (CUT_ROW, CUT_COLUMN), None] - side // 2  # (B, 2, 1)
    inside = (line >= first) & (line < first + side)  # (B, 2, S)
    hole = inside[:, 0, :, None] & inside[:, 1, None, :] & draws[:, CUT, None, None].bool()
    return x.masked_fill(hole[:, None], 0.0)
