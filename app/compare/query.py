"""What is compared and how: controls ↔ address. Keys of the session state begin with ``cmp_``.

``cmp_runs`` are ids of races, ``cmp_lanes`` keys of groups (none: all), ``cmp_baseline`` one of them.
"""

import re
from collections.abc import Sequence

import streamlit as st

from app.compare.charts import BANDS, MINMAX, SHOWN, SMOOTH, X
from app.compare.groups import Group
from app.shell import classroom, share_link, url_state
from app.ui import run_picker
from app.ui.lab import Lab
from app.ui.run_picker import COMPARED as MOST
from ssam.methods import METHODS
from ssam.store import Person, Run

PAGE = "compare"
OFFERED = 100  # own races to choose from, the newest
CHOICES: dict[str, tuple[str, ...]] = {
    "x": tuple(X),
    "smooth": tuple(map(str, SMOOTH)),
    "show": tuple(SHOWN),
    "band": tuple(BANDS),
}
DEFAULTS = {"x": "epoch", "smooth": "1", "show": "test_accuracy", "band": MINMAX}
WORDS = ("runs", "lanes", "baseline", *CHOICES)


def go(lab: Lab) -> str:
    """Sets the controls to the address where it says anything; returns one line about what was not understood."""
    state = st.session_state
    for name, default in DEFAULTS.items():
        state.setdefault(f"cmp_{name}", default)
    state.setdefault("cmp_runs", [])
    state.setdefault("cmp_lanes", [])
    state.setdefault("cmp_baseline", None)
    asked = share_link.split(dict(st.query_params))[1]
    if not asked:
        return ""
    try:
        known = parse(asked)
    except ValueError as error:
        return f"Address: {error}."
    ids = [part for part in known.get("runs", "").split(",") if part]
    found = [run_id for run_id, run in lab.store.runs.get_many(ids).items() if run.analysis is None]
    state["cmp_runs"] = [run_id for run_id in dict.fromkeys(ids) if run_id in found]
    state["cmp_lanes"] = [part for part in known.get("lanes", "").split(",") if part]
    state["cmp_baseline"] = known.get("baseline")
    for name, default in DEFAULTS.items():
        state[f"cmp_{name}"] = known.get(name, default)
    if missing := len(set(ids)) - len(found):
        return f"{missing} of {len(set(ids))} races in the address {'are' if missing > 1 else 'is'} not here."
    return ""


def parse(words: dict[str, str]) -> dict[str, str]:
    """The words of an address, checked. Raises ValueError, one line that says what is allowed."""
    for name, value in words.items():
        if name not in WORDS:
            raise ValueError(f"{name[:40]!r} is no setting here; allowed: {', '.join(WORDS)}")
        if name in CHOICES and value not in CHOICES[name]:
            raise ValueError(f"{name} {value[:40]!r} must be one of {', '.join(CHOICES[name])}")
        if name in ("lanes", "baseline") and not re.fullmatch(r"[0-9a-f,]{0,2000}", value):
            raise ValueError(f"{name} {value[:40]!r} must be keys of lanes, as this page writes them")
    if (count := len(set(words.get("runs", "").split(",")))) > MOST:
        raise ValueError(f"runs: {count} races are too many; at most {MOST}")
    return words


def write(baseline: Group | None) -> None:
    """Puts what is compared into the address bar, with what belongs to the class."""
    state = st.session_state
    said = {"runs": ",".join(state["cmp_runs"]), "lanes": ",".join(state["cmp_lanes"])}
    said["baseline"] = baseline.key if baseline else ""
    said |= {name: state[f"cmp_{name}"] for name in DEFAULTS if state[f"cmp_{name}"] != DEFAULTS[name]}
    url_state.put({name: value for name, value in said.items() if value} | classroom.words(), PAGE)


def offered(lab: Lab, person: Person) -> dict[str, Run]:
    """Races to choose from: this person's, those that they have opened by a link, and those that are chosen."""
    own = {run.id: run for run in lab.store.runs.newest(OFFERED, person.owner)}
    more = [
        run_id
        for run_id in (*st.session_state["cmp_runs"], *st.session_state.get(run_picker.OPENED, []))
        if run_id not in own
    ]
    return own | {run_id: run for run_id, run in lab.store.runs.get_many(more).items() if run.analysis is None}


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
