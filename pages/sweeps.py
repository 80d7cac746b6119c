"""Sweeps: one method trained with many settings, and the best confirmed on fresh seeds."""

import streamlit as st

from app.shell import identity, services
from app.sweeps import form, query, text, view
from app.ui.lab import Lab
from ssam.store import Person, Sweep


def choose(lab: Lab, person: Person) -> Sweep | None:
    """Return the shown sweep: that of the address, this person's latest, or the one that they choose."""
    own = lab.store.sweeps.of(person.owner)
    asked = st.session_state.get("sweep_sweep")
    given = lab.store.sweeps.get(asked) if asked else None
    if given is not None and given.id not in {one.id for one in own}:
        own = [*own, given]  # someone else's, by its address
    if not own:
        st.session_state["sweep_sweep"] = None
        return None
    ids = [one.id for one in own]
    if st.session_state.get("sweep_pick") not in ids:
        st.session_state["sweep_pick"] = given.id if given else ids[0]
    titles = view.labels(own)
    if len(own) > 1:
        st.selectbox("Sweep", ids, key="sweep_pick", format_func=lambda one: titles.get(one, ""), width=520)
    chosen = next(one for one in own if one.id == st.session_state["sweep_pick"])
    st.session_state["sweep_sweep"] = chosen.id
    if len(own) == 1:
        st.markdown(f"### {query.describe(chosen.spec)}")
    return chosen


def shown(lab: Lab, person: Person, sweep_id: str, pace: float | None) -> None:
    """Draw a sweep; reruns while it is running."""
    found = lab.store.sweeps.get(sweep_id)
    if found is None or st.session_state.get("sweep_sweep") != sweep_id:
        st.rerun()
    lab.client.runner.ensure_in_background()
    trials = lab.store.sweeps.trials(sweep_id)
    view.draw(lab, found, trials, person)
    if view.pace(found, trials) != pace:
        st.rerun()


lab = services.lab()
person = identity.person(lab)
if query.TABLE.moved():
    query.go()
st.markdown("## Sweeps")
query.TABLE.notice()
place = st.container()
with st.container(key="sweep_list"):
    found = choose(lab, person)
with place:
    if found is None:
        st.markdown(text.EMPTY)
    with st.expander("New sweep", key="sweep_new", expanded=found is None):
        spec = form.form(lab)
query.write(spec)
if found:
    trials = lab.store.sweeps.trials(found.id)
    pace = view.pace(found, trials)
    st.fragment(shown, run_every=pace)(lab, person, found.id, pace)
with st.expander("What am I seeing?", key="sweep_seeing"), st.container(width=860):
    st.markdown(text.SEEING)
