"""What is compared and how: controls ↔ address. Keys of the session state begin with ``cmp_``.

``cmp_runs`` are ids of races, ``cmp_lanes`` keys of groups (none: all), ``cmp_baseline`` one of them.
"""

import re
from collections.abc import Sequence
from functools import partial

import streamlit as st

from app.compare.charts import BANDS, MINMAX, SHOWN, SMOOTH, X
from app.compare.groups import Group
from app.shell.address import Field, Table, choice, parts
from app.ui import recorded, run_picker
from app.ui.lab import Lab
from app.ui.run_picker import COMPARED as MOST
from ssam.methods import METHODS
from ssam.store import Person, Run
from ssam.store.compare_queries import RaceRecord, of_window

OFFERED = 100  # own races to choose from, the newest
FIRST = "noisy-labels"  # the recorded race that a person without races sees


def _runs(said: str) -> list[str]:
    if (count := len(ids := parts(said))) > MOST:
        raise ValueError(f"runs: {count} races are too many; at most {MOST}")
    return ids


def _keys(name: str, said: str) -> list[str]:
    if not re.fullmatch(r"[0-9a-f,]{0,2000}", said):
        raise ValueError(f"{name} {said[:40]!r} must be keys of lanes, as this page writes them")
    return parts(said)


TABLE = Table(
    "compare",
    "cmp",
    (
        Field("runs", _runs, ",".join, []),
        Field("lanes", partial(_keys, "lanes"), ",".join, []),
        Field("baseline", lambda said: next(iter(_keys("baseline", said)), None)),
        choice("x", X, "epoch"),
        choice("smooth", map(str, SMOOTH), "1"),
        choice("show", SHOWN, "test_accuracy"),
        choice("band", BANDS, MINMAX),
    ),
    shared=True,
)


def go(lab: Lab, person: Person) -> None:
    """Set the controls to the address, without the races that are not here. A person without races sees a recorded one."""
    problems = TABLE.load_from_url()
    ids = st.session_state["cmp_runs"]
    if "runs" not in st.query_params and ids in ([], [FIRST]):
        ids = st.session_state["cmp_runs"] = [] if _own(lab, person) else [FIRST]
    found = _known(lab, ids)
    st.session_state["cmp_runs"] = [run_id for run_id in ids if run_id in found]
    if missing := len(ids) - len(found):
        problems.append(f"{missing} of {len(ids)} races {'are' if missing > 1 else 'is'} not here")
    TABLE.complain(problems)


def offered(lab: Lab, person: Person) -> dict[str, Run]:
    """Races to choose from: this person's (if there are none, the recorded ones), those that they have opened by a link, and those
    that are chosen."""
    own = _own(lab, person)
    more = [*st.session_state["cmp_runs"], *st.session_state.get(run_picker.OPENED, [])]
    more += [] if own else recorded.names()
    return own | _known(lab, [run_id for run_id in more if run_id not in own])


def _own(lab: Lab, person: Person) -> dict[str, Run]:
    return {run.id: run for run in lab.store.runs.newest(OFFERED, person.owner)}


def _known(lab: Lab, ids: Sequence[str]) -> dict[str, Run]:
    """Return those of these races that are here: in the store or recorded, and no analyses."""
    found = {run_id: run for run_id, run in lab.store.runs.get_many(ids).items() if run.analysis is None}
    return found | {name: recorded.read(name).run for name in recordings(ids)}


def recordings(ids: Sequence[str]) -> list[str]:
    """Return those of these races that are recorded ones."""
    names = recorded.names()
    return [run_id for run_id in ids if run_id in names]


def records(lab: Lab, ids: Sequence[str]) -> list[RaceRecord]:
    """Return the races to compare, in this order."""
    found = {record.run.id: record for record in lab.store.curves.records(ids)}
    for name in recordings(ids):
        recording = recorded.read(name)
        found[name] = of_window(recording.run, recording.window)
    return [found[run_id] for run_id in ids if run_id in found]


def chosen(every: Sequence[Group]) -> list[Group]:
    """The groups that are shown. What no longer is there is forgotten."""
    keys = {group.key for group in every}
    st.session_state["cmp_lanes"] = [key for key in st.session_state["cmp_lanes"] if key in keys]
    wanted = st.session_state["cmp_lanes"]
    return [group for group in every if not wanted or group.key in wanted]


def baseline(every: Sequence[Group]) -> Group | None:
    """The one of the address or the control; else SGD where it races, of several the one with the most seeds; else the first."""
    known = {group.key: group for group in every}
    if (asked := known.get(st.session_state["cmp_baseline"] or "")) is not None:
        return asked
    plain = [group for group in every if not METHODS[group.lane.method].perturbs] or list(every[:1])
    return max(plain, key=lambda group: len(group.members), default=None)
