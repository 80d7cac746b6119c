"""Medians and quartiles over a lane's steps, also if only every k-th step perturbs."""

from collections.abc import Iterable, Sequence

import numpy as np

Values = Sequence[float] | np.ndarray


def typical(values: Iterable[tuple[int, float]], interval: int, share: float = 0.5) -> float | None:
    """Return the quantile (default: the median) of values with their step numbers; None if there are none.

    If only every ``interval``-th step perturbs, those steps and the others are two kinds: a median over both would be that of
    one of them. Return the mean of the kinds' quantiles, weighted by their shares of the steps.

    >>> typical([(1, 2.0), (2, 1.0), (3, 1.1), (4, 0.9)], interval=4)
    1.25
    """
    perturbing: list[float] = []
    plain: list[float] = []
    for step, value in values:
        (plain if (step - 1) % interval else perturbing).append(value)
    parts = ((1 / interval, perturbing), (1 - 1 / interval, plain))
    return of_kinds([(part, sorted(kind)) for part, kind in parts if kind], share)


def of_kinds(kinds: Sequence[tuple[float, Values]], share: float) -> float | None:
    """Return the mean of the kinds' quantiles, weighted by their shares of the steps. A kind without values counts as zero.

    Args:
        kinds: for each kind its share of the steps, and its values in ascending order.
        share: 0.5 for the median.
    """
    known = [(part, quantile(values, share)) for part, values in kinds]
    if all(value is None for _, value in known):
        return None
    if len(known) == 1:
        return known[0][1]
    return sum(part * (value or 0.0) for part, value in known) / sum(part for part, _ in known)


def quantile(values: Values, share: float) -> float | None:
    """Return a quantile of values in ascending order, linear between neighbours like NumPy's but faster for few; None if empty."""
    if not len(values):
        return None
    place = share * (len(values) - 1)
    low = int(place)
    high = min(low + 1, len(values) - 1)
    return float(values[low] + (place - low) * (values[high] - values[low]))
