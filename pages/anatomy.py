"""Anatomy of a step: one real step of a real small network in slow motion, of the recorded race or of any of one's own."""

from functools import partial

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from app import address, anatomy, anatomy_data, anatomy_texts, identity, measuring, server, texts
from app.server import Lab
from ssam.store import Person, Run
from ssam.store.views import ALIVE


def own(lab: Lab, race: Run, person: Person, bar: DeltaGenerator) -> None:
    """The next step of a race: to be asked for, under way, or found."""
    with bar:
        analysis = anatomy.choose_moment(lab, race)
    if analysis is None:
        st.info(anatomy_texts.LATER if race.state in (*ALIVE, "queued") else anatomy_texts.NO_WEIGHTS)
        return
    run = measuring.known(lab, race, analysis)
    if not measuring.is_there(race, run):
        with st.container(key="anatomy_ask", horizontal=True, vertical_alignment="center"):
            anatomy.button(lab, race, analysis)
            st.caption(measuring.cost(lab, race, analysis))
    if run is None:
        st.markdown(anatomy_texts.NOT_MEASURED)
    else:
        measuring.shown(lab, race, run, person, anatomy.PAGE, partial(found, lab, race))


def found(lab: Lab, race: Run, run: Run) -> None:
    if step := anatomy_data.of_run(lab.store, race, run):
        anatomy.show(step, race.id)


address.leave()
lab = server.lab()
person = identity.person(lab)
if address.moved(anatomy.PAGE):
    st.session_state["anatomy_notice"] = anatomy.go(lab.store)
bar = st.container(key="anatomy_bar", horizontal=True, vertical_alignment="bottom", gap="medium")
with bar:
    st.markdown("## One step, in slow motion", width="content")
    race = anatomy.choose_race(lab, person)
if notice := st.session_state.get("anatomy_notice"):
    st.warning(texts.plain(notice))
if race is None:
    anatomy.show(anatomy_data.recorded(), anatomy.RECORDED)
else:
    own(lab, race, person, bar)
anatomy.write()
with st.expander("What am I seeing?", key="anatomy_seeing"), st.container(width=860):
    st.markdown("\n\n".join(anatomy_texts.SEEING))
