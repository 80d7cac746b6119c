"""What many seeds say: medians, spreads and wins, and whether there are enough of them. Plain Python, no distribution assumed.

Everything is paired: two lanes of one race had the same first weights and batches, so it is their difference that is looked at.
The test and the interval are the sign test's, exact for any distribution of the differences.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

LEVEL = 0.05  # of the test; the interval covers at least 1 − LEVEL
FEWEST = 6  # pairs: of five all could be wins, and the sign test's p would still be 0.0625
FEWEST_DRAWN = 3  # seeds, for a median and a band to be drawn


@dataclass(frozen=True)
class Compared:
    """One lane against another over the seeds that finished both. Differences are in percentage points; ``low`` and ``high`` are the
    interval of the median difference, None where there are too few pairs for one."""

    pairs: int
    wins: int
    losses: int
    median: float
    low: float | None
    high: float | None
    p: float

    @property
    def tells(self) -> bool:
        """Whether the seeds suffice to tell the two apart."""
        return self.pairs >= FEWEST and self.p < LEVEL


def quantile(values: Sequence[float], share: float) -> float:
    """Linear between neighbours, as numpy's default. Raises ValueError for no values.

    >>> quantile([4.0, 1.0, 2.0], 0.5)
    2.0
    """
    if not values:
        raise ValueError("a quantile needs values")
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    return quantile(values, 0.25), quantile(values, 0.5), quantile(values, 0.75)


def band(curves: Sequence[Mapping[float, float]]) -> list[tuple[float, int, float, float, float]]:
    """Epoch, number of seeds and quartiles at every epoch that FEWEST_DRAWN seeds have reached; each curve is one seed's."""
    at: dict[float, list[float]] = {}
    for curve in curves:
        for epoch, value in curve.items():
            at.setdefault(epoch, []).append(value)
    return [(epoch, len(at[epoch]), *quartiles(at[epoch])) for epoch in sorted(at) if len(at[epoch]) >= FEWEST_DRAWN]


def sign_test(wins: int, losses: int) -> float:
    """The two-sided p of the sign test: how often a fair coin would be as one-sided as this. Ties have been left out.

    >>> sign_test(6, 0)
    0.03125
    """
    n = wins + losses
    tail = sum(math.comb(n, k) for k in range(min(wins, losses) + 1))
    return min(1.0, 2 * tail / 2**n)


def median_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """An interval that covers the median of where the values come from with at least 1 − LEVEL, by order statistics; None for fewer
    than FEWEST values."""
    n, ordered = len(values), sorted(values)
    outside, left = 0, 0  # of 2ⁿ, the cases with at most ``left`` − 1 values below the median
    while 2 * (outside + math.comb(n, left)) <= LEVEL * 2**n:
        outside += math.comb(n, left)
        left += 1
    return (ordered[left - 1], ordered[n - left]) if left else None


def compare(lane: Mapping[int, float], other: Mapping[int, float]) -> Compared | None:
    """By seed, in percent, one lane against another; None where no seed has both."""
    differences = [lane[seed] - other[seed] for seed in lane if seed in other]
    if not differences:
        return None
    wins, losses = sum(d > 0 for d in differences), sum(d < 0 for d in differences)
    low, high = median_interval(differences) or (None, None)
    return Compared(len(differences), wins, losses, quantile(differences, 0.5), low, high, sign_test(wins, losses))


def rank(values: Sequence[float], value: float) -> int:
    """The place of a value among all, the largest first; equal ones share the better place."""
    return 1 + sum(other > value for other in values)


def ordinal(number: int) -> str:
    """
    >>> ordinal(1), ordinal(12), ordinal(23)
    ('1st', '12th', '23rd')
    """
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"
