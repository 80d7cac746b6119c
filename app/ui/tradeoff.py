"""The points of the frontier page: lanes with their seeds, compared with SGD and SAM on the same seeds."""

import statistics
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal

from ssam.experiment import LaneSpec, RaceSpec
from ssam.methods import METHODS
from ssam.stats import pareto
from ssam.stats.paired import Paired, compare

Source = Literal["final", "search", "own"]


@dataclass(frozen=True)
class Trial:
    """One lane on one seed. Accuracies are of the last epoch in %, None if the lane diverged; ``sgd`` and ``sam`` are those of
    the lanes it is compared with, on the same seed. Ratios are in SGD steps; ``trusted`` is False on a shared machine."""

    seed: int
    accuracy: float | None
    step_ratio: float | None
    seconds_ratio: float | None
    trusted: bool = True
    sgd: float | None = None
    sam: float | None = None


@dataclass(frozen=True)
class Point:
    """One lane with all its seeds. ``lane`` has every setting, including the race's; ``place`` is the device of the reader's
    races, else empty; ``run`` is such a race. ``sam_helps``: SAM is significantly better than SGD in this task."""

    lane: LaneSpec
    source: Source
    trials: tuple[Trial, ...]
    sparsity: float
    plan: str
    predicted: float | None
    exact: bool
    sam_helps: bool = False
    place: str = ""
    run: str | None = None

    @property
    def key(self) -> str:
        return f"mine:{self.place}:{self.lane}" if self.source == "own" else str(self.lane)

    @property
    def accuracies(self) -> list[float]:
        return [trial.accuracy for trial in self.trials if trial.accuracy is not None]

    @property
    def mean(self) -> float | None:
        return _mean(self.accuracies)

    @property
    def deviation(self) -> float | None:
        """Return the standard deviation over the seeds; None for fewer than two."""
        return statistics.stdev(self.accuracies) if len(self.accuracies) > 1 else None

    @property
    def diverged(self) -> int:
        return len(self.trials) - len(self.accuracies)

    @property
    def ratio(self) -> float | None:
        """Return the cost of a step in SGD steps: the median over the seeds, without those on a shared machine if there are others."""
        return self._median("step_ratio")

    @property
    def seconds_ratio(self) -> float | None:
        return self._median("seconds_ratio")

    @property
    def shared(self) -> bool:
        return not any(trial.trusted for trial in self.trials)

    @property
    def by_seed(self) -> dict[int, float]:
        return {trial.seed: trial.accuracy for trial in self.trials if trial.accuracy is not None}

    @property
    def over_sgd(self) -> Paired:
        """Return the comparison of this lane with SGD, in percentage points, not corrected for choosing among many lanes."""
        return compare(self.by_seed, {trial.seed: trial.sgd for trial in self.trials if trial.sgd is not None})

    @property
    def gain(self) -> float | None:
        """Return the mean gain over SGD on paired seeds, in percentage points."""
        return self.over_sgd.mean

    @property
    def sam_gain(self) -> float | None:
        """Return SAM's gain over SGD on the seeds of this lane, in percentage points."""
        return _mean(of_sam for _, of_sam in self._gains())

    @property
    def share(self) -> float | None:
        """Return the lane's share of SAM's gain over SGD on the same seeds; None if SAM has no clear gain."""
        pairs = self._gains()
        whole = sum(of_sam for _, of_sam in pairs)
        return sum(own for own, _ in pairs) / whole if self.sam_helps and whole > 0 else None

    def _gains(self) -> list[tuple[float, float]]:
        """Return the gains of the lane and of SAM over SGD, for each seed that has all three."""
        return [
            (trial.accuracy - trial.sgd, trial.sam - trial.sgd)
            for trial in self.trials
            if trial.accuracy is not None and trial.sgd is not None and trial.sam is not None
        ]

    def _median(self, name: str) -> float | None:
        trials = self.trials if self.shared else [trial for trial in self.trials if trial.trusted]
        known = [value for trial in trials if (value := getattr(trial, name)) is not None]
        return statistics.median(known) if known else None


@dataclass(frozen=True)
class Task:
    """One setting in which lanes were compared. ``points`` are sorted, the most accurate first."""

    key: str
    title: str
    spec: RaceSpec
    points: tuple[Point, ...]

    @property
    def sgd(self) -> Point | None:
        return _reference(self.points, "sgd")

    @property
    def sam(self) -> Point | None:
        """Return plain SAM with its best radius, so that the others are compared with a tuned SAM."""
        return _reference(self.points, "sam")

    def race(self, point: Point) -> RaceSpec:
        """Return the race that reproduces a point: SGD, SAM and its lane, with its first seed."""
        lanes = [LaneSpec(method="sgd"), self.sam.lane if self.sam else LaneSpec(method="sam"), point.lane]
        short = dict.fromkeys(_short(self.spec, lane) for lane in lanes)
        return self.spec.model_copy(update={"lanes": tuple(short), "seed": point.trials[0].seed, "norm": "full"})


@dataclass(frozen=True)
class Row:
    """A trial before it is assigned to a point."""

    source: Source
    place: str
    lane: LaneSpec
    trial: Trial
    about: dict[str, Any]


def points_of(rows: Iterable[Row]) -> tuple[Point, ...]:
    """Return one point per lane of a task. A finalist has only the seeds of the final: the others chose it.

    A share of SAM's gain is given only in a task in which some races show that SAM has one.
    """
    groups: dict[tuple[Source, str], dict[LaneSpec, dict[int, Row]]] = defaultdict(lambda: defaultdict(dict))
    for row in rows:
        kept = groups[row.source, row.place][row.lane]
        if row.trial.seed not in kept or (row.trial.trusted and not kept[row.trial.seed].trial.trusted):
            kept[row.trial.seed] = row
    points: list[Point] = []
    helps = False
    for (source, place), lanes in groups.items():
        group = [
            Point(
                lane,
                source,
                tuple(rows_of[seed].trial for seed in sorted(rows_of)),
                place=place,
                **next(iter(rows_of.values())).about,
            )
            for lane, rows_of in lanes.items()
        ]
        sgd, sam = _by_seed(_reference(group, "sgd")), _by_seed(_reference(group, "sam"))
        helps |= compare(sam, sgd).verdict == "better"
        points += [_beside(point, sgd, sam) for point in group]
    points = [replace(point, sam_helps=helps) for point in points]
    finalists = {point.lane for point in points if point.source == "final"}
    return by_accuracy(point for point in points if point.source != "search" or point.lane not in finalists)


def _beside(point: Point, sgd: dict[int, float], sam: dict[int, float]) -> Point:
    """Yield each trial with those of SGD and SAM that ran beside it, on the same seed."""
    return replace(point, trials=tuple(replace(t, sgd=sgd.get(t.seed), sam=sam.get(t.seed)) for t in point.trials))


def _mean(values: Iterable[float]) -> float | None:
    known = list(values)
    return statistics.fmean(known) if known else None


def _by_seed(point: Point | None) -> dict[int, float]:
    return point.by_seed if point else {}


def _reference(points: Iterable[Point], method: str) -> Point | None:
    """Return the plain lane of a method: finalists first, then by accuracy."""
    plain = [p for p in points if p.lane.method == method and p.lane.own_settings.keys() <= {"rho"} and p.accuracies]
    order: dict[Source, int] = {"final": 0, "search": 1, "own": 2}
    return min(by_accuracy(plain), key=lambda point: order[point.source], default=None)


def by_accuracy(points: Iterable[Point]) -> tuple[Point, ...]:
    return tuple(sorted(points, key=lambda point: -1.0 if point.mean is None else point.mean, reverse=True))


def drawable(point: Point) -> bool:
    return point.mean is not None and point.ratio is not None


def efficient(points: Iterable[Point]) -> list[Point]:
    """Return the Pareto front, the cheapest first, among the best-tested kind: finalists, else searched lanes, else own races.
    Lanes that diverged on a seed, or were timed only on a shared machine, do not count."""
    sound = [point for point in points if drawable(point) and not point.diverged and not point.shared]
    kinds: tuple[Source, ...] = ("final", "search", "own")
    ranked = next((kind for kind in ([p for p in sound if p.source == source] for source in kinds) if kind), [])
    return pareto.front(ranked, lambda point: point.ratio or 0.0, lambda point: point.mean or 0.0)


def _short(spec: RaceSpec, lane: LaneSpec) -> LaneSpec:
    """Return the lane without settings equal to the race's."""
    given = {"rho": spec.rho * METHODS[lane.method].rho_scale, "sparsity": spec.sparsity}
    return lane.model_copy(update={name: None for name, value in given.items() if getattr(lane, name) == value})


def score(point: Point) -> str:
    """Return mean ± standard deviation.

    >>> from app.ui.tradeoff import Trial
    >>> score(Point(LaneSpec(method="sam"), "final", (Trial(0, 80.0, 2.0, 2.0), Trial(1, 81.0, 2.0, 2.0)), 0, "", 2, True))
    '80.5 ± 0.7%'
    """
    if point.mean is None:
        return "diverged"
    return f"{point.mean:.1f}%" if point.deviation is None else f"{point.mean:.1f} ± {point.deviation:.1f}%"
