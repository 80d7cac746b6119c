"""The specification of a sweep: one race, the settings that vary and how, the objective, and the budget."""

import itertools
import math
import re
from collections.abc import Mapping, Sequence
from typing import Literal, get_args

from pydantic import Field, ValidationError, field_validator, model_validator

from ssam.experiment.base import Frozen, explain
from ssam.experiment.lane import SETTINGS, LaneSpec
from ssam.experiment.race import RaceSpec, parse_spec

Value = int | float | str | None  # value of one setting
Values = dict[str, Value]  # values by field
Method = Literal["grid", "tpe"]
Pruning = Literal["none", "median", "hyperband"]
Cost = Literal["gradients", "seconds"]

MAX_RACES = 1000  # per sweep
MAX_FIELDS = 6
MAX_SEEDS = 20
POINTS = 5  # default number of grid points of a range
FIXED = ("lanes", "seed", "data", "device", "validation")  # fields of a race that a sweep does not vary
LANE_FIELD = re.compile(r"lane([1-8])\.(\w+)")
RANGE = re.compile(r"(?P<low>[^.:]*(?:\.\d+)?[^.:]*)\.\.(?P<high>[^:]*)(?P<log>:log)?(?::(?P<points>\d{1,3}))?")


class Vary(Frozen):
    """One setting and its search space: either ``values``, or a range from ``low`` to ``high``.

    ``field`` is a field of the race (``rho``) or of one of its lanes, counted from 1 (``lane1.rho``). A grid takes ``points`` evenly
    spaced values of a range; ``log`` spaces them evenly on a logarithmic scale, and makes a search use that scale too.

    Text form: ``rho=0.05,0.1,0.2``, ``rho=0.02..1:log``, ``lane1.sparsity=0.5..0.95:10``.
    """

    field: str
    values: tuple[Value, ...] | None = Field(default=None, min_length=1, max_length=MAX_RACES)
    low: float | None = Field(default=None, ge=-1e12, le=1e12)
    high: float | None = Field(default=None, ge=-1e12, le=1e12)
    log: bool = False
    points: int = Field(default=POINTS, ge=2, le=MAX_RACES)

    @field_validator("field")
    @classmethod
    def _known_field(cls, value: str) -> str:
        if match := LANE_FIELD.fullmatch(value):
            if match[2] in LaneSpec.model_fields:
                return value
            raise ValueError(f"{value[:40]!r} is no setting of a lane; allowed: {', '.join(LaneSpec.model_fields)}")
        allowed = [name for name in RaceSpec.model_fields if name not in FIXED]
        if value not in allowed:
            lane = f"laneN.SETTING with SETTING of {', '.join(LaneSpec.model_fields)}"
            raise ValueError(f"{value[:40]!r} cannot be varied; allowed: {', '.join(allowed)}, {lane}")
        return value

    @model_validator(mode="after")
    def _one_kind(self) -> "Vary":
        if self.values is not None:
            if self.low is not None or self.high is not None:
                raise ValueError(f"{self.field} must have values or a range, not both")
            if len(set(self.values)) < len(self.values):
                raise ValueError(f"{self.field} must not have the same value twice")
            return self
        if self.low is None or self.high is None:
            raise ValueError(f"{self.field} must have values, or a range with two ends")
        if not self.low < self.high:
            raise ValueError(f"{self.field} {self.low:g}..{self.high:g} must go from a smaller number to a larger one")
        if self.log and self.low <= 0:
            raise ValueError(f"{self.field} {self.low:g}..{self.high:g}:log must begin above 0")
        if not self.is_number:
            raise ValueError(f"{self.field} is no number, so it must have values, not a range")
        return self

    @classmethod
    def parse(cls, text: str) -> "Vary":
        """Parse ``FIELD=VALUE,VALUE…`` or ``FIELD=LOW..HIGH[:log][:POINTS]``. Raise ValueError, one line, for anything else."""
        field, equals, said = (part.strip() for part in text.partition("="))
        how = "FIELD=VALUE,VALUE… or FIELD=LOW..HIGH[:log][:POINTS]"
        if not equals or not said:
            raise ValueError(f"{text[:60]!r} must be {how}")
        values: dict[str, object] = {"field": field}
        if ".." in said:
            match = RANGE.fullmatch(said.replace(" ", ""))
            if match is None or not all(isinstance(_value(match[end]), int | float) for end in ("low", "high")):
                raise ValueError(f"{text[:60]!r} must be {how}")
            values |= {"low": match["low"], "high": match["high"], "log": bool(match["log"])}
            values |= {"points": match["points"]} if match["points"] else {}
        else:
            values["values"] = [_value(part.strip()) for part in said.split(",")]
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise ValueError(explain(error, cls)) from None

    def __str__(self) -> str:
        if self.values is not None:
            return f"{self.field}={','.join('none' if value is None else f'{value}' for value in self.values)}"
        points = "" if self.points == POINTS else f":{self.points}"
        return f"{self.field}={self.low:g}..{self.high:g}{':log' * self.log}{points}"

    @property
    def setting(self) -> str:
        """Return the field without its lane."""
        return self.field.rpartition(".")[2]

    @property
    def is_whole(self) -> bool:
        return int in self._kinds and float not in self._kinds

    @property
    def is_number(self) -> bool:
        return int in self._kinds or float in self._kinds

    @property
    def _kinds(self) -> set[type]:
        model = LaneSpec if "." in self.field else RaceSpec
        return _leaves(model.model_fields[self.setting].annotation)

    @property
    def grid(self) -> tuple[Value, ...]:
        """Return the values on a grid; those of a range in ascending order.

        >>> Vary.parse("rho=0.05..0.8:log").grid
        (0.05, 0.1, 0.2, 0.4, 0.8)
        """
        if self.values is not None:
            return self.values
        assert self.low is not None
        assert self.high is not None
        low, high = (math.log(end) if self.log else end for end in (self.low, self.high))
        shares = (number / (self.points - 1) for number in range(self.points))
        numbers = [low + share * (high - low) for share in shares]
        found = [math.exp(number) if self.log else number for number in numbers]
        if self.is_whole:
            return tuple(dict.fromkeys(round(number) for number in found))
        return tuple(dict.fromkeys(float(f"{number:.4g}") for number in found))


class SweepSpec(Frozen):
    """One sweep: races that equal ``base`` except for the settings that vary.

    ``method`` is ``grid`` (all combinations) or ``tpe``: Optuna's tree-structured Parzen estimator, which tries settings near the best
    so far. The objective is the final accuracy of lane ``lane`` (from 1) on the images that ``base`` holds out for validation (on the
    test images in old sweeps, which hold out none); with ``cost``, it is the trade-off of accuracy against that lane's gradients or
    seconds. ``pruning`` (``median`` or ``hyperband``) stops a race that falls behind the others. Each combination is raced with
    ``seeds`` seeds, starting at ``base.seed``; its score is their mean.

    A sweep ends after ``races`` races, ``minutes`` of training or ``gradients`` forward+backward passes, summed over all its races and
    lanes, whichever comes first. A grid also ends when all its combinations have been raced.
    """

    base: RaceSpec
    vary: tuple[Vary, ...] = Field(min_length=1, max_length=MAX_FIELDS)
    method: Method = "grid"
    lane: int = Field(default=1, ge=1, le=8)
    cost: Cost | None = None
    pruning: Pruning = "none"
    seeds: int = Field(default=1, ge=1, le=MAX_SEEDS)
    races: int | None = Field(default=None, ge=1, le=MAX_RACES)
    minutes: float | None = Field(default=None, gt=0.0, le=100_000.0)
    gradients: int | None = Field(default=None, ge=1, le=10**12)

    @model_validator(mode="after")
    def _fits_together(self) -> "SweepSpec":
        fields = [vary.field for vary in self.vary]
        if twice := next((field for field in fields if fields.count(field) > 1), None):
            raise ValueError(f"{twice} must not vary twice")
        if self.lane > len(self.base.lanes):
            raise ValueError(f"lane {self.lane} is not there: the race has {len(self.base.lanes)} of them")
        if self.races and self.races < self.seeds:
            raise ValueError(f"races {self.races} must be at least seeds {self.seeds}")
        if self.pruning != "none" and self.cost:
            raise ValueError(f"pruning {self.pruning!r} goes by accuracy alone, so cost must be left out")
        if self.pruning != "none" and self.seeds > 1:
            raise ValueError(f"pruning {self.pruning!r} judges single races, so seeds {self.seeds} must be 1")
        if self.pruning != "none" and any(vary.setting == "epochs" for vary in self.vary):
            raise ValueError(f"pruning {self.pruning!r} compares races of one length, so epochs cannot vary")
        if self.method == "tpe" and not (self.races or self.minutes or self.gradients):
            raise ValueError("method 'tpe' ends at a budget: give races, minutes or gradients")
        if (
            self.method == "grid"
            and (count := self.seeds * math.prod(len(vary.grid) for vary in self.vary)) > MAX_RACES
        ):
            raise ValueError(f"a grid of {count:,} races is too much; at most {MAX_RACES:,}")
        return self

    @model_validator(mode="after")
    def _every_value_is_allowed(self) -> "SweepSpec":
        """Check one setting at a time. A combination that a race refuses is only found when its turn comes."""
        for vary in self.vary:
            if match := LANE_FIELD.fullmatch(vary.field):
                if int(match[1]) > len(self.base.lanes):
                    raise ValueError(f"{vary.field} is not there: the race has {len(self.base.lanes)} lanes")
            elif vary.field in SETTINGS:
                self._check_effect(vary.field)
            ends = vary.grid if self.method == "grid" or vary.values else (vary.grid[0], vary.grid[-1])
            for value in ends:
                self.race({vary.field: value})
        return self

    def _check_effect(self, field: str) -> None:
        """Raise ValueError if the scored lane does not use this setting of the race."""
        lane = self.base.lanes[self.lane - 1]
        method_varies = any(vary.field == f"lane{self.lane}.method" for vary in self.vary)
        if getattr(lane, field) is not None:
            raise ValueError(
                f"lane {self.lane} has a {field} of its own: vary lane{self.lane}.{field} instead of {field}"
            )
        deaf = {"rho": self.base.lane_rho(lane) == 0 and self.base.rho > 0, "sparsity": not _has_sparsity(lane)}
        if deaf.get(field) and not method_varies:
            raise ValueError(
                f"{field} means nothing to lane {self.lane}, method {lane.method!r}, which is the one that counts"
            )

    @property
    def scored_lane(self) -> LaneSpec:
        return self.base.lanes[self.lane - 1]

    @property
    def chooses_by(self) -> Literal["validation", "test"]:
        """Return which images' accuracy ranks the settings, prunes races and guides the search."""
        return "validation" if self.base.validation else "test"

    @property
    def points(self) -> list[Values]:
        """Return all combinations of a grid; the last setting varies fastest."""
        fields = [vary.field for vary in self.vary]
        return [
            dict(zip(fields, point, strict=True)) for point in itertools.product(*(vary.grid for vary in self.vary))
        ]

    @property
    def most_races(self) -> int:
        """Return the maximum number of races: the budget, and for a grid at most its size."""
        most = self.seeds * len(self.points) if self.method == "grid" else MAX_RACES
        return min(most, self.races or most)

    @property
    def standard(self) -> Values:
        """Return the values that the base race has for the settings that vary."""
        return {vary.field: read(self.base, vary.field) for vary in self.vary}

    def race(self, values: Mapping[str, Value], seed: int | None = None) -> RaceSpec:
        """Return the race with these settings. Raise ValueError, one line, if they are incompatible."""
        lanes: dict[int, dict[str, object]] = {}
        changed: dict[str, object] = {}
        for field, value in values.items():
            if match := LANE_FIELD.fullmatch(field):
                lanes.setdefault(int(match[1]) - 1, {})[match[2]] = value
            else:
                changed[field] = value
        if seed is not None:
            changed["seed"] = seed
        raced = [_lane(lane, lanes.get(place, {})) for place, lane in enumerate(self.base.lanes)]
        return parse_spec({**changed, "lanes": raced}, self.base)


def read(race: RaceSpec, field: str) -> Value:
    """Return a race's value of a field; for a lane without its own value, the one it takes from the race."""
    match = LANE_FIELD.fullmatch(field)
    if match is None:
        value: Value = getattr(race, field)
        return value
    lane = race.lanes[int(match[1]) - 1]
    own: Value = getattr(lane, match[2])
    takes = getattr(race, f"lane_{match[2]}", None)  # RaceSpec.lane_rho and the like
    return takes(lane) if own is None and takes else own


def parse_sweep(values: Mapping[str, object]) -> SweepSpec:
    """Build a sweep from loose values; ``vary`` may contain strings. Raise ValueError, one line that names the field, the value and what is
    allowed.

    >>> parse_sweep({"base": RaceSpec(lanes="sam"), "vary": ["rho=0.1,0.2"]}).most_races
    2
    """
    vary = values.get("vary")
    if isinstance(vary, (list, tuple)):
        parsed = [Vary.parse(entry) if isinstance(entry, str) else entry for entry in vary[: MAX_FIELDS + 1]]
        values = {**values, "vary": parsed}
    try:
        return SweepSpec.model_validate(values)
    except ValidationError as error:
        raise ValueError(explain(error, SweepSpec)) from None


def _lane(lane: LaneSpec, changed: Mapping[str, object]) -> LaneSpec:
    try:
        return LaneSpec.model_validate({**lane.model_dump(), **changed})
    except ValidationError as error:
        raise ValueError(explain(error, LaneSpec)) from None


def _has_sparsity(lane: LaneSpec) -> bool:
    return RaceSpec(sparsity=0.25).lane_sparsity(lane) == 0.25


def _value(text: str) -> Value:
    """Parse a value: an int, a finite float, None for ``none``, else the text itself.

    >>> _value("3"), _value("0.5"), _value("none"), _value("masked")
    (3, 0.5, None, 'masked')
    """
    if text.lower() == "none":
        return None
    try:
        return int(text)
    except ValueError:
        pass
    try:
        number = float(text)
    except ValueError:
        return text
    return number if math.isfinite(number) else text


def _leaves(annotation: object) -> set[type]:
    """Return the plain types in an annotation such as ``Annotated[float, …] | None``."""
    if isinstance(annotation, type):
        return {annotation}
    parts: Sequence[object] = get_args(annotation)
    return {leaf for part in parts for leaf in _leaves(part)}
