"""Sweeps: one method trained with many settings, and the best confirmed on fresh seeds."""

import streamlit as st

from app.shell import identity, services
from app.sweeps import form, query, text, view
from app.ui import long_work
from app.ui.lab import Lab
from ssam.store import Person


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
    found = long_work.choose(
        "sweep",
        lab.store.sweeps.of(person.owner),
        lab.store.sweeps.get,
        view.labels,
        lambda one: query.describe(one.spec),
    )
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
