"""All random choices about data. Each depends only on a purpose and a few numbers, never on earlier draws."""

from functools import lru_cache

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.int64]

# Purposes keep the random streams of one seed independent.
SUBSET, NOISE, ORDER, AUGMENT, SAMPLES, TEST, STATISTICS, VALIDATION = range(8)


def generator(purpose: int, *numbers: int) -> np.random.Generator:
    """Return a generator that depends only on its arguments (non-negative integers)."""
    return np.random.default_rng([purpose, *numbers])


def balanced_subset(labels: Rows, size: int, seed: int) -> Rows:
    """Draw ``size`` rows, sorted, as balanced over the classes as possible and at random within each class."""
    if size >= len(labels):
        return np.arange(len(labels))
    mixed = generator(SUBSET, seed).permutation(len(labels))
    by_class = mixed[np.argsort(labels[mixed], kind="stable")]
    counts = np.bincount(labels)
    rank = np.concatenate([np.arange(count) for count in counts])  # position of each row within its class
    place = np.argsort(mixed)  # breaks ties between classes at random in the last round
    chosen = np.lexsort((place[by_class], rank))[:size]
    return np.sort(by_class[chosen])


def noisy_labels(labels: Rows, classes: int, share: float, seed: int) -> Rows:
    """Add symmetric label noise: exactly round(share · n) labels become another class, each other class equally likely."""
    rng = generator(NOISE, seed)
    changed = rng.permutation(len(labels))[: round(share * len(labels))]
    noisy = labels.copy()
    noisy[changed] = (labels[changed] + rng.integers(1, classes, len(changed))) % classes
    return noisy


@lru_cache(maxsize=8)  # the lanes of a race may be in different epochs
def epoch_order(size: int, seed: int, epoch: int) -> Rows:
    """Return the order in which epoch ``epoch`` visits 0 … size-1; do not change it in place."""
    return generator(ORDER, seed, epoch).permutation(size)


def batch_rows(chosen: Rows, batch_size: int, seed: int, step: int) -> Rows:
    """Return the rows of the batch of ``step``, which counts from 0 over all epochs; an epoch has only full batches."""
    epoch, place = divmod(step, len(chosen) // batch_size)
    order = epoch_order(len(chosen), seed, epoch)
    return chosen[order[place * batch_size : (place + 1) * batch_size]]


def sample_rows(purpose: int, size: int, count: int, seed: int) -> Rows:
    """Draw ``count`` distinct numbers below ``size`` (all of them if there are fewer), in random order."""
    return generator(purpose, seed).permutation(size)[:count]
