"""Anatomy of a step: one real step of a real small network in slow motion, of the recorded race or one's own."""

from functools import partial

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from app.anatomy import data, query, text
from app.shell import analysis_job, identity, services
from app.ui.lab import Lab
from ssam.store import Person, Run
from ssam.store.views import ALIVE


def own(lab: Lab, race: Run, person: Person, bar: DeltaGenerator) -> None:
    """Draw the next step of a race: not requested, running, or done."""
    with bar:
        analysis = query.choose_moment(lab, race)
    if analysis is None:
        st.info(text.LATER if race.state in (*ALIVE, "queued") else text.NO_WEIGHTS)
        return
    run = analysis_job.known(lab, race, analysis)
    if not analysis_job.is_there(race, run):
        with st.container(key="anatomy_ask", horizontal=True, vertical_alignment="center"):
            query.button(lab, race, analysis)
            st.caption(analysis_job.cost(lab, race, analysis))
    if run is None:
        st.markdown(text.NOT_MEASURED)
    else:
        analysis_job.shown(lab, race, run, person, query.TABLE.prefix, partial(found, lab, race))


def found(lab: Lab, race: Run, run: Run) -> None:
    if step := data.of_run(lab.store, race, run):
        query.show(step, race.id)


lab = services.lab()
person = identity.person(lab)
if query.TABLE.moved():
    query.go(lab.store)
bar = st.container(key="anatomy_bar", horizontal=True, vertical_alignment="bottom", gap="medium")
with bar:
    st.markdown("## One step, in slow motion", width="content")
    race = query.choose_race(lab, person)
query.TABLE.notice()
if race is None:
    query.show(data.recorded(), query.RECORDED)
else:
    own(lab, race, person, bar)
query.write()
with st.expander("What am I seeing?", key="anatomy_seeing"), st.container(width=860):
    st.markdown("\n\n".join(text.SEEING))
