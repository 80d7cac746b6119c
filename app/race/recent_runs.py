"""The most recent races, to open again."""

import streamlit as st

from app.race import form
from app.shell import nav
from app.ui import run_labels
from app.ui.lab import Lab
from app.ui.run_labels import facts
from app.ui.run_picker import OPENED
from ssam.store import Person, Run

OWN, ALL = 12, 60  # races in the list


def recent(lab: Lab, shown: Run | None, person: Person) -> None:
    """Draw this person's most recent races, folded away; a teacher can switch to those of all users."""
    everybody = person.teacher and st.session_state.get("everybody", False)
    if shown and shown.owner != person.owner and shown.id not in st.session_state.setdefault(OPENED, []):
        st.session_state[OPENED].append(shown.id)  # for the list of runs
    others = [
        run
        for run in lab.store.runs.newest(ALL if everybody else OWN, None if everybody else person.owner, trials=False)
        if shown is None or run.id != shown.id
    ]
    if not others and not person.teacher:
        return
    with st.expander("Recent races", key="recent_races"):
        if person.teacher:
            st.toggle("All users", key="everybody")
        for run in others:
            with st.container(gap=None):
                st.button(
                    run_labels.describe(run.spec), key=f"open_{run.id}", type="tertiary", on_click=_open, args=(run,)
                )
                whose = "" if run.owner == person.owner else f" · someone else's ({run.owner[:6] or 'no owner'})"
                st.caption(facts(run) + whose)
        nav.link("runs", "All runs")


def _open(run: Run) -> None:
    st.session_state["run"] = run.id
    form.fill(run.spec)
