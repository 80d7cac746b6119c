"""The line above the shown race: what is raced, its buttons, and links to its analyses."""

import streamlit as st

from app.race import export_menu, seeds
from app.shell import nav
from app.shell.run_controls import leave, steering
from app.ui import run_labels, step_plan
from app.ui.lab import Lab
from ssam.store import Person, Run
from ssam.store.views import ENDED


def head(lab: Lab, run: Run, person: Person) -> None:
    """Draw what is raced, and the buttons."""
    mine = person.may_steer(run)
    with st.container(key="race_head", horizontal=True, vertical_alignment="center"):
        st.markdown(f"## {run_labels.describe(run.spec)}", width="stretch")
        export_menu.control(lab, run, person)
        if mine:
            steering(lab, run)
        if run.state in ENDED or not mine:
            st.button("New race", key="new_race", icon=":material/add:", on_click=leave)
    with st.container(key="race_links", horizontal=True, gap="small"):
        here = {"run": run.id}
        if run.started_info and step_plan.masked_lanes(run.spec):
            nav.link("masks", address=here)
        if lab.store.predictions.has(run.id):
            nav.link("images", address=here)
        if run.state == "finished":
            nav.link("flatness", address=here)
            nav.link("anatomy", address=here)
        seeds.row(lab, run)
    if run.owner != person.owner:
        st.caption(f"You are viewing someone else's race ({'as a teacher you control it' if mine else 'read-only'}).")
