"""The specification of a duel: several methods on one task, each tuned by the same rule and then judged on fresh seeds."""

from collections.abc import Mapping, Sequence

from pydantic import Field, ValidationError, model_validator

from ssam.experiment.choosing import VALIDATION, chosen_by
from ssam.experiment.race import Frozen, LaneSpec, RaceSpec, explain, parse_spec
from ssam.experiment.sweep import MAX_FIELDS, SweepSpec, Vary
from ssam.methods import METHODS

MOST = 4  # contenders per duel
BASELINE = "sgd"
RIVALS = ("sam", "ssam-f")
EPOCH_SHARES = (0.25, 0.4, 0.7, 1.0)  # of the maximum epochs; fewer is early stopping with the schedule ending there
TUNED = ("lr", "weight_decay", "epochs")  # tuned for every contender
WEIGHT_DECAYS = (1e-4, 5e-2)  # lowest and highest


class Contender(Frozen):
    """One method and the settings it is tuned over. The first contender of a duel is the baseline."""

    lane: LaneSpec
    vary: tuple[Vary, ...] = Field(min_length=1, max_length=MAX_FIELDS)


class DuelSpec(Frozen):
    """A comparison in which the baseline is tuned as much as its rivals.

    ``base`` is the task: data, network, batch size and maximum number of epochs; on the ``gradients`` clock, a method with cheaper
    steps may train for proportionally more epochs. Its lanes are those of the contenders. It holds out validation images, with labels
    as noisy as those of training. A duel has ``seeds`` rounds. In each round every contender is tuned from scratch: ``trials`` trials of
    Optuna's TPE over its own search space, chosen by validation accuracy. Its best settings are then trained once more with a seed that
    no search has seen, and judged by test accuracy. The differences between contenders, paired by round, therefore contain the
    randomness of tuning as well as that of the seed: two copies of one method differ by chance alone. ``margin`` is the gain, in
    percentage points, below which a method is not worth its cost.
    """

    base: RaceSpec
    contenders: tuple[Contender, ...] = Field(min_length=2, max_length=MOST)
    trials: int = Field(default=5, ge=2, le=200)
    seeds: int = Field(default=5, ge=2, le=20)
    margin: float = Field(default=1.0, gt=0.0, le=50.0)

    @model_validator(mode="after")
    def _fits_together(self) -> "DuelSpec":
        if not self.base.validation:
            raise ValueError("a duel chooses by validation accuracy, so its task needs a validation share above 0")
        if self.base.lanes != tuple(contender.lane for contender in self.contenders):
            raise ValueError("the lanes of the task must be those of the contenders, in their order")
        if self.base.clock == "seconds":
            raise ValueError("clock 'seconds' is not repeatable, so a duel cannot use it; allowed: epochs, gradients")
        for place in range(len(self.contenders)):
            self.sweep(place, 0)
        return self

    def sweep(self, place: int, turn: int) -> SweepSpec:
        """Return the search of the contender at ``place`` in round ``turn``, both from 0. Raise ValueError, one line, if its settings are
        not allowed."""
        contender = self.contenders[place]
        alone = self.base.model_copy(update={"lanes": (contender.lane,), "seed": self.base.seed + turn})
        try:
            return SweepSpec(base=alone, vary=contender.vary, method="tpe", races=self.trials)
        except ValidationError as error:
            raise ValueError(f"{contender.lane}: {explain(error, SweepSpec)}") from None

    def fresh_seed(self, turn: int) -> int:
        """Return the seed on which the winners of a round are judged; no search of this duel uses it."""
        return self.base.seed + self.seeds + turn

    @property
    def gain_worth_having(self) -> str:
        """Return the margin in words."""
        return f"{self.margin:g} point{'s' * (self.margin != 1)}"

    @property
    def names(self) -> tuple[str, ...]:
        """Return a unique name for each contender."""
        return self.base.lane_names


def rule(spec: DuelSpec) -> list[str]:
    """Return in sentences how a duel is decided: what is tuned, what it is judged on, what is random, and what each verdict means."""
    base = spec.base
    most = f"{base.epochs} epoch{'s' * (base.epochs > 1)}"
    if base.clock == "gradients":
        most += " of the method whose steps cost most, or as many gradients for another"
    together = "" if len(spec.contenders) == 2 else " for all comparisons together"
    return [
        f"{spec.seeds} rounds, fixed in advance. In each round every method is tuned from scratch over its own search space: {spec.trials} "
        f"trials each (Optuna's TPE), each training at most {most}.",
        f"Settings are chosen by validation accuracy alone. {chosen_by(spec.sweep(0, 0))}",
        "The best settings of each search are trained once more with a seed that no search has used, and judged once on all test images.",
        "Methods are compared by their difference in the same round. Random, and new in each round: the training images if only a part is "
        "used, their wrong labels, the images held out, initial weights, batch order, and the settings tried. Fixed: the data set with its test "
        "images, network, budget and search spaces; the answer holds for these.",
        f"Yes: the 95% interval of the mean difference{together} (Student's t) lies above 0 and reaches {spec.gain_worth_having}. "
        f"No: it lies below {spec.gain_worth_having}, the gain worth having. Can't tell: anything else, fewer than 3 rounds, or a round without a "
        "number. For differences that are about normal the chance of a wrong yes is at most 2.5%, and so is that of a wrong no.",
        "No interval before the last round: who looks after each round and stops when the answer suits finds something too often. "
        "Whoever runs several duels and reports one does too.",
    ]


def search_space(base: RaceSpec, lane: LaneSpec) -> tuple[Vary, ...]:
    """Return the default search space of a lane on this task: learning rate, weight decay and epochs for every method, rho for a method
    that perturbs, and sparsity for one with a mask.

    >>> [str(vary) for vary in search_space(RaceSpec(epochs=15), LaneSpec(method="sgd"))]
    ['lr=0.025..0.2:log', 'weight_decay=0.0001..0.05:log', 'epochs=4,6,10,15']
    """
    method, most = METHODS[lane.method], base.epochs
    if base.clock == "gradients":  # equal gradients for all, so more epochs for methods with cheaper steps
        most = round(base.epochs * max(each.passes for each in base.lanes) / lane.passes)
    epochs = tuple(dict.fromkeys(max(1, round(share * most)) for share in EPOCH_SHARES))
    space = [
        Vary(field="lr", low=base.lr / 4, high=2 * base.lr, log=True),
        Vary(field="weight_decay", low=WEIGHT_DECAYS[0], high=WEIGHT_DECAYS[1], log=True),
        Vary(field="epochs", values=epochs),
    ]
    if method.perturbs:
        rho = base.lane_rho(lane) or base.rho
        space.append(Vary(field="lane1.rho", low=rho / 4, high=4 * rho, log=True))
    if method.sparse:
        space.append(Vary(field="lane1.sparsity", values=(0.5, 0.8)))
    return tuple(space)


def new_duel(base: RaceSpec, lanes: Sequence[LaneSpec], spaces: Sequence[str] = (), **limits: object) -> DuelSpec:
    """Build a duel of ``lanes`` on the task of ``base``. If ``base`` holds out no images, it holds out VALIDATION of its training images.

    Args:
        spaces: ``LANE:FIELD=VALUES`` or ``LANE:FIELD=LOW..HIGH[:log]`` replaces or adds one setting of a contender's search space;
            LANE is its name or its number from 1.
        limits: ``trials``, ``seeds`` and ``margin`` of DuelSpec.

    Raise ValueError, one line, if a value is not allowed.

    >>> new_duel(RaceSpec(), [LaneSpec(method="sgd"), LaneSpec(method="sam")], ["sam:rho=0.1,0.2"], trials=8).names
    ('sgd', 'sam')
    """
    if fixed := [f"{lane.method}: {name}" for lane in lanes for name in TUNED if getattr(lane, name) is not None]:
        raise ValueError(
            f"lane {fixed[0]} of its own would not be tuned; give --space {fixed[0].replace(': ', ':')}=… instead"
        )
    task = parse_spec({"lanes": tuple(lanes), "validation": base.validation or VALIDATION}, base)
    own = {
        name: {vary.setting: vary for vary in search_space(task, lane)}
        for name, lane in zip(task.lane_names, lanes, strict=True)
    }
    for text in spaces:
        name, _, space = text.partition(":")
        names = {**{str(place): each for place, each in enumerate(task.lane_names, 1)}, **{each: each for each in own}}
        if name not in names or not space:
            raise ValueError(f"space {text[:60]!r} must be LANE:FIELD=…, LANE one of: {', '.join(own)}")
        vary = _of_one_lane(Vary.parse(space))
        own[names[name]][vary.setting] = vary
    contenders = [
        Contender(lane=lane, vary=tuple(own[name].values())) for name, lane in zip(task.lane_names, lanes, strict=True)
    ]
    return parse_duel({"base": task, "contenders": contenders, **limits})


def _of_one_lane(vary: Vary) -> Vary:
    """Return the setting as one of lane 1 if a lane can have it: each search has a single lane. TUNED settings stay with the race, whose
    epochs are not limited as those of a lane are."""
    own = vary.field in LaneSpec.model_fields and vary.field not in ("method", *TUNED)
    return vary.model_copy(update={"field": f"lane1.{vary.field}"}) if own else vary


def parse_duel(values: Mapping[str, object]) -> DuelSpec:
    """Build a duel from loose values. Raise ValueError, one line that names the field, the value and what is allowed."""
    try:
        return DuelSpec.model_validate(values)
    except ValidationError as error:
        raise ValueError(explain(error, DuelSpec)) from None
