"""What a class wall tells of one group of races: to the panel as JSON, and in words. Never whose a race is, nor its address."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from app import start, theme, wall_statistics
from app.wall_statistics import FEWEST, Compared
from ssam.spec import RaceSpec
from ssam.store import Person
from ssam.store.views import ENDED, ClassRace, LaneCourse

POINTS = 60  # of a thin line; of more, every 2nd, 3rd …


@dataclass(frozen=True)
class Entry:
    """One seed: its race, and how each lane has fared; no lanes before it has begun."""

    race: ClassRace
    lanes: tuple[LaneCourse, ...]


@dataclass(frozen=True)
class Group:
    """Races that differ by their seed only, in the order they came."""

    key: str
    spec: RaceSpec
    entries: tuple[Entry, ...]

    @property
    def reference(self) -> int:
        """The lane that the others are compared with: SGD, else the first."""
        return next((at for at, lane in enumerate(self.spec.lanes) if lane.method == "sgd"), 0)

    def results(self, lane: int) -> dict[int, float]:
        """By seed the last test accuracy in percent, of those that have finished."""
        found = {}
        for entry in self.entries:
            if entry.lanes and (accuracy := entry.lanes[lane].result) is not None:
                found[entry.race.spec.seed] = 100 * accuracy
        return found

    def differences(self, lane: int) -> dict[int, float]:
        """By seed the lane's lead over the reference in percentage points."""
        own, other = self.results(lane), self.results(self.reference)
        return {seed: own[seed] - other[seed] for seed in own if seed in other}

    @property
    def others(self) -> list[int]:
        return [lane for lane in range(len(self.spec.lanes)) if lane != self.reference]


def title(group: Group) -> str:
    """What is raced, with the lanes: two groups may differ by these alone."""
    return f"{start.describe_without_seed(group.spec)} · {', '.join(theme.lane_titles(group.spec))}"


def group(group: Group) -> dict[str, Any]:
    """Everything that all who watch see, ready for JSON."""
    titles, styles = theme.lane_titles(group.spec), theme.lane_styles(group.spec)
    return {
        "group": group.key,
        "counts": counts(group),
        "finished": sum(entry.race.state == "finished" for entry in group.entries),
        "seeds": [entry.race.spec.seed for entry in group.entries],
        "reference": group.reference,
        "end": group.spec.epochs if group.spec.clock == "epochs" else None,
        "lanes": [
            {"title": title, "color": style.color, "dash": style.dash, "symbol": style.symbol}
            | _curves(group, lane)
            | {"band": _band(group, lane), "differences": _differences(group, lane)}
            for lane, (title, style) in enumerate(zip(titles, styles, strict=True))
        ],
        "columns": ["Lane", "Seeds", "Median", "Middle half", f"− {titles[group.reference]}, median", "95 % interval"],
        "rows": [row(group, lane) for lane in range(len(titles))],
        "verdicts": [verdict(titles[lane], titles[group.reference], _compared(group, lane)) for lane in group.others],
    }


def counts(group: Group) -> str:
    """How many seeds there are, in words."""
    states = [entry.race.state for entry in group.entries]
    finished = states.count("finished")
    ended = sum(state in ENDED for state in states) - finished
    under_way = len(states) - finished - ended
    parts = [f"{len(states)} seed{'s' * (len(states) != 1)}", f"{finished} finished"]
    parts += [f"{under_way} under way"] * bool(under_way)
    parts += [f"{ended} stopped or failed, not counted"] * bool(ended)
    return " · ".join(parts)


def row(group: Group, lane: int) -> list[str]:
    """One lane in the table."""
    results = list(group.results(lane).values())
    diverged = sum(bool(entry.lanes) and entry.lanes[lane].state == "diverged" for entry in group.entries)
    cells = [
        theme.lane_titles(group.spec)[lane],
        f"{len(results)}" + f" ({diverged} diverged)" * bool(diverged),
    ]
    if not results:
        return [*cells, "–", "–", "–", "–"]
    low, middle, high = wall_statistics.quartiles(results)
    cells += [f"{middle:.1f} %", f"{low:.1f} to {high:.1f} %" if len(results) > 2 else "–"]
    compared = _compared(group, lane)
    if lane == group.reference or compared is None:
        return [*cells, "–", "–"]
    known = compared.low is not None and compared.high is not None
    return [*cells, signed(compared.median), f"{signed(compared.low)} to {signed(compared.high)}" if known else "–"]


def _compared(group: Group, lane: int) -> Compared | None:
    return wall_statistics.compare(group.results(lane), group.results(group.reference))


def verdict(lane: str, other: str, compared: Compared | None) -> str:
    """Whether the seeds tell two lanes apart.

    >>> verdict("SAM", "SGD", wall_statistics.compare({0: 80.0, 1: 81.0}, {0: 70.0, 1: 82.0}))
    'SAM beat SGD in 1 of 2. Not enough seeds to tell: it takes at least 6.'
    """
    if compared is None:
        return f"{lane} and {other}: no seed has finished."
    ties = compared.pairs - compared.wins - compared.losses
    said = f"{lane} beat {other} in {compared.wins} of {compared.pairs}" + f", with {ties} tied" * bool(ties)
    if compared.pairs < FEWEST:
        return f"{said}. Not enough seeds to tell: it takes at least {FEWEST}."
    said += f", sign test p\u00a0{small(compared.p)}."
    return said if compared.tells else f"{said} Not enough to tell them apart."


def mine(group: Group, person: Person) -> list[int]:
    """The places of a person's own races among the entries."""
    return [at for at, entry in enumerate(group.entries) if entry.race.owner == person.owner]


def my_words(group: Group, places: Sequence[int]) -> list[str]:
    """A person's own results among those of the class: "my run won" as statistics."""
    titles, said = theme.lane_titles(group.spec), []
    reference = titles[group.reference]
    for place in places:
        seed = group.entries[place].race.spec.seed
        for lane in group.others:
            differences = group.differences(lane)
            if seed in differences:
                value, every = differences[seed], list(differences.values())
                middle = wall_statistics.quantile(every, 0.5)
                among = f"yours is the {place_of(wall_statistics.rank(every, value))} of {len(every)}"
                said.append(
                    f"Seed {seed}: your {titles[lane]} − {reference} difference is {signed(value)}, "
                    f"the class's median is {signed(middle)}, {among}."
                )
    return said


def place_of(rank: int) -> str:
    return "largest" if rank == 1 else f"{wall_statistics.ordinal(rank)} largest"


def signed(value: float | None) -> str:
    """A difference in percentage points, with a true minus.

    >>> signed(-0.26)
    '−0.3'
    """
    if value is None:
        return "–"
    text = f"{abs(value):.1f}"
    return text if text == "0.0" else f"{'+' if value > 0 else '−'}{text}"


def small(p: float) -> str:
    """A p with its sign, not to be broken across lines."""
    text = "< 0.001" if p < 0.001 else f"= {p:.3f}" if p < 0.1 else f"= {p:.2f}"
    return text.replace(" ", "\u00a0")


def _curves(group: Group, lane: int) -> dict[str, Any]:
    """The lane's thin lines one after the other, and how long each is."""
    lengths, xs, ys = [], [], []
    for entry in group.entries:
        course = entry.lanes[lane] if entry.lanes else None
        epochs, accuracies = (course.epochs, course.accuracies) if course else ((), ())
        every = -(-len(epochs) // POINTS) or 1
        kept = [at for at in range(len(epochs)) if at % every == 0 or at == len(epochs) - 1]
        lengths.append(len(kept))
        xs += [epochs[at] for at in kept]
        ys += [accuracies[at] for at in kept]
    return {"lengths": lengths, "x": _packed(xs), "y": _packed([None if y is None else 100 * y for y in ys])}


def _band(group: Group, lane: int) -> dict[str, list[float]]:
    """Median and quartiles over the seeds, at every epoch that enough of them have reached."""
    curves = [
        {
            epoch: 100 * accuracy
            for epoch, accuracy in zip(entry.lanes[lane].epochs, entry.lanes[lane].accuracies, strict=True)
            if accuracy is not None
        }
        for entry in group.entries
        if entry.lanes
    ]
    rows = wall_statistics.band(curves)
    every = -(-len(rows) // POINTS) or 1
    rows = [row for at, row in enumerate(rows) if at % every == 0 or at == len(rows) - 1]
    columns = list(zip(*rows, strict=True)) or [()] * 5
    return {
        name: [round(value, 3) for value in column]
        for name, column in zip(("x", "n", "low", "middle", "high"), columns, strict=True)
    }


def _differences(group: Group, lane: int) -> dict[str, Any] | None:
    """Of every seed the lane's lead over the reference, None before both have finished; with the median and its interval."""
    compared = _compared(group, lane)
    if lane == group.reference or compared is None:
        return None
    known = group.differences(lane)
    values = [known.get(entry.race.spec.seed) for entry in group.entries]
    return {
        "values": [None if value is None else round(value, 3) for value in values],
        "median": compared.median,
        "low": compared.low,
        "high": compared.high,
    }


def _packed(values: Sequence[float | None]) -> str:
    """Base64 of little-endian float32, NaN where there is no value."""
    return base64.b64encode(np.array(values, dtype="<f4").tobytes()).decode()
