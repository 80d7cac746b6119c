"""Statistics of masks: IoU, its expectation by chance, and how often each weight was perturbed.

Masks are packed like ``np.packbits``, eight weights per byte, the last one padded with zeros.
"""

import math
from collections.abc import Sequence

import numpy as np


def iou(first: np.ndarray, second: np.ndarray) -> float:
    """Return intersection over union of two packed masks of equal length, 0–1; 1 for two empty masks."""
    union = int(np.bitwise_count(first | second).sum())
    return int(np.bitwise_count(first & second).sum()) / union if union else 1.0


def chance(first: float, second: float) -> float:
    """Return the expected IoU of two independent random masks with these densities, d₁d₂ / (d₁ + d₂ − d₁d₂).

    >>> round(chance(0.5, 0.5), 3)
    0.333
    """
    return chance_by_layer([first], [second], [1])


def chance_by_layer(first: Sequence[float], second: Sequence[float], sizes: Sequence[int]) -> float:
    """Return the same for masks that are random within each layer: ``first`` and ``second`` are the layers' densities, ``sizes``
    their numbers of weights. IoU above this is agreement on individual weights."""
    both = sum(size * a * b for a, b, size in zip(first, second, sizes, strict=True))
    either = sum(size * (a + b - a * b) for a, b, size in zip(first, second, sizes, strict=True))
    return both / either if either else 1.0


def spread(size: int, total: int) -> float:
    """Return the standard deviation of a layer's density divided by √(d(1 − d)), for a layer of ``size`` of ``total`` weights and a
    random mask of density d (hypergeometric).

    >>> round(spread(100, 10_000), 4), spread(10, 10)
    (0.0995, 0.0)
    """
    return math.sqrt((total - size) / (size * (total - 1))) if total > size else 0.0


def counts(masks: Sequence[np.ndarray], begin: int, size: int) -> np.ndarray:
    """Count in how many of the packed ``masks`` each of the weights ``begin`` to ``begin + size`` is perturbed: (size,) int."""
    total = np.zeros(size, dtype=np.int64)
    for mask in masks:
        total += np.unpackbits(mask, count=begin + size)[begin:]
    return total


def by_chance(densities: Sequence[float]) -> np.ndarray:
    """Return the share of weights perturbed 0, 1 … T times by independent random masks of these densities: (T + 1,), the Poisson
    binomial distribution (binomial if all densities are equal).

    >>> by_chance([0.5, 0.5]).tolist()
    [0.25, 0.5, 0.25]
    """
    shares = np.ones(1)
    for density in densities:
        shares = np.convolve(shares, [1 - density, density])
    return shares


def pooled(values: np.ndarray, limit: int) -> np.ndarray:
    """Return a matrix averaged over patches so that it has at most ``limit`` rows and columns."""
    for axis in (0, 1):
        size = values.shape[axis]
        if size > limit:
            edges = np.arange(limit) * size // limit
            lengths = np.diff([*edges, size])
            sums = np.add.reduceat(values, edges, axis=axis)
            values = sums / (lengths[:, None] if axis == 0 else lengths[None, :])
    return values
