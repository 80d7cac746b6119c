"""What the masks page counts: overlaps, what chance would give, and how often each weight was perturbed.

Masks come packed, eight weights a byte as ``np.packbits`` does it: zeros fill the last byte up.
"""

import math
from collections.abc import Sequence

import numpy as np


def iou(first: np.ndarray, second: np.ndarray) -> float:
    """Intersection over union of two packed masks of equal length, 0–1; two empty masks overlap fully."""
    union = int(np.bitwise_count(first | second).sum())
    return int(np.bitwise_count(first & second).sum()) / union if union else 1.0


def chance(first: float, second: float) -> float:
    """The IoU to be expected of two independent random masks with these densities, d₁d₂ / (d₁ + d₂ − d₁d₂).

    >>> round(chance(0.5, 0.5), 3)
    0.333
    """
    return chance_by_layer([first], [second], [1])


def chance_by_layer(first: Sequence[float], second: Sequence[float], sizes: Sequence[int]) -> float:
    """The same for masks that are random within each layer only: ``first`` and ``second`` are their densities there, ``sizes`` the
    layers' numbers of weights. What two masks overlap beyond this, they agree on weight by weight."""
    both = sum(size * a * b for a, b, size in zip(first, second, sizes, strict=True))
    either = sum(size * (a + b - a * b) for a, b, size in zip(first, second, sizes, strict=True))
    return both / either if either else 1.0


def spread(size: int, total: int) -> float:
    """How far chance moves the density of a layer: its standard deviation over √(d(1 − d)), for ``size`` of ``total`` weights of which
    the share d is perturbed, all such masks equally likely (hypergeometric).

    >>> round(spread(100, 10_000), 4), spread(10, 10)
    (0.0995, 0.0)
    """
    return math.sqrt((total - size) / (size * (total - 1))) if total > size else 0.0


def counts(masks: Sequence[np.ndarray], begin: int, size: int) -> np.ndarray:
    """In how many of the packed ``masks`` each of the weights ``begin`` to ``begin + size`` is perturbed: (size,) int."""
    total = np.zeros(size, dtype=np.int64)
    for mask in masks:
        total += np.unpackbits(mask, count=begin + size)[begin:]
    return total


def by_chance(densities: Sequence[float]) -> np.ndarray:
    """The share of weights that independent random masks of these densities perturb 0, 1 … T times: (T + 1,), the Poisson binomial
    distribution (the binomial one where all densities are equal).

    >>> by_chance([0.5, 0.5]).tolist()
    [0.25, 0.5, 0.25]
    """
    shares = np.ones(1)
    for density in densities:
        shares = np.convolve(shares, [1 - density, density])
    return shares


def pooled(values: np.ndarray, limit: int) -> np.ndarray:
    """The mean of patches of a matrix so that it has at most ``limit`` rows and columns."""
    for axis in (0, 1):
        size = values.shape[axis]
        if size > limit:
            edges = np.arange(limit) * size // limit
            lengths = np.diff([*edges, size])
            sums = np.add.reduceat(values, edges, axis=axis)
            values = sums / (lengths[:, None] if axis == 0 else lengths[None, :])
    return values
