"""Flatness against accuracy: each estimator of a person's measured lanes with their final test accuracy."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from app.ui import run_labels
from app.ui.estimators import measured
from ssam.experiment import RaceSpec
from ssam.store import Run

DRAWS = 2000  # resamples behind an interval
ENOUGH = 8  # lanes: fewer are not enough


@dataclass(frozen=True)
class Point:
    """One lane at the end of its race. ``setting`` is that of the estimator: only equal ones can be compared."""

    run: str
    lane: int
    spec: RaceSpec
    estimator: str
    setting: str
    value: float
    accuracy: float  # %

    @property
    def trains_otherwise(self) -> bool:
        """Return whether the lane has its own training settings."""
        return self.spec.lanes[self.lane].trains_otherwise

    @property
    def task(self) -> str:
        """Return the race without its lanes and seed."""
        return run_labels.describe(self.spec).rsplit(" · ", 1)[0]


class Correlation(NamedTuple):
    """Spearman's rank correlation with the bounds of its 95% interval; NaN if one side is constant."""

    value: float
    low: float
    high: float
    n: int

    @property
    def tells(self) -> bool:
        """Return whether there are enough lanes, and the interval excludes 0."""
        return self.n >= ENOUGH and (self.low > 0 or self.high < 0)


def points(races: Iterable[tuple[Run, list[Run]]]) -> list[Point]:
    """Return a point for each lane and estimator of finished races, from their latest weights; ``races`` are races with their
    analyses, newest first. A setting measured twice counts once."""
    found: dict[tuple[str, int, str, str], Point] = {}
    for race, analyses in races:
        if race.state != "finished" or not race.result:
            continue
        accuracies = [lane["test_accuracy"] for lane in race.result["lanes"]]
        for analysis in analyses:
            for estimator, setting, lane, value in measured(analysis):
                if value is not None and accuracies[lane] is not None:
                    point = Point(race.id, lane, race.spec, estimator, setting, value, 100 * accuracies[lane])
                    found.setdefault((race.id, lane, estimator, setting), point)
    return list(found.values())


def comparable(points: Iterable[Point], estimator: str) -> list[Point]:
    """Return the points of one estimator with the most common setting."""
    own = [point for point in points if point.estimator == estimator]
    if not own:
        return []
    ((setting, _),) = Counter(point.setting for point in own).most_common(1)
    return [point for point in own if point.setting == setting]


def correlate(x: Iterable[float], y: Iterable[float], seed: int = 0) -> Correlation:
    """Return Spearman's correlation of two series, with a percentile bootstrap over the pairs."""
    first, second = np.array(list(x), dtype=float), np.array(list(y), dtype=float)
    n = len(first)
    value = spearman(first, second)
    if n < 3 or np.isnan(value):
        return Correlation(value, np.nan, np.nan, n)
    counts = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=DRAWS)
    drawn = _correlations(first, second, counts)
    low, high = np.nanpercentile(drawn, (2.5, 97.5))  # a resample of a single pair has none
    return Correlation(value, float(low), float(high), n)


def spearman(x: np.ndarray, y: np.ndarray) -> float:
    """Return Pearson's correlation of the ranks; ties have their mean rank. NaN for fewer than two pairs, or a constant side."""
    return float(_correlations(x, y, np.ones((1, len(x)), dtype=int))[0]) if len(x) > 1 else float("nan")


def _correlations(x: np.ndarray, y: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return Spearman's correlation (draws,) of samples with pair i ``counts[:, i]`` times; ``counts`` (draws, n)."""
    size = counts.sum(1, keepdims=True)
    ranks = [_ranks(values, counts) for values in (x, y)]
    first, second = (rank - (counts * rank).sum(1, keepdims=True) / size for rank in ranks)
    together, one, other = ((counts * product).sum(1) for product in (first * second, first**2, second**2))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(one * other > 1e-9, together / np.sqrt(one * other), np.nan)


def _ranks(values: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return the mean rank (draws, n) of every value in each sample."""
    distinct, place = np.unique(values, return_inverse=True)
    ties = np.zeros((len(distinct), len(counts)), dtype=int)
    np.add.at(ties, place, counts.T)
    return (ties.cumsum(0) - ties + (ties + 1) / 2)[place].T
