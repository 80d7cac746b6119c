"""The Start button, with the cost of the race or the error in the settings. Pressing it twice starts one race."""

from typing import Literal

import streamlit as st

from app.race import form, seeds
from app.shell import classroom, identity
from app.ui import texts
from app.ui.lab import Lab
from app.ui.run_labels import cost
from app.ui.submit_once import submit_once
from ssam.experiment import RaceSpec
from ssam.store import Person, Run
from ssam.store.views import ENDED


def button(
    lab: Lab,
    spec: RaceSpec | None,
    problem: str,
    shown: Run | None,
    person: Person,
    width: int | Literal["stretch"] = "stretch",
) -> None:
    """Draw the Start button, and one line that says how long the race will take or why it cannot start."""
    going = spec is not None and seeds.wanted() == 1 and _is_going(shown, spec, person)
    st.button(
        "Start race",
        key="start_race",
        type="primary",
        icon=":material/play_arrow:",
        width=width,
        disabled=spec is None or going,
        on_click=_start,
        args=(lab,),
        shortcut=classroom.shortcut("S"),
    )
    seeds.control(spec)
    if spec is None:
        st.error(texts.plain(problem))
    elif going:
        st.caption("This race is running. Change a setting to queue another.")
    else:
        st.caption(cost(lab, spec) if seeds.wanted() == 1 else cost(lab, spec, " per race"), width="content")


def _start(lab: Lab) -> None:
    """Submit what the controls show now. A second click finds the race of the first one."""
    try:
        spec = form.read(lab)
    except ValueError:  # the page says what is wrong
        return
    if (count := seeds.wanted()) > 1:
        with submit_once("race", notice="notice") as request:
            seeds.show(seeds.start(lab, spec, spec.seed, count, request))
        st.session_state["reused"] = None
        return
    run_id = st.session_state.get("run")
    if not _is_going(lab.store.runs.get(run_id) if run_id else None, spec, identity.person(lab)):
        _submit(lab, spec)


def _submit(lab: Lab, spec: RaceSpec, again: bool = False) -> None:
    exclusive = bool(st.session_state.get("exclusive"))
    person, own = identity.person(lab), classroom.own_seed()
    with submit_once("race", notice="notice") as request:
        submitted = lab.client.races.submit(
            spec, request, person, exclusive=exclusive, again=again, class_code=classroom.code(), own_seed=own
        )
        st.session_state["run"] = submitted.run_id
        if own and (run := lab.store.runs.get(submitted.run_id)):
            st.session_state["seed"] = run.spec.seed
        st.session_state["reused"] = submitted.run_id if submitted.reused else None


def reused(lab: Lab, shown: Run) -> None:
    """Say so if Start returned an existing race, and offer to run it again."""
    if st.session_state.get("reused") != shown.id or shown.state not in ENDED:
        return
    with st.container(key="reused", horizontal=True, vertical_alignment="center"):
        st.info("This exact race, seed included, has been run before; here is its result.")
        st.button("Run it again", key="run_anyway", on_click=_submit, args=(lab, shown.spec, True))


def _is_going(run: Run | None, spec: RaceSpec, person: Person) -> bool:
    """Return whether this person is running exactly this race."""
    return run is not None and run.owner == person.owner and run.state not in ENDED and run.spec == spec
