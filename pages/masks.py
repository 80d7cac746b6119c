"""Masks: which weights each lane perturbs, how that changes, how often it is which, and where the Fisher information sits."""

import streamlit as st

from app import address, identity, live, masks, masks_data, masks_texts, masks_views, server, texts
from app.server import Lab
from ssam.store import Person, Run
from ssam.store.views import ENDED

PACE = 2.0  # seconds between two looks at a race that is under way


def shown(lab: Lab, race_id: str, kind: str, person: Person) -> None:
    """The chosen view of a race; runs again on its own until the race has ended."""
    look = live.look(lab, race_id)
    if look is None:
        st.rerun()
    race, window = look.run, look.window
    if not masks_data.masked_lanes(race.spec):
        st.markdown(masks_texts.NO_MASKS)
        return
    if not window.layers:
        st.markdown(masks_texts.WAITS)
        return
    lanes, layer = masks_data.masked_lanes(race.spec), None
    if kind != "fisher":
        with st.container(key="masks_choices", horizontal=True, vertical_alignment="center", gap="medium"):
            lanes = masks.choose_lanes(race)
            layer = masks.choose_layer(window) if kind != "training" else None
    masks.write(race, window, lanes, layer)
    masks_views.view(lab, race, window, kind, lanes, layer or "", person)


def page(lab: Lab, person: Person, races: list[Run]) -> None:
    st.markdown("## Which weights are perturbed?")
    with st.container(key="masks_bar", horizontal=True, vertical_alignment="bottom", gap="medium"):
        race = masks.choose_race(races)
        st.page_link("../pages/race.py", label="To this race", icon=":material/flag:", query_params={"run": race.id})
    kind = masks.choose_view()
    if notice := st.session_state.get("masks_notice"):
        st.warning(texts.plain(notice))
    if race.owner != person.owner:
        st.caption("Somebody else's race: whoever has its address may look at its masks.")
    waits = race.state == "paused" and kind == "fisher"  # then the measurement is looked after, not the race
    if race.state in ENDED or waits:
        shown(lab, race.id, kind, person)
    else:
        st.fragment(under_way, run_every=PACE)(lab, race.id, kind, person)
    with st.expander("What am I seeing?", key="masks_seeing"), st.container(width=860):
        st.markdown("\n\n".join(masks_texts.SEEING[kind]))


def under_way(lab: Lab, race_id: str, kind: str, person: Person) -> None:
    look = live.look(lab, race_id)
    if look is None or look.run.state in ENDED:
        st.rerun()
    shown(lab, race_id, kind, person)


address.leave()
lab = server.lab()
person = identity.person(lab)
if address.moved(masks.PAGE):
    st.session_state["masks_notice"] = masks.go(lab.store)
races = masks.races(lab, person)
if races:
    page(lab, person, races)
else:
    if notice := st.session_state.get("masks_notice"):
        st.warning(texts.plain(notice))
    st.markdown(masks_texts.EMPTY)
    st.page_link("../pages/race.py", label="To the race", icon=":material/flag:")
