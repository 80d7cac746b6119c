"""Duels: is a method better than a baseline that was tuned as much?"""

import streamlit as st

from app.duel import form, query, text, view
from app.shell import identity, services
from app.ui import long_work
from app.ui.lab import Lab
from ssam.store import Person


def shown(lab: Lab, person: Person, duel_id: str, pace: float | None) -> None:
    """Draw a duel; reruns while it is running."""
    duel = lab.store.duels.get(duel_id)
    if duel is None or st.session_state.get("duel_duel") != duel_id:
        st.rerun()
    lab.client.runner.ensure_in_background()
    view.draw(lab, duel, person)
    if view.pace(duel) != pace:
        st.rerun()


def load(lab: Lab) -> None:
    """Set the controls to the address. If its duel is not here, say so and show the newest."""
    problems = query.TABLE.load_from_url()
    asked = st.session_state.get("duel_duel")
    if asked and lab.store.duels.get(asked) is None:
        problems.append(f"there is no duel {asked[:40]!r} here")
        asked = None
    long_work.show("duel", asked)
    query.TABLE.complain(problems)


lab = services.lab()
person = identity.person(lab)
if query.TABLE.moved():
    load(lab)
st.markdown(text.TITLE)
query.TABLE.notice()
place = st.container()
with st.container(key="duel_list"):
    found = long_work.choose(
        "duel",
        lab.store.duels.of(person.owner),
        lab.store.duels.get,
        view.labels,
        lambda one: query.describe(one.spec),
    )
with place:
    if found is None:
        st.markdown(text.EMPTY)
    with st.expander("New duel", key="duel_new", expanded=found is None):
        form.form(lab)
query.TABLE.push_url()
if found:
    pace = view.pace(found)
    st.fragment(shown, run_every=pace)(lab, person, found.id, pace)
