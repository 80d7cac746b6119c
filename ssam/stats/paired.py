"""Paired differences and Student's t interval of their mean: what seeds that two lanes share say. Plain Python, for every room."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

FEWEST = 3  # pairs before anything is said of a difference
# Student's t at 97.5 % for 1, 2, 3 … degrees of freedom.
T975 = (
    *(12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131),
    *(2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042),
)  # fmt: skip


@dataclass(frozen=True)
class Paired:
    """The mean of paired differences. ``low`` and ``high`` are its 95 % interval, None with fewer than FEWEST pairs."""

    pairs: int
    mean: float
    low: float | None
    high: float | None

    @property
    def tells(self) -> bool:
        """Whether there are enough pairs, and the interval does not hold 0."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


def interval(differences: Sequence[float]) -> tuple[float, float] | None:
    """The 95 % interval of the mean by Student's t; None with fewer than FEWEST differences.

    >>> [round(end, 2) for end in interval([1.0, 2.0, 3.0])]
    [-0.48, 4.48]
    """
    if len(differences) < FEWEST:
        return None
    t = T975[min(len(differences) - 2, len(T975) - 1)]  # beyond the table a little too wide
    mean = statistics.fmean(differences)
    half = t * statistics.stdev(differences) / math.sqrt(len(differences))
    return mean - half, mean + half


def compare(one: Mapping[int, float], other: Mapping[int, float]) -> Paired | None:
    """``one`` minus ``other`` over the seeds that both have; None where they share none."""
    found = [one[seed] - other[seed] for seed in sorted(one) if seed in other]
    if not found:
        return None
    low, high = interval(found) or (None, None)
    return Paired(len(found), statistics.fmean(found), low, high)
