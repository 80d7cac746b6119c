"""The race before: the one that this tab showed last. Its curves stay in the live panel, as thin lines below the present ones."""

import json

import streamlit as st

from app.ui import live_panel, recorded, spec_diff
from app.ui.lab import Lab
from app.ui.live_types import Before
from ssam.experiment import RaceSpec
from ssam.store import Run

SHOWN = "runs_shown"  # ids of this tab's last two races, the latest last


def of_run(lab: Lab, run: Run, owner: str) -> Before | None:
    """Note that a race is shown, and return the one before it: a race, else a recording of the same data set and model.
    Somebody else's race has none."""
    earlier_ids = [run_id for run_id in st.session_state.get(SHOWN, []) if run_id != run.id]
    st.session_state[SHOWN] = [*earlier_ids[-1:], run.id]
    if run.owner != owner:
        return None
    if earlier_ids and (earlier := lab.store.runs.get(earlier_ids[-1])):
        return _before(lab, earlier, run.spec)
    name = st.session_state.get(recorded.PLAYED)
    return _recording_before(name, run.spec) if name else None


def of_recording(lab: Lab, name: str, owner: str) -> Before | None:
    """Return the race that this tab showed before a recording, if it is the visitor's own."""
    shown = st.session_state.get(SHOWN, [])
    earlier = lab.store.runs.get(shown[-1]) if shown else None
    if earlier is None or earlier.owner != owner:
        return None
    return _before(lab, earlier, recorded.read(name).run.spec.model_copy(update={"device": earlier.spec.device}))


def _before(lab: Lab, earlier: Run, present: RaceSpec) -> Before | None:
    version = f"{earlier.id} {earlier.state}"  # a race that is not over yet is sent again at its end
    before: Before = {"version": version, "words": _words(earlier.spec, present)}
    if live_panel.kept() == version:
        return before
    look = live_panel.look(lab, earlier.id)
    return {**before, "lanes": json.loads(look.told)["lanes"]} if look else None


def _recording_before(name: str, present: RaceSpec) -> Before | None:
    spec = recorded.read(name).run.spec
    if (spec.dataset, spec.data, spec.model) != (present.dataset, present.data, present.model):
        return None
    before: Before = {
        "version": f"recording {name}",
        "words": _words(spec.model_copy(update={"device": present.device}), present),
    }
    if live_panel.kept() == before["version"]:
        return before
    return {**before, "lanes": json.loads(recorded.told(name))["lanes"]}


def _words(earlier: RaceSpec, present: RaceSpec) -> str:
    return f"Thin lines: the race before ({spec_diff.said(earlier, present) or 'the same settings'})."
