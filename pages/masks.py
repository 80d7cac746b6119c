"""Masks: which weights each lane perturbs, how that changes, how often each is selected, and where the Fisher information is."""

import streamlit as st

from app.masks import query, text, views
from app.shell import identity, nav, services
from app.ui import live_panel, step_plan, view_switch
from app.ui.lab import Lab
from ssam.store import Person, Run
from ssam.store.views import ENDED

PACE = 2.0  # seconds between two updates of a running race


def shown(lab: Lab, race_id: str, kind: str, person: Person) -> None:
    """Draw the chosen view of a race; reruns until the race has ended."""
    look = live_panel.look(lab, race_id)
    if look is None:
        st.rerun()
    race, window = look.run, look.window
    if not step_plan.masked_lanes(race.spec):
        st.markdown(text.NO_MASKS)
        return
    if not window.layers:
        st.markdown(text.WAITS)
        return
    lanes, layer = step_plan.masked_lanes(race.spec), None
    if kind != "fisher":
        with st.container(key="masks_choices", horizontal=True, vertical_alignment="center", gap="medium"):
            lanes = query.choose_lanes(race)
            layer = query.choose_layer(window) if kind != "training" else None
    query.write(race, window, lanes, layer)
    views.view(lab, race, window, kind, lanes, layer or "", person)


def page(lab: Lab, person: Person, races: list[Run]) -> None:
    st.markdown("## Which weights are perturbed?")
    with st.container(key="masks_bar", horizontal=True, vertical_alignment="bottom", gap="medium"):
        race = query.choose_race(races)
        nav.link("race", "To this race", {"run": race.id})
    kind = view_switch.choose("View", query.VIEWS, "masks_view")
    query.TABLE.notice()
    if race.owner != person.owner:
        st.caption("You are viewing someone else's race: whoever has its link can see its masks.")
    waits = race.state == "paused" and kind == "fisher"  # then the measurement is updated, not the race
    if race.state in ENDED or waits:
        shown(lab, race.id, kind, person)
    else:
        st.fragment(under_way, run_every=PACE)(lab, race.id, kind, person)
    with st.expander("What am I seeing?", key="masks_seeing"), st.container(width=860):
        st.markdown("\n\n".join(text.SEEING[kind]))


def under_way(lab: Lab, race_id: str, kind: str, person: Person) -> None:
    look = live_panel.look(lab, race_id)
    if look is None or look.run.state in ENDED:
        st.rerun()
    shown(lab, race_id, kind, person)


lab = services.lab()
person = identity.person(lab)
if query.TABLE.moved():
    query.go(lab.store)
races = query.races(lab, person)
if races:
    page(lab, person, races)
else:
    query.TABLE.notice()
    st.markdown(text.EMPTY)
    nav.link("race", "To the race")
