"""Lanes of several races, grouped by equal settings: a group holds the seeds of one method with its settings.

Only the seed may differ within a group. Settings without effect on a lane do not count: SGD is the same whatever the rho.
"""

import hashlib
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from app.ui import spec_diff, theme
from app.ui.estimators import measured
from app.ui.texts import LABELS
from app.ui.theme import Style
from ssam.experiment import LaneSpec, RaceSpec
from ssam.experiment.lane import TRAINING
from ssam.methods import METHODS
from ssam.methods.bases import DEFAULT_BASE
from ssam.stats.paired import Paired, compare, family
from ssam.store.compare_queries import LaneRecord, RaceRecord
from ssam.store.outcome import Outcome, outcomes
from ssam.store.views import ENDED, Run
from ssam.styles import styles

PER_LANE = ("rho", "sparsity", "norm")  # settings of a race that a lane may override
MASKED = ("mask_interval", "fisher_samples", "fisher_batch")  # settings of a race that affect only masks
KEY = 8  # characters of a group's key


@dataclass(frozen=True)
class Member:
    """The lane of one race, with one seed."""

    race: RaceRecord
    place: int

    @property
    def run(self) -> Run:
        return self.race.run

    @property
    def record(self) -> LaneRecord | None:
        """Return the lane's facts at the start; None before the race has started."""
        return self.race.lanes[self.place] if self.race.lanes else None

    @property
    def going(self) -> bool:
        return self.run.state not in ENDED and not self.finished and not self.diverged

    @property
    def finished(self) -> bool:
        return self.record is not None and self.record.result is not None

    @property
    def diverged(self) -> bool:
        return self.record is not None and self.record.state == "diverged"

    @property
    def outcome(self) -> Outcome | None:
        """Return how the lane ended; None before the race has a result."""
        ends = outcomes(self.run)
        return ends[self.place] if ends else None

    @property
    def ratio(self) -> float | None:
        """Return the time of a step, in SGD steps of the same race."""
        return self.outcome.ratio if self.outcome else None

    @property
    def gradients(self) -> int | None:
        return self.record.gradients if self.record else None

    @property
    def seconds(self) -> float | None:
        if self.outcome:
            return self.outcome.seconds
        return self.record.seconds if self.record else None

    @property
    def test_size(self) -> int | None:
        """Return the number of test images behind the final accuracy."""
        return (self.run.started_info or {}).get("test_size")

    @property
    def eigenvalue(self) -> float | None:
        """Return the last λ₁ that the race itself measured."""
        course = self.record.course if self.record else ()
        return next((seen.eigenvalue for seen in reversed(course) if seen.eigenvalue is not None), None)


@dataclass(frozen=True)
class Group:
    """``members`` by seed, one each; ``repeated`` is the number of further lanes with the same seed."""

    key: str
    title: str
    style: Style
    lane: LaneSpec
    members: tuple[Member, ...]
    repeated: int

    @property
    def finished(self) -> list[Member]:
        return [member for member in self.members if member.finished]

    @property
    def accuracies(self) -> dict[int, float]:
        """Return the final accuracies of finished lanes by seed, in percent."""
        return {
            member.run.spec.seed: 100 * member.record.result
            for member in self.members
            if member.record and member.record.result is not None
        }

    def told(self, of: Callable[[Member], float | None]) -> list[float]:
        """Return a number of the finished lanes that have it."""
        return [value for member in self.finished if (value := of(member)) is not None]


def against(shown: Sequence[Group], baseline: Group) -> dict[str, Paired]:
    """Return by group key the paired comparison of final accuracy with the baseline, in percentage points, as one family."""
    others = [group for group in shown if group.key != baseline.key]
    found = family([compare(group.accuracies, baseline.accuracies) for group in others])
    return {group.key: compared for group, compared in zip(others, found, strict=True)}


def spread(values: Sequence[float], digits: int) -> str:
    """Return mean ± standard deviation over the seeds; of a single one its value.

    >>> spread([80.0, 82.0], 1), spread([80.0], 1), spread([], 1)
    ('81.0 ± 1.4', '80.0', '–')
    """
    if not values:
        return "–"
    mean = f"{statistics.fmean(values):,.{digits}f}"
    return f"{mean} ± {statistics.stdev(values):,.{digits}f}" if len(values) > 1 else mean


def groups(races: Iterable[RaceRecord]) -> list[Group]:
    """Return all lanes, grouped; in the order of the methods, then of the races."""
    found: dict[str, list[Member]] = {}
    for race in races:
        for place in range(len(race.run.spec.lanes)):
            found.setdefault(key_of(race.run.spec, place), []).append(Member(race, place))
    order = list(METHODS)
    keys = sorted(found, key=lambda key: order.index(_lane(found[key][0]).method))
    titles = _titles([found[key][0] for key in keys])
    looks = styles(_lane(found[key][0]).method for key in keys)
    return [_group(key, title, style, found[key]) for key, title, style in zip(keys, titles, looks, strict=True)]


def key_of(spec: RaceSpec, place: int) -> str:
    """Return a key, equal for lanes that differ at most in their seed."""
    race, lane = settled(spec, place)
    added = {"base"} if race.base == DEFAULT_BASE else set()  # later than the first keys, which addresses hold
    usual = {name for name in TRAINING if name not in lane.own_settings}
    lane = lane.model_copy(update={"ascent_interval": lane.interval})  # spelled out, as in the first keys
    text = race.model_dump_json(exclude={"lanes", "seed"} | added) + lane.model_dump_json(exclude=usual)
    passes = (
        max(lane.passes for lane in spec.lanes) if spec.clock == "gradients" else 0
    )  # the most expensive lane sets the budget
    return hashlib.sha256(f"{text}{passes}".encode()).hexdigest()[:KEY]


def settled(spec: RaceSpec, place: int) -> tuple[RaceSpec, LaneSpec]:
    """Return the race and the lane with each setting where it has an effect, and at its default where it has none."""
    lane = spec.lanes[place]
    method = METHODS[lane.method]
    own: dict[str, object] = {}
    if method.perturbs:
        own |= {"rho": spec.lane_rho(lane), "norm": spec.lane_norm(lane)}
    if method.sparse:
        own |= {"sparsity": spec.lane_sparsity(lane)}
    idle = [*PER_LANE, *(() if method.sparse else MASKED), *(() if spec.clock == "seconds" else ("seconds",))]
    defaults = {name: RaceSpec.model_fields[name].default for name in idle}
    trained: dict[str, object] = {"base": spec.lane_base(lane), "lr": spec.lane_lr(lane)}
    trained |= {"weight_decay": spec.lane_weight_decay(lane)}
    if spec.clock == "epochs":
        trained |= {"epochs": spec.lane_epochs(lane)}
    lane = lane.model_copy(update={"sparsity": None, **own, **dict.fromkeys(trained)})
    return spec.model_copy(update=defaults | trained), lane


def _lane(member: Member) -> LaneSpec:
    return member.run.spec.lanes[member.place]


def _group(key: str, title: str, style: Style, every: Sequence[Member]) -> Group:
    """Return the rank of a lane among those with the same seed: finished, else running, else the latest."""
    by_seed: dict[int, Member] = {}
    ranked = sorted(every, key=lambda one: (not one.finished, not one.going, -one.run.created))
    for member in ranked:
        by_seed.setdefault(member.run.spec.seed, member)
    members = tuple(by_seed[seed] for seed in sorted(by_seed))
    return Group(key, title, style, _lane(every[0]), members, len(every) - len(members))


def _titles(firsts: Sequence[Member]) -> list[str]:
    """Return the method with the settings that distinguish the group: of the lane, and of its races."""
    pairs = [settled(member.run.spec, member.place) for member in firsts]
    said = []
    for race, lane in pairs:
        alike = [other for _, other in pairs if other.method == lane.method]
        same = [name for name in PER_LANE if len({getattr(other, name) for other in alike}) == 1]
        said.append(theme.lane_title(lane.model_copy(update=dict.fromkeys(same)), race.base))
    apart = [
        name for name in spec_diff.differing([race for race, _ in pairs]) if name not in ("lanes", "seed", *MASKED)
    ]
    # What only lanes set, in races that agree, is told of these lanes.
    of_lanes = set(apart) - set(spec_diff.differing([member.run.spec for member in firsts]))
    masked = [
        name for name in MASKED if len({getattr(race, name) for race, lane in pairs if METHODS[lane.method].sparse}) > 1
    ]
    titles = []
    for title, (race, lane), member in zip(said, pairs, firsts, strict=True):
        told = [name for name in apart if name not in of_lanes or getattr(_lane(member), name) is not None]
        names = [*told, *(masked if METHODS[lane.method].sparse else ())]
        # Settings that are off (no label noise, all images) are left out.
        own = [name for name in names if getattr(race, name) not in (None, 0)]
        more = [f"{LABELS.get(name, name).lower()} {spec_diff.value(race, name)}" for name in own]
        titles.append(", ".join([title, *more]))
    return [  # titles that are still equal differ in the budget set by other lanes
        f"{title} ({number})" if titles.count(title) > 1 else title for number, title in enumerate(titles, 1)
    ]


def sharpness(shown: Sequence[Group]) -> list[tuple[str, dict[str, list[float]]]]:
    """Return for each measure the values of each group's finished lanes, by group key: first λ₁ of the race, then the analyses of
    the latest weights, one per setting."""
    found: dict[str, dict[str, list[float]]] = {}
    for group in shown:
        if values := group.told(lambda member: member.eigenvalue):
            found.setdefault("λ₁, measured in the race", {})[group.key] = values
    for group in shown:
        for member in group.finished:
            seen: set[str] = set()
            for analysis in member.race.analyses:
                for estimator, setting, lane, value in measured(analysis):
                    name = f"{estimator} ({setting})"
                    if lane == member.place and value is not None and name not in seen:
                        seen.add(name)
                        found.setdefault(name, {}).setdefault(group.key, []).append(value)
    return list(found.items())
