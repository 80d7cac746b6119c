"""The answer of a duel: is a method better than a baseline that was tuned as much? Yes, no, or can't tell.

**Rule.** All of it is read off one interval: that of the mean paired difference, 95% for all rivals together (Bonferroni). *Yes*: the interval
lies above 0 and reaches the margin. *No*: it lies below the margin, so a gain worth having is ruled out; a method that is worse falls under
it, and so does one that gains less than the margin for sure. Anything else is *can't tell*; so is every duel in which a round gave no number, as
trainings that diverge are not missing at random, and every one with fewer than three rounds, which have no interval.

**Errors.** Two copies of one method, tuned from scratch in each round, have differences that are symmetric around 0, so it says *yes* in at most 2.5% of
all duels, whatever the number of rivals; and it says *no* to a true gain of the margin or more in at most 2.5%.

Holm's method would find a little more among several rivals, but has no intervals that agree with what it finds.
"""

from typing import Literal

from ssam.stats.paired import FEWEST, Paired, points

Answer = Literal["yes", "no", "can't tell"]


def answer(found: Paired, margin: float, rounds: int) -> Answer:
    """Whether a method beats its baseline: ``margin`` is the gain worth having in percentage points, ``rounds`` how many were planned.

    >>> from ssam.stats.paired import compare
    >>> gains = compare({0: 80.0, 1: 81.0, 2: 82.5}, {0: 70.0, 1: 70.0, 2: 71.0})
    >>> answer(gains, 1.0, rounds=3), answer(gains, 1.0, rounds=4), answer(gains, 15.0, rounds=3)
    ('yes', "can't tell", 'no')
    """
    if found.interval is None or found.pairs < rounds:
        return "can't tell"
    if found.interval[1] < margin:
        return "no"
    return "yes" if found.interval[0] > 0 else "can't tell"


def explanation(one: str, other: str, found: Paired, margin: float, rounds: int) -> str:
    """The answer in a sentence or two, as a student reads it.

    >>> from ssam.stats.paired import compare
    >>> gains = compare({0: 80.0, 1: 81.0, 2: 82.5}, {0: 70.0, 1: 70.0, 2: 71.0})
    >>> explanation("SAM", "SGD", gains, 1.0, 3)
    'Yes: SAM gains 10.83 points over a tuned SGD (95% interval 8.94 to 12.73, 3 rounds).'
    """
    if found.pairs < rounds:
        return f"Can't tell: {rounds - found.pairs} of {rounds} rounds gave no number, because a training diverged or failed."
    if found.mean is None or found.interval is None:
        return f"Can't tell: {rounds} rounds are too few for an interval; it takes at least {FEWEST}."
    low, high = found.interval
    together = f" for all {found.comparisons} comparisons together" if found.comparisons > 1 else ""
    facts = f"95% interval{together} {points(low)} to {points(high)}, {found.pairs} rounds"
    mean, worth = points(found.mean, sign=True), f"{margin:g} point{'s' * (margin != 1)}"
    said = answer(found, margin, rounds)
    if said == "yes":
        return f"Yes: {one} gains {points(found.mean)} points over a tuned {other} ({facts})."
    if said == "can't tell":
        return (
            f"Can't tell: between {one} and a tuned {other} lie {mean} points ({facts}). Both no gain and a gain of "
            f"{worth} or more are possible; more rounds would narrow the interval."
        )
    if high < 0:
        return f"No: {one} is worse than a tuned {other} by {points(-found.mean)} points ({facts})."
    if low > 0:
        return f"No: {one} gains {points(found.mean)} points over a tuned {other}, less than the {margin:g} asked for ({facts})."
    return f"No: a gain of {worth} over a tuned {other} is ruled out for {one} ({mean}; {facts})."
