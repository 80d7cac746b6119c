"""Scores of a sweep: the best settings, the Pareto front, and whether fresh seeds confirm the best."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from ssam.experiment.sweep import SweepSpec, Values
from ssam.stats import pareto
from ssam.stats.paired import Paired, compare, family
from ssam.store.sweeps import STANDARD, Sweep, Trial, TrialState


@dataclass(frozen=True)
class Point:
    """One combination of settings. Means over its seeds: ``score`` of the accuracy that settings are chosen by, 0–1, ``test`` of the
    test accuracy, which chooses nothing, and ``cost``; None if not all of its races have finished (a pruned one has its last
    score)."""

    number: int
    values: Values
    state: TrialState
    trials: tuple[Trial, ...]
    score: float | None
    cost: float | None
    test: float | None = None

    @property
    def gap(self) -> float | None:
        """Return the score minus the test accuracy."""
        return None if self.score is None or self.test is None else self.score - self.test

    @property
    def spread(self) -> float | None:
        """Return the standard deviation over the seeds; None for a single one."""
        scores = [trial.score for trial in self.trials if trial.score is not None]
        return statistics.stdev(scores) if len(scores) > 1 else None


def points(spec: SweepSpec, trials: Iterable[Trial]) -> list[Point]:
    """Return the combinations that the search has tried, in order."""
    by_number: dict[int, list[Trial]] = {}
    for trial in trials:
        if not trial.fresh:
            by_number.setdefault(trial.number, []).append(trial)
    return [_point(number, tuple(own)) for number, own in sorted(by_number.items())]


def _point(number: int, own: tuple[Trial, ...]) -> Point:
    states = [trial.state for trial in own]
    order: tuple[TrialState, ...] = ("open", "refused", "failed", "diverged", "pruned", "done")
    state = next(state for state in order if state in states)
    scores = [trial.score for trial in own if trial.score is not None]
    costs = [trial.cost for trial in own if trial.cost is not None]
    tests = [trial.test for trial in own if trial.test is not None]
    is_scored = state in ("done", "pruned") and len(scores) == len(own)
    cost, test = (statistics.fmean(each) if is_scored and len(each) == len(own) else None for each in (costs, tests))
    return Point(number, own[0].values, state, own, statistics.fmean(scores) if is_scored else None, cost, test)


def ranked(spec: SweepSpec, trials: Iterable[Trial]) -> list[Point]:
    """Return finished combinations, the most accurate first; ties by cost, then by order."""
    ended = [point for point in points(spec, trials) if point.state == "done" and point.score is not None]
    return sorted(ended, key=lambda point: (-(point.score or 0.0), point.cost or 0.0, point.number))


def chosen(sweep: Sweep, trials: Iterable[Trial]) -> Point | None:
    """Return the best settings once the search is over, the only ones whose test accuracy is shown; None before."""
    trials_seen = list(trials)
    if sweep.state in ("running", "paused") or any(trial.state == "open" and not trial.fresh for trial in trials_seen):
        return None
    return next(iter(ranked(sweep.spec, trials_seen)), None)


def unranked(spec: SweepSpec, trials: Iterable[Trial]) -> list[Point]:
    """Return combinations that ended without a score, in the order of the search: diverged, pruned, failed, refused."""
    return [point for point in points(spec, trials) if point.state not in ("open", "done")]


def front(tried: Sequence[Point]) -> list[Point]:
    """Return the Pareto front: those that no cheaper one beats in accuracy; the cheapest first."""
    priced = [point for point in tried if point.state == "done" and point.score is not None and point.cost is not None]
    return pareto.front(
        sorted(priced, key=lambda point: point.number),
        lambda point: point.cost or 0.0,
        lambda point: point.score or 0.0,
    )


@dataclass(frozen=True)
class Fresh:
    """The best settings, run again on seeds that the search had not seen.

    ``selected`` is the score that chose them: the best of many, so probably optimistic. ``scores`` and ``standard`` are, by
    seed, the test accuracies of the best settings and of the starting point; ``open`` is the number of races that have not ended,
    ``lost`` of those without a result. ``compared`` is the paired comparison of the two, in percentage points.
    """

    values: Values
    selected: float
    scores: dict[int, float]
    standard: dict[int, float]
    open: int
    lost: int
    compared: Paired

    @property
    def mean(self) -> float | None:
        return statistics.fmean(self.scores.values()) if self.scores else None

    @property
    def spread(self) -> float | None:
        return statistics.stdev(self.scores.values()) if len(self.scores) > 1 else None

    @property
    def is_finding(self) -> bool:
        """Return whether all fresh seeds have finished, and the best settings are significantly better than the starting point."""
        return not self.open and not self.lost and self.compared.verdict == "better"


def fresh(trials: Iterable[Trial]) -> list[Fresh]:
    """Return one per settings that were run again, the latest last."""
    all_trials = list(trials)
    begun = [trial for trial in all_trials if trial.fresh]
    standard = {trial.seed: trial.score for trial in begun if trial.number == STANDARD and trial.score is not None}
    results = []
    for number in sorted({trial.number for trial in begun} - {STANDARD}):
        own = [trial for trial in begun if trial.number == number]
        seeds = {trial.seed for trial in own}
        both = [trial for trial in begun if trial.seed in seeds and trial.number in (number, STANDARD)]
        searched = [
            trial.score
            for trial in all_trials
            if trial.number == number and not trial.fresh and trial.score is not None
        ]
        scores = {trial.seed: trial.score for trial in own if trial.score is not None}
        begun_with = {seed: score for seed, score in standard.items() if seed in seeds}
        results.append(
            Fresh(
                values=own[0].values,
                selected=statistics.fmean(searched),
                scores=scores,
                standard=begun_with,
                open=sum(trial.state == "open" for trial in both),
                lost=sum(trial.state not in ("open", "done") for trial in both),
                compared=compare(_percent(scores), _percent(begun_with)),
            )
        )
    together = family([one.compared for one in results])
    return [replace(one, compared=compared) for one, compared in zip(results, together, strict=True)]


def _percent(scores: Mapping[int, float]) -> dict[int, float]:
    return {seed: 100 * score for seed, score in scores.items()}
