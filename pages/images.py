"""Images: which training images with wrong labels each lane memorises and when, and its predictions for the test images."""

import streamlit as st

from app.images import data, predictions, query, text, view
from app.images.data import Shown
from app.shell import fallback, identity, nav, services
from app.ui import view_switch
from app.ui.lab import Lab
from ssam.store import Person, Run
from ssam.store.views import ENDED

PACE = 2.0  # seconds between two updates of a running race


def shown(race: Shown, kind: str) -> None:
    """Draw the chosen view of a race."""
    lanes = query.choose_lanes(race)
    query.write(race, lanes)
    if not lanes:
        st.markdown(text.NO_LANE)
    elif kind == "memorisation":
        view.memorisation(race, lanes)
    else:
        predictions.predictions(race, lanes)


def own(lab: Lab, run_id: str, kind: str, person: Person) -> None:
    """Draw a race of the store; reruns until it has ended."""
    run = lab.store.runs.get(run_id)
    if run is None:
        st.rerun()
    if race := data.own(lab.store, run, person):
        shown(race, kind)
    elif run.state in ENDED:
        missing()
    else:
        st.markdown(text.WAITS)


def under_way(lab: Lab, run_id: str, kind: str, person: Person) -> None:
    run = lab.store.runs.get(run_id)
    if run is None or run.state in ENDED:
        st.rerun()
    own(lab, run_id, kind, person)


def missing() -> None:
    """Say that a race has no predictions, and offer the recorded one."""
    st.markdown(text.NO_PREDICTIONS)
    if data.recordings():
        st.button(
            "Show the recorded race", key="images_recorded", icon=":material/history:", on_click=query.show_recorded
        )


def page(lab: Lab, person: Person, chosen: Run | str) -> None:
    kind = view_switch.choose("View", query.VIEWS, "images_view")
    query.TABLE.notice()
    if isinstance(chosen, str):
        fallback.notice(chosen)
        if race := data.of_recording(chosen):
            shown(race, kind)
    else:
        if chosen.owner != person.owner:
            st.caption("You are viewing someone else's race: whoever has its link can see its predictions.")
        if chosen.state in ENDED:
            own(lab, chosen.id, kind, person)
        else:
            st.fragment(under_way, run_every=PACE)(lab, chosen.id, kind, person)
    with st.expander("What am I seeing?", key="images_seeing"), st.container(width=860):
        st.markdown("\n\n".join(text.SEEING[kind]))


lab = services.lab()
person = identity.person(lab)
if query.TABLE.moved():
    query.go(lab.store, person)
st.markdown("## What did each lane learn?")
with st.container(key="images_bar", horizontal=True, vertical_alignment="bottom", gap="medium"):
    chosen = query.choose_race(lab, person)
    if isinstance(chosen, Run):
        nav.link("race", "To this race", {"run": chosen.id})
if chosen is None:
    query.TABLE.notice()
    st.markdown(text.EMPTY)
    nav.link("race", "To the race")
else:
    page(lab, person, chosen)
