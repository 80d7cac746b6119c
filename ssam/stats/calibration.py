"""Which classes a lane confuses, and whether it is right as often as its confidence says."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Calibration:
    """Confidence and accuracy in B bins of equal width.

    Bin b holds the images with ``edges[b]`` ≤ confidence < ``edges[b + 1]``; the last one also those with confidence 1.
    ``edges`` is (B + 1,), 0–1. ``count`` (B,) are images; ``confidence`` and ``accuracy`` (B,) are their means, 0–1,
    NaN in an empty bin. ``error`` is the expected calibration error, 0–1: the mean of |accuracy − confidence| over the
    bins, weighted by count; NaN without images.
    """

    edges: np.ndarray
    count: np.ndarray
    confidence: np.ndarray
    accuracy: np.ndarray
    error: float


def calibration(confidence: np.ndarray, right: np.ndarray, bins: int = 10) -> Calibration:
    """Return how often answers are right at each level of confidence.

    Guo et al. 2017, arXiv 1706.04599. There a confidence on an inner edge belongs to the lower bin, here to the upper
    one.

    Args:
        confidence: of each answer (m,), float, 0–1.
        right: whether it is the true class (m,), bool.
        bins: their number B.

    >>> found = calibration(np.array([0.5, 0.75, 1.0]), np.array([False, True, True]), bins=2)
    >>> found.count.tolist(), found.confidence.tolist(), found.accuracy.round(2).tolist(), round(found.error, 2)
    ([0, 3], [nan, 0.75], [nan, 0.67], 0.08)
    """
    edges = np.arange(bins + 1) / bins  # linspace has 0.30000000000000004, which 0.3 would fall short of
    inner = edges[1:-1].astype(confidence.dtype)  # else a float32 of 0.7 would be below the edge 0.7
    places = np.searchsorted(inner, confidence, side="right")
    count = np.bincount(places, minlength=bins)
    confident = np.bincount(places, confidence, minlength=bins)
    correct = np.bincount(places, right, minlength=bins)
    with np.errstate(invalid="ignore"):  # 0/0 is NaN: no images
        error = np.abs(correct - confident).sum() / count.sum()
        return Calibration(edges, count, confident / count, correct / count, float(error))


def confusion(labels: np.ndarray, answers: np.ndarray, classes: int) -> np.ndarray:
    """Return the number of images (C, C), int64, of each true class (row) that were answered with each class (column).

    Args:
        labels: true classes (m,), 0 to C − 1.
        answers: classes answered (m,), 0 to C − 1.
        classes: their number C.

    >>> confusion(np.array([0, 0, 1]), np.array([0, 1, 1]), classes=2).tolist()
    [[1, 1], [0, 1]]
    """
    matrix = np.zeros((classes, classes), np.int64)
    np.add.at(matrix, (labels, answers), 1)
    return matrix


def class_accuracy(matrix: np.ndarray) -> np.ndarray:
    """Return the accuracy on each class (C,), 0–1, from a confusion matrix (C, C); NaN for a class without images.

    >>> class_accuracy(np.array([[1, 3], [0, 0]])).tolist()
    [0.25, nan]
    """
    with np.errstate(invalid="ignore"):  # 0/0 is NaN: no images
        return np.diagonal(matrix) / matrix.sum(axis=1)
