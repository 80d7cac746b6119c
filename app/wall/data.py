"""The class wall: the races under one class code, read once for all viewers and grouped by their settings.

Of equal settings and seed one race counts, however often it was run: on the same machine it gives the same numbers, so another run
is not another observation.
"""

import json
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import streamlit as st

from app.ui.lab import Lab
from app.wall import payload
from app.wall.payload import Entry, Group
from ssam.store import Store
from ssam.store.classes import seedless
from ssam.store.views import ALIVE, ENDED, AccuracyCurve, ClassRace

PACE = 2.0  # seconds between two ticks
KEPT = 50  # classes whose latest wall is kept
MOST = 300  # latest races that a wall shows


@dataclass(frozen=True)
class Wall:
    """A class at one moment (``at``, monotonic): its groups, the one with the most seeds first."""

    code: str
    groups: tuple[Group, ...]
    at: float
    _told: dict[str, str] = field(default_factory=dict)

    def told(self, group: Group) -> str:
        """Return a group's payload as JSON; built for the first viewer."""
        if group.key not in self._told:
            self._told[group.key] = json.dumps(payload.group(group))
        return self._told[group.key]


class Walls:
    """The latest wall of each class. It is read once per tick, not per viewer, and races that have ended are read once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.newest: dict[str, Wall] = {}
        self.ended: dict[str, dict[int, tuple[float | None, list[AccuracyCurve]]]] = {}  # by class, then the race's key

    def look(self, store: Store, code: str) -> Wall:
        with self._lock:
            wall = self.newest.pop(code, None)
            if wall is None or time.monotonic() - wall.at >= PACE / 2:
                wall = Wall(code, self._groups(store, code), time.monotonic())
            self.newest[code] = wall  # reuse the last one
            while len(self.newest) > KEPT:
                oldest = next(iter(self.newest))
                del self.newest[oldest], self.ended[oldest]
            return wall

    def _groups(self, store: Store, code: str) -> tuple[Group, ...]:
        races = store.classes.races(code, MOST)
        known = self.ended.get(code, {})
        fresh = {
            race.key: known[race.key][1]
            for race in races
            if race.state in ENDED and race.key in known and known[race.key][0] == race.ended
        }
        courses = fresh | store.classes.courses([race.key for race in races if race.key not in fresh])
        self.ended[code] = {race.key: (race.ended, courses.get(race.key, [])) for race in races if race.state in ENDED}
        return grouped(races, courses)


def grouped(races: Sequence[ClassRace], courses: dict[int, list[AccuracyCurve]]) -> tuple[Group, ...]:
    """Group the races by their settings apart from the seed, one for each seed."""
    groups: dict[str, dict[int, list[ClassRace]]] = {}
    for race in races:
        groups.setdefault(seedless(race.spec), {}).setdefault(race.spec.seed, []).append(race)
    made = []
    for key, seeds in groups.items():
        chosen = sorted((min(same, key=_counts_first) for same in seeds.values()), key=lambda race: race.key)
        spec = chosen[0].spec.model_copy(update={"data": None})  # a file's name may reveal its owner
        entries = tuple(Entry(race, tuple(courses.get(race.key, ()))) for race in chosen)
        made.append(Group(key[:8], spec, entries))
    return tuple(sorted(made, key=lambda group: len(group.entries), reverse=True))


def _counts_first(race: ClassRace) -> tuple[bool, bool, int]:
    """Return the rank of a race among those with one seed: finished, else running, else the first."""
    return race.state != "finished", race.state not in (*ALIVE, "queued", "paused"), race.key


@st.cache_resource(show_spinner=False)
def _walls() -> Walls:
    return Walls()


def look(lab: Lab, code: str) -> Wall:
    """Return the wall as it is now, or up to half a tick old."""
    return _walls().look(lab.store, code)
