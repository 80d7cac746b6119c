"""The rule by which two methods are compared: Student's t on their differences per seed. Every page, the command line and the
exports use it, so that equal numbers get equal verdicts.

**Rule.** From FEWEST pairs on, a 95% interval of the mean difference and its two-sided p; *better* or *worse* if p, adjusted by
Holm's method for the comparisons made together, is below LEVEL; else *no significant difference*. Larger values are better.

**Why it holds its level.** If a method makes no difference, the two results of a seed come from the same distribution, whatever that
is, and are exchangeable: their difference is symmetric around 0, however skewed the accuracies are. On such differences t is exact for
normal values and conservative for heavy tails and outliers; for light tails it errs by a few tenths of a percent.
``python -m benchmarks.statistics`` simulates it with this very code, also with the residuals of measured races and with small
test sets (``docs/measured.md``). It is *not* a test of equal means: two methods that differ in shape alone, one of which collapses occasionally,
for example, may be distinguished more often.

**Why not a sign or permutation test.** Free of assumptions, but below six pairs neither can reach 5%: of five seeds all could be wins, and p
would still be 0.0625. On many seeds their verdicts hardly differ, and two contradictory rules would only confuse.

**Small test sets.** Accuracies are counts of images, so a few differences can be equal by rounding alone, and Student's t would be
certain. The standard deviation is therefore at least that of rounding: √(1/6) of the smallest step between two of the
values, two values each rounded to within half a step having variances of step²/12.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

LEVEL = 0.05
FEWEST = 3  # pairs: two leave one degree of freedom, and an interval of ±9 standard deviations

Verdict = Literal["better", "worse", "no significant difference", "too few pairs"]

EXPLAINED = f"""
- **Paired difference.** For each seed that both have finished, the lane's final accuracy minus the baseline's, in percentage points. With
  the same seed, data and model, both start from the same weights and see the same batches.
- **Verdict.** Student's t on these differences, the same rule on every page. From {FEWEST} seeds on there is a 95% interval of the mean
  difference. *Better* or *worse* means p < {LEVEL:g}, adjusted by Holm's method for all comparisons shown together. If there is no
  difference, such a verdict is a false alarm; that happens about once in twenty times.
- **Not significant** does not mean that there is no difference: {FEWEST} seeds show only large differences, more seeds show smaller ones.
- **Decide the number of seeds in advance.** Peeking after every seed and stopping at p < {LEVEL:g} inflates false positives.
"""


@dataclass(frozen=True)
class Paired:
    """One method against another on the seeds of both. ``mean`` is the mean difference, None without pairs; ``interval`` its 95%
    interval and ``p`` the two-sided p, both of this pair alone (unless ``compare`` is told of others) and None with fewer than FEWEST
    pairs. ``adjusted`` is p as one of
    ``comparisons`` made together."""

    pairs: int
    mean: float | None
    interval: tuple[float, float] | None
    p: float | None
    adjusted: float | None
    comparisons: int = 1

    @property
    def verdict(self) -> Verdict:
        if self.adjusted is None or self.mean is None:
            return "too few pairs"
        if self.adjusted >= LEVEL:
            return "no significant difference"
        return "better" if self.mean > 0 else "worse"


def compare(one: Mapping[int, float], other: Mapping[int, float], comparisons: int = 1) -> Paired:
    """Compare ``one`` minus ``other``, both by seed, on their common seeds.

    As one of several ``comparisons`` whose intervals are to hold together, its interval has the level 1 − LEVEL/comparisons and its
    adjusted p is Bonferroni's: the interval excludes 0 just where the adjusted p is below LEVEL.

    >>> compare({0: 80.0, 1: 81.0, 2: 82.5}, {0: 70.0, 1: 70.0, 2: 71.0, 3: 72.0}).verdict
    'better'
    """
    seeds = [seed for seed in one if seed in other]
    differences = [one[seed] - other[seed] for seed in seeds]
    n = len(differences)
    if n < FEWEST:
        return Paired(n, math.fsum(differences) / n if n else None, None, None, None, comparisons)
    from scipy.special import stdtr, stdtrit  # imported late: it takes longer to load than a page

    mean = math.fsum(differences) / n
    variance = math.fsum((difference - mean) ** 2 for difference in differences) / (n - 1)
    step = _step([each[seed] for each in (one, other) for seed in seeds])
    error = math.sqrt(max(variance, step**2 / 6) / n)  # of the mean
    half = error * float(stdtrit(n - 1, 1 - LEVEL / 2 / comparisons))
    p = 2 * float(stdtr(n - 1, -abs(mean) / error)) if error else 1.0
    return Paired(n, mean, (mean - half, mean + half), p, min(1.0, comparisons * p), comparisons)


def _step(values: Iterable[float]) -> float:
    """Return the smallest step between two values; 0 if all are equal."""
    return min((high - low for low, high in pairwise(sorted(values)) if high - low > 1e-9), default=0.0)


def family(found: Sequence[Paired]) -> list[Paired]:
    """Return comparisons shown together with p adjusted by Holm's method: LEVEL then holds for all of them together."""
    tested = sorted((one.p, place) for place, one in enumerate(found) if one.p is not None)
    adjusted: dict[int, float] = {}
    least = 0.0
    for rank, (p, place) in enumerate(tested):
        least = adjusted[place] = max(least, min(1.0, (len(tested) - rank) * p))
    count = max(1, len(tested))
    return [replace(one, adjusted=adjusted.get(place), comparisons=count) for place, one in enumerate(found)]


def sentence(one: str, other: str, found: Paired) -> str:
    """Return the comparison of two methods in a sentence, in percentage points.

    >>> sentence("SAM", "SGD", compare({0: 80.0, 1: 81.0, 2: 82.5}, {0: 70.0, 1: 70.0, 2: 71.0}))
    'SAM is better than SGD by 10.83 points (95% interval 8.94 to 12.73, 3 seeds).'
    >>> sentence("SAM", "SGD", compare({0: 80.0, 1: 81.0}, {0: 70.0, 1: 71.0}))
    'SAM and SGD: too few seeds (2 of 3).'
    """
    if found.mean is None or found.interval is None:
        return f"{one} and {other}: too few seeds ({found.pairs} of {FEWEST})."
    mean, (low, high) = found.mean, found.interval
    if found.verdict == "worse":
        mean, low, high = -mean, -high, -low
    facts = f"95% interval {points(low)} to {points(high)}, {found.pairs} seeds"
    if found.comparisons > 1:
        facts += f", one of {found.comparisons} comparisons"
    if found.verdict == "no significant difference":
        if low > 0 or high < 0:
            facts += f": p = {found.adjusted:.2f} by Holm's method"
        return f"{one} and {other} do not differ significantly: {points(mean, sign=True)} points ({facts})."
    return f"{one} is {found.verdict} than {other} by {points(mean)} points ({facts})."


def points(value: float, sign: bool = False) -> str:
    """Return a difference in percentage points, with a true minus.

    >>> points(-0.254), points(1.0, sign=True), points(-0.001, sign=True)
    ('−0.25', '+1.00', '0.00')
    """
    text = f"{abs(value):.2f}"
    return text if text == "0.00" else f"{'−' if value < 0 else '+' * sign}{text}"
