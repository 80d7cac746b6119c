"""The answer of a duel: is one method worth its cost against another that was tuned as much? Yes, no, or can't tell.

**Rule.** *Yes*: the paired difference is significantly above 0 (``ssam.stats.paired``, adjusted for the number of rivals) and its 95%
interval leaves room for a gain of at least the margin. *No*: the whole interval lies below the margin, so whatever gain there is, it is
smaller than what was asked for; a method that is worse falls under it. Anything else: *can't tell*.

On two copies of one method, each tuned by itself in every round, it says yes in at most 2.5% of all duels: one tail of the paired test. A true gain of the margin or more is
answered *no* in at most 2.5%, the other tail. With fewer than three seeds there is no interval, so it can't tell.
"""

from typing import Literal

from ssam.stats.paired import Paired, points

Answer = Literal["yes", "no", "can't tell"]


def answer(found: Paired, margin: float) -> Answer:
    """Whether a method beats its baseline by a gain worth having, ``margin`` percentage points.

    >>> from ssam.stats.paired import compare
    >>> answer(compare({0: 80.0, 1: 81.0, 2: 82.5}, {0: 70.0, 1: 70.0, 2: 71.0}), margin=1.0)
    'yes'
    >>> answer(compare({0: 80.0, 1: 81.0}, {0: 70.0, 1: 70.0}), margin=1.0)
    "can't tell"
    """
    if found.interval is None:
        return "can't tell"
    if found.interval[1] < margin:
        return "no"
    return "yes" if found.verdict == "better" else "can't tell"


def explanation(one: str, other: str, found: Paired, margin: float) -> str:
    """The answer in a sentence or two, as a student reads it.

    >>> from ssam.stats.paired import compare
    >>> explanation("SAM", "SGD", compare({0: 80.0, 1: 81.0, 2: 82.5}, {0: 70.0, 1: 70.0, 2: 71.0}), 1.0)
    'Yes: SAM gains 10.83 points over SGD (95% interval 8.94 to 12.73, 3 seeds).'
    """
    if found.mean is None or found.interval is None:
        return f"Can't tell: {found.pairs} seeds are too few for an interval; it takes at least 3."
    low, high = found.interval
    facts = f"95% interval {points(low)} to {points(high)}, {found.pairs} seeds"
    said = answer(found, margin)
    if said == "yes":
        return f"Yes: {one} gains {points(found.mean)} points over {other} ({facts})."
    if said == "can't tell":
        return f"Can't tell: the difference is {points(found.mean, sign=True)} points ({facts}). More seeds would narrow the interval."
    if high < 0:
        return f"No: {one} is worse than {other} by {points(-found.mean)} points ({facts})."
    return f"No: {one} gains less than {margin:g} points over {other}, if anything ({points(found.mean, sign=True)}; {facts})."
