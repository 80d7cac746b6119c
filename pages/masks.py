"""Masks: which weights each lane perturbs, how that changes, how often each is selected, and where the Fisher information is."""

import streamlit as st

from app.masks import data, fisher, query, text, views
from app.masks.data import Source
from app.shell import fallback, identity, nav, services
from app.ui import live_panel, recorded, step_plan, view_switch
from app.ui.lab import Lab
from ssam.store import Person, Run, Window
from ssam.store.views import ENDED

PACE = 2.0  # seconds between two updates of a running race


def shown(source: Source, race: Run, window: Window, kind: str) -> None:
    """Draw the chosen view of a race."""
    if not step_plan.masked_lanes(race.spec):
        st.markdown(text.NO_MASKS)
        return
    if not window.layers:
        st.markdown(text.WAITS)
        return
    with st.container(key="masks_choices", horizontal=True, vertical_alignment="center", gap="medium"):
        lanes = query.choose_lanes(race)
        layer = query.choose_layer(window) if kind != "training" else None
    query.write(race, window, lanes, layer)
    views.view(source, race, window, kind, lanes, layer or "")


def own(lab: Lab, race_id: str, kind: str, person: Person) -> None:
    """Draw a race of the store; reruns until it has ended."""
    look = live_panel.look(lab, race_id)
    if look is None:
        st.rerun()
    race, window = look.run, look.window
    if kind == "fisher" and step_plan.masked_lanes(race.spec) and window.layers:
        query.write(race, window, step_plan.masked_lanes(race.spec), None)
        fisher.section(lab, race, person)
    else:
        shown(lab.store.curves, race, window, kind)


def under_way(lab: Lab, race_id: str, kind: str, person: Person) -> None:
    look = live_panel.look(lab, race_id)
    if look is None or look.run.state in ENDED:
        st.rerun()
    own(lab, race_id, kind, person)


def from_recording(name: str, kind: str) -> None:
    """Draw a recorded race, and say that it is one."""
    fallback.notice(name)
    found = recorded.read(name)
    if kind == "fisher":
        query.write(found.run, found.window, step_plan.masked_lanes(found.run.spec), None)
        st.info(text.NO_WEIGHTS)
    else:
        shown(data.of_recording(name), found.run, found.window, kind)


def page(lab: Lab, person: Person, chosen: Run | str) -> None:
    kind = view_switch.choose("View", query.VIEWS, "masks_view")
    query.TABLE.notice()
    if isinstance(chosen, str):
        from_recording(chosen, kind)
    else:
        if chosen.owner != person.owner:
            st.caption("You are viewing someone else's race: whoever has its link can see its masks.")
        waits = chosen.state == "paused" and kind == "fisher"  # then the measurement is updated, not the race
        if chosen.state in ENDED or waits:
            own(lab, chosen.id, kind, person)
        else:
            st.fragment(under_way, run_every=PACE)(lab, chosen.id, kind, person)
    with st.expander("What am I seeing?", key="masks_seeing"), st.container(width=860):
        st.markdown("\n\n".join(text.SEEING[kind]))


lab = services.lab()
person = identity.person(lab)
if query.TABLE.moved():
    query.go(lab.store)
st.markdown("## Which weights are perturbed?")
with st.container(key="masks_bar", horizontal=True, vertical_alignment="bottom", gap="medium"):
    chosen = query.choose_race(lab, person)
    if isinstance(chosen, Run):
        nav.link("race", "To this race", {"run": chosen.id})
if chosen is not None:
    page(lab, person, chosen)
