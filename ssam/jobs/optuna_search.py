"""Which settings to try next, and which races to prune: Optuna, given all trials in the store.

A ``Search`` has no state of its own. Rebuilt from the same trials it suggests and prunes the same, so a restart of the runner changes
nothing. Only the runner imports this: Optuna is slow to load.
"""

import warnings
from collections.abc import Callable, Sequence

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.study import StudyDirection
from optuna.trial import TrialState

from ssam.experiment.sweep import SweepSpec, Values, Vary
from ssam.store.sweep_scores import Point

STARTUP = 8  # random settings before TPE has enough data
PRUNE_AFTER = 4  # finished races before the median prunes
WORST = 0.0  # accuracy assigned to a diverged lane
FEWEST_IMPORTANT = 6  # finished settings before their importance is computed

optuna.logging.set_verbosity(optuna.logging.ERROR)
warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)

Curve = Sequence[tuple[int, float]]  # epoch and the accuracy used as the score


class Search:
    """One sweep as an Optuna study.

    Args:
        spec: the sweep.
        points: the settings tried, by number from 0 without gaps except for dropped ones.
        curve: the evaluations of a point's race, for pruning.
    """

    def __init__(self, spec: SweepSpec, points: Sequence[Point], curve: Callable[[Point], Curve]) -> None:
        self.spec = spec
        self._space = {vary.field: _distribution(vary, spec) for vary in spec.vary}
        directions = [StudyDirection.MAXIMIZE, *([StudyDirection.MINIMIZE] if spec.cost else [])]
        self._study = optuna.create_study(directions=directions, pruner=_pruner(spec), study_name="sweep")
        self._curve = curve
        self._asked: dict[int, optuna.Trial] = {}
        self._seen: dict[int, int] = {}  # the latest epoch reported to Optuna
        self._pruned: set[int] = set()
        for point in points:
            self._retell(point.number, point.values)
            if point.state != "open":
                self.tell(point)
            elif spec.pruning != "none":
                self.falls_behind(point.number, curve(point))

    def _retell(self, number: int, values: Values) -> None:
        self._study.enqueue_trial(values)
        self._asked[number] = self._study.ask(self._space)

    @property
    def numbers(self) -> set[int]:
        return set(self._asked)

    def ask(self, number: int) -> Values | None:
        """Return the next settings to try, and their number; None if a grid is exhausted."""
        if self.spec.method == "grid":
            tried = [dict(trial.params) for trial in self._asked.values()]
            values = next((point for point in self.spec.points if point not in tried), None)
            if values is not None:
                self._retell(number, values)
            return values
        # A new sampler for each number: suggestions depend only on the reported trials. And a copy of the study to ask: the trial that
        # is reported is the one that is run, whose values have fewer digits.
        seed = (1_000_003 * self.spec.base.seed + number) % 2**32
        sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=STARTUP, constant_liar=True)
        copy = optuna.create_study(directions=self._study.directions, sampler=sampler)
        copy.add_trials(self._study.get_trials(deepcopy=False))
        asked = copy.ask(self._space).params
        values = {vary.field: _plain(vary, asked[vary.field]) for vary in self.spec.vary}
        self._retell(number, values)
        return values

    def falls_behind(self, number: int, curve: Curve) -> bool:
        """Report the new evaluations; return whether the race should be pruned."""
        trial = self._asked[number]
        for epoch, accuracy in curve:
            if epoch > self._seen.get(number, 0):
                self._seen[number] = epoch
                trial.report(accuracy, epoch)
                if number not in self._pruned and trial.should_prune():
                    self._pruned.add(number)
        return number in self._pruned

    def tell(self, point: Point) -> None:
        """Report the outcome of a point, once.

        Its evaluations are reported first: a race may have ended since they were last read, and a median over the few races whose
        evaluations happened to be read in time prunes settings that are above the true median.
        """
        if self.spec.pruning != "none":
            self.falls_behind(point.number, self._curve(point))
        trial = self._asked[point.number]
        if point.state == "done" and point.score is not None and not self.spec.cost:
            self._study.tell(trial, point.score)
        elif point.state == "done" and point.score is not None and point.cost is not None:
            self._study.tell(trial, [point.score, point.cost])
        elif point.state == "pruned":
            self._study.tell(trial, state=TrialState.PRUNED)
        elif point.state == "diverged" and not self.spec.cost:
            self._study.tell(trial, WORST)
        else:
            self._study.tell(trial, state=TrialState.FAIL)

    def importance(self) -> dict[str, float]:
        """Return each field's importance for the accuracy (PED-ANOVA); empty if there is too little data."""
        complete = self._study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        if len(complete) < FEWEST_IMPORTANT or len({trial.values[0] for trial in complete}) < 2 or len(self._space) < 2:
            return {}
        evaluator = optuna.importance.PedAnovaImportanceEvaluator()
        shares = optuna.importance.get_param_importances(
            self._study, evaluator=evaluator, target=lambda trial: trial.values[0]
        )
        return {name: float(share) for name, share in shares.items()}


def _distribution(vary: Vary, spec: SweepSpec) -> BaseDistribution:
    if spec.method == "grid" or vary.values is not None:
        return CategoricalDistribution(vary.grid)
    assert vary.low is not None
    assert vary.high is not None
    if vary.is_whole:
        return IntDistribution(round(vary.low), round(vary.high), log=vary.log)
    return FloatDistribution(vary.low, vary.high, log=vary.log)


def _pruner(spec: SweepSpec) -> optuna.pruners.BasePruner:
    if spec.pruning == "median":
        return optuna.pruners.MedianPruner(n_startup_trials=PRUNE_AFTER, n_warmup_steps=spec.base.epochs // 5)
    if spec.pruning == "hyperband":
        return optuna.pruners.HyperbandPruner(min_resource=1, max_resource=spec.base.epochs, reduction_factor=3)
    return optuna.pruners.NopPruner()


def _plain(vary: Vary, value: object) -> int | float | str | None:
    """Return a number rounded to a readable number of digits."""
    if isinstance(value, float) and vary.low is not None and vary.high is not None:
        return min(max(float(f"{value:.4g}"), vary.low), vary.high)
    assert value is None or isinstance(value, int | float | str)
    return value
