"""What is typical of a lane's steps: medians and quartiles, also where only every k-th step perturbs."""

from collections.abc import Iterable, Sequence

import numpy as np

Values = Sequence[float] | np.ndarray


def typical(values: Iterable[tuple[int, float]], interval: int, share: float = 0.5) -> float | None:
    """Return the quantile, the median unless said, of values that come with the number of their step; None of none.

    Where only every ``interval``-th step perturbs, those steps and the others are two kinds: a median over both would be that of
    one of them. Each kind has a quantile, and this is their mean, each by its share of the steps.

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
    """Return the mean of the kinds' quantiles, each by its part of the steps. What one kind never has costs it nothing.

    Args:
        kinds: the part of the steps that each kind is, and its values in rising order.
        share: 0.5 for the median.
    """
    known = [(part, quantile(values, share)) for part, values in kinds]
    if all(value is None for _, value in known):
        return None
    if len(known) == 1:
        return known[0][1]
    return sum(part * (value or 0.0) for part, value in known) / sum(part for part, _ in known)


def quantile(values: Values, share: float) -> float | None:
    """Return it of values in rising order, linear between neighbours as NumPy has it but quicker for few; None of none."""
    if not len(values):
        return None
    place = share * (len(values) - 1)
    low = int(place)
    high = min(low + 1, len(values) - 1)
    return float(values[low] + (place - low) * (values[high] - values[low]))
