"""Which settings to try next, and which races are not worth their time: Optuna, told all that the store knows.

A ``Search`` holds nothing of its own. Made anew from the same trials it asks and prunes the same, so a restart of the runner changes
nothing. Only the runner imports this: Optuna takes a while.
"""

import warnings
from collections.abc import Callable, Sequence

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.study import StudyDirection
from optuna.trial import TrialState

from ssam.experiment.sweep import SweepSpec, Values, Vary
from ssam.store.sweep_scores import Point

STARTUP = 8  # settings that are drawn at random before TPE has something to go by
PRUNE_AFTER = 4  # races that have come to an end before the median says anything
WORST = 0.0  # accuracy of a lane that diverged
FEWEST_IMPORTANT = 6  # settings that have come to an end before their importance is told

optuna.logging.set_verbosity(optuna.logging.ERROR)
warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)

Curve = Sequence[tuple[int, float]]  # epoch and the accuracy that counts


class Search:
    """One sweep as Optuna sees it.

    Args:
        spec: of the sweep.
        points: what has been tried, by number from 0 without a gap but for what has been dropped.
        curve: the evaluations of a point's race, for pruning.
    """

    def __init__(self, spec: SweepSpec, points: Sequence[Point], curve: Callable[[Point], Curve]) -> None:
        self.spec = spec
        self._space = {vary.field: _distribution(vary, spec) for vary in spec.vary}
        directions = [StudyDirection.MAXIMIZE, *([StudyDirection.MINIMIZE] if spec.cost else [])]
        self._study = optuna.create_study(directions=directions, pruner=_pruner(spec), study_name="sweep")
        self._curve = curve
        self._asked: dict[int, optuna.Trial] = {}
        self._seen: dict[int, int] = {}  # the newest epoch that was told
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
        """The next settings to try, under a number of their own; None where a grid has no more."""
        if self.spec.method == "grid":
            tried = [dict(trial.params) for trial in self._asked.values()]
            values = next((point for point in self.spec.points if point not in tried), None)
            if values is not None:
                self._retell(number, values)
            return values
        # A sampler of its own for each number: what is asked follows from what has been told and nothing else. And a copy to ask
        # in: what is told is what is raced, which has fewer digits.
        seed = (1_000_003 * self.spec.base.seed + number) % 2**32
        sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=STARTUP, constant_liar=True)
        copy = optuna.create_study(directions=self._study.directions, sampler=sampler)
        copy.add_trials(self._study.get_trials(deepcopy=False))
        asked = copy.ask(self._space).params
        values = {vary.field: _plain(vary, asked[vary.field]) for vary in self.spec.vary}
        self._retell(number, values)
        return values

    def falls_behind(self, number: int, curve: Curve) -> bool:
        """Tells the evaluations that are new; whether the race should be stopped for them."""
        trial = self._asked[number]
        for epoch, accuracy in curve:
            if epoch > self._seen.get(number, 0):
                self._seen[number] = epoch
                trial.report(accuracy, epoch)
                if number not in self._pruned and trial.should_prune():
                    self._pruned.add(number)
        return number in self._pruned

    def tell(self, point: Point) -> None:
        """Tell what came of a point; once.

        Its evaluations are told first: a race may have ended since they were last read, and a median over the few races whose
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
        """Each field's share in what the accuracies owe to the settings (PED-ANOVA); empty where there is too little to go by."""
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
    """Of a number so many digits as can be read."""
    if isinstance(value, float) and vary.low is not None and vary.high is not None:
        return min(max(float(f"{value:.4g}"), vary.low), vary.high)
    assert value is None or isinstance(value, int | float | str)
    return value
