"""What a class wall shows of one group of races: JSON for the panel, and text. Never a race's owner or address."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.ui import run_labels, texts, theme, wire
from ssam.experiment import RaceSpec
from ssam.methods import METHODS
from ssam.stats.paired import Paired, compare, family, sentence
from ssam.store import Person
from ssam.store.views import ENDED, AccuracyCurve, ClassRace

POINTS = 60  # points of a thin line; of more, every 2nd, 3rd …
FEWEST_DRAWN = 3  # seeds needed to draw a median and a band


@dataclass(frozen=True)
class Entry:
    """One seed: its race, and the state of each lane; no lanes before it has started."""

    race: ClassRace
    lanes: tuple[AccuracyCurve, ...]


@dataclass(frozen=True)
class Group:
    """Races that differ only in the seed, in the order they were started."""

    key: str
    spec: RaceSpec
    entries: tuple[Entry, ...]

    @property
    def reference(self) -> int:
        """Return the lane that the others are compared with: SGD, else the first."""
        return next((at for at, lane in enumerate(self.spec.lanes) if not METHODS[lane.method].perturbs), 0)

    def results(self, lane: int) -> dict[int, float]:
        """Return the final test accuracy by seed, in percent, of finished races."""
        found = {}
        for entry in self.entries:
            if entry.lanes and (accuracy := entry.lanes[lane].result) is not None:
                found[entry.race.spec.seed] = 100 * accuracy
        return found

    def differences(self, lane: int) -> dict[int, float]:
        """Return the lane's lead over the reference by seed, in percentage points."""
        own, other = self.results(lane), self.results(self.reference)
        return {seed: own[seed] - other[seed] for seed in own if seed in other}

    @property
    def others(self) -> list[int]:
        return [lane for lane in range(len(self.spec.lanes)) if lane != self.reference]


def title(group: Group) -> str:
    """Return the settings with the lanes: two groups may differ only in these."""
    return f"{run_labels.describe_without_seed(group.spec)} · {', '.join(theme.lane_titles(group.spec))}"


def group(group: Group) -> dict[str, Any]:
    """Return everything that all viewers see, ready for JSON."""
    titles, styles = theme.lane_titles(group.spec), theme.lane_styles(group.spec)
    compared = comparisons(group)
    return {
        "group": group.key,
        "counts": counts(group),
        "finished": sum(entry.race.state == "finished" for entry in group.entries),
        "seeds": [entry.race.spec.seed for entry in group.entries],
        "reference": group.reference,
        "end": group.spec.epochs if group.spec.clock == "epochs" else None,
        "lanes": [
            wire.lane_style(title, style)
            | _curves(group, lane)
            | {"band": _band(group, lane), "differences": _differences(group, lane, compared.get(lane))}
            for lane, (title, style) in enumerate(zip(titles, styles, strict=True))
        ],
        "columns": ["Lane", "Seeds", "Median", "Middle 50%", f"− {titles[group.reference]}, mean", "95% interval"],
        "rows": [row(group, lane, compared.get(lane)) for lane in range(len(titles))],
        "verdicts": [verdict(group, lane, compared[lane]) for lane in group.others],
    }


def counts(group: Group) -> str:
    """Return how many seeds there are, as text."""
    states = [entry.race.state for entry in group.entries]
    finished = states.count("finished")
    ended = sum(state in ENDED for state in states) - finished
    under_way = len(states) - finished - ended
    parts = [f"{len(states)} seed{'s' * (len(states) != 1)}", f"{finished} finished"]
    parts += [f"{under_way} in progress"] * bool(under_way)
    parts += [f"{ended} stopped or failed, not counted"] * bool(ended)
    return " · ".join(parts)


def comparisons(group: Group) -> dict[int, Paired]:
    """Return each lane's comparison with the reference, as one family."""
    reference = group.results(group.reference)
    found = family([compare(group.results(lane), reference) for lane in group.others])
    return dict(zip(group.others, found, strict=True))


def row(group: Group, lane: int, compared: Paired | None) -> list[str]:
    """Return one lane of the table; ``compared`` is None for the reference."""
    results = list(group.results(lane).values())
    diverged = sum(bool(entry.lanes) and entry.lanes[lane].state == "diverged" for entry in group.entries)
    cells = [
        theme.lane_titles(group.spec)[lane],
        f"{len(results)}" + f" ({diverged} diverged)" * bool(diverged),
    ]
    if not results:
        return [*cells, "–", "–", "–", "–"]
    low, middle, high = quartiles(results)
    cells += [f"{middle:.1f}%", f"{low:.1f} to {high:.1f}%" if len(results) > 2 else "–"]
    if compared is None or compared.mean is None:
        return [*cells, "–", "–"]
    interval = " to ".join(map(signed, compared.interval)) if compared.interval else "–"
    return [*cells, signed(compared.mean), interval]


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """Return a quantile, linear between neighbours like numpy's default."""
    low, middle, high = statistics.quantiles(values, method="inclusive") if len(values) > 1 else [*values] * 3
    return low, middle, high


def verdict(group: Group, lane: int, compared: Paired) -> str:
    """Return the comparison of a lane with the reference, and on how many seeds it was ahead."""
    titles = theme.lane_titles(group.spec)
    ahead = sum(difference > 0 for difference in group.differences(lane).values())
    said = sentence(titles[lane], titles[group.reference], compared)
    return said + f" Ahead on {ahead} of {compared.pairs} seed{'s' * (compared.pairs != 1)}." * bool(compared.pairs)


def mine(group: Group, person: Person) -> list[int]:
    """Return the indices of a person's own races among the entries."""
    return [at for at, entry in enumerate(group.entries) if entry.race.owner == person.owner]


def my_words(group: Group, places: Sequence[int]) -> list[str]:
    """Return a person's own results among those of the class: "my run won" as statistics."""
    titles, said = theme.lane_titles(group.spec), []
    reference = titles[group.reference]
    for place in places:
        seed = group.entries[place].race.spec.seed
        for lane in group.others:
            differences = group.differences(lane)
            if seed in differences:
                value, every = differences[seed], list(differences.values())
                middle = statistics.median(every)
                among = f"yours is the {place_of(1 + sum(other > value for other in every))} of {len(every)}"
                said.append(
                    f"Seed {seed}: your {titles[lane]} − {reference} difference is {signed(value)}, "
                    f"the class's median is {signed(middle)}, {among}."
                )
    return said


def place_of(rank: int) -> str:
    return "largest" if rank == 1 else f"{texts.ordinal(rank)} largest"


def signed(value: float) -> str:
    """Return a difference in percentage points, with a true minus.

    >>> signed(-0.26)
    '−0.3'
    """
    text = f"{abs(value):.1f}"
    return text if text == "0.0" else f"{'+' if value > 0 else '−'}{text}"


def _curves(group: Group, lane: int) -> dict[str, Any]:
    """Return the lane's thin lines one after the other, and their lengths."""
    lengths, xs, ys = [], [], []
    for entry in group.entries:
        course = entry.lanes[lane] if entry.lanes else None
        epochs, accuracies = (course.epochs, course.accuracies) if course else ((), ())
        every = -(-len(epochs) // POINTS) or 1
        kept = [at for at in range(len(epochs)) if at % every == 0 or at == len(epochs) - 1]
        lengths.append(len(kept))
        xs += [epochs[at] for at in kept]
        ys += [accuracies[at] for at in kept]
    return {"lengths": lengths, "x": wire.floats(xs), "y": wire.floats([None if y is None else 100 * y for y in ys])}


def _band(group: Group, lane: int) -> dict[str, list[float]]:
    """Return median and quartiles over the seeds, at every epoch that enough of them have reached."""
    curves = [
        {
            epoch: 100 * accuracy
            for epoch, accuracy in zip(entry.lanes[lane].epochs, entry.lanes[lane].accuracies, strict=True)
            if accuracy is not None
        }
        for entry in group.entries
        if entry.lanes
    ]
    rows = band(curves)
    every = -(-len(rows) // POINTS) or 1
    rows = [row for at, row in enumerate(rows) if at % every == 0 or at == len(rows) - 1]
    columns = list(zip(*rows, strict=True)) or [()] * 5
    return {
        name: [round(value, 3) for value in column]
        for name, column in zip(("x", "n", "low", "middle", "high"), columns, strict=True)
    }


def band(curves: Sequence[Mapping[float, float]]) -> list[tuple[float, int, float, float, float]]:
    """Return epoch, number of seeds and quartiles at every epoch that FEWEST_DRAWN seeds have reached; each curve is one seed's."""
    at: dict[float, list[float]] = {}
    for curve in curves:
        for epoch, value in curve.items():
            at.setdefault(epoch, []).append(value)
    return [(epoch, len(at[epoch]), *quartiles(at[epoch])) for epoch in sorted(at) if len(at[epoch]) >= FEWEST_DRAWN]


def _differences(group: Group, lane: int, compared: Paired | None) -> dict[str, Any] | None:
    """Return the lane's lead over the reference for every seed, None before both have finished, with the mean and its interval."""
    if compared is None or compared.mean is None:
        return None
    known = group.differences(lane)
    values = [known.get(entry.race.spec.seed) for entry in group.entries]
    low, high = compared.interval or (None, None)
    return {
        "values": [None if value is None else round(value, 3) for value in values],
        "mean": compared.mean,
        "low": low,
        "high": high,
    }
