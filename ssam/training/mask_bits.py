"""Masks as bits: eight weights per byte."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


def packed(mask: Tensor) -> np.ndarray:
    """Return one bit per weight, in the tensor's logical order whatever its memory layout: (⌈N/8⌉,) uint8."""
    return np.packbits(mask.cpu().numpy())


def unpacked(bits: np.ndarray, shape: Sequence[int]) -> Tensor:
    """Return the mask of this shape, bool, on the CPU.

    >>> unpacked(packed(torch.tensor([[True, False, True]])), (1, 3)).tolist()
    [[True, False, True]]
    """
    return torch.from_numpy(np.unpackbits(bits, count=math.prod(shape)).astype(bool).reshape(shape))
