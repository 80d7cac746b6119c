"""Duels: is a method better than a baseline that was tuned as much?"""

import streamlit as st

from app.duel import form, query, text, view
from app.shell import identity, services
from app.ui.lab import Lab
from ssam.store import Person
from ssam.store.duels import Duel


def choose(lab: Lab, person: Person) -> Duel | None:
    """The duel that is shown: the one of the address, of this person's the newest, or the one that they choose."""
    state = st.session_state
    own = lab.store.duels.of(person.owner)
    given = lab.store.duels.get(state["duel_duel"]) if state.get("duel_duel") else None
    if given is not None and given.id not in {one.id for one in own}:
        own = [*own, given]  # somebody else's, by its address
    if not own:
        state["duel_duel"] = None
        return None
    ids = [one.id for one in own]
    if state.get("duel_pick") not in ids:
        state["duel_pick"] = given.id if given else ids[0]
    titles = view.labels(own)
    if len(own) > 1:
        st.selectbox("Duel", ids, key="duel_pick", format_func=lambda one: titles.get(one, ""), width=520)
    chosen = next(one for one in own if one.id == state["duel_pick"])
    state["duel_duel"] = chosen.id
    if len(own) == 1:
        st.markdown(f"### {query.describe(chosen.spec)}")
    return chosen


def shown(lab: Lab, person: Person, duel_id: str, pace: float | None) -> None:
    """Runs again by itself while the duel is running."""
    duel = lab.store.duels.get(duel_id)
    if duel is None or st.session_state.get("duel_duel") != duel_id:
        st.rerun()
    lab.client.runner.ensure_in_background()
    view.draw(lab, duel, person)
    if view.pace(duel) != pace:
        st.rerun()


def load(lab: Lab) -> None:
    """Set the controls to the address. A duel that is not here is said, and the newest shown."""
    problems = query.TABLE.load_from_url()
    asked = st.session_state.setdefault("duel_duel", None)
    if asked and lab.store.duels.get(asked) is None:
        problems.append(f"there is no duel {asked[:40]!r} here")
        st.session_state["duel_duel"] = None
    st.session_state["duel_pick"] = st.session_state["duel_duel"]
    query.TABLE.complain(problems)


lab = services.lab()
person = identity.person(lab)
if query.TABLE.moved():
    load(lab)
st.markdown(text.TITLE)
query.TABLE.notice()
place = st.container()
with st.container(key="duel_list"):
    found = choose(lab, person)
with place:
    if found is None:
        st.markdown(text.EMPTY)
    with st.expander("New duel", key="duel_new", expanded=found is None):
        form.form(lab)
query.TABLE.push_url()
if found:
    pace = view.pace(found)
    st.fragment(shown, run_every=pace)(lab, person, found.id, pace)
