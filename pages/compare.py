"""Compare: lanes of several races on the same axes, grouped over seeds, with what the seeds can tell against a baseline."""

import streamlit as st

from app.compare import groups, query, text, view
from app.shell import identity, nav, services
from app.ui.lab import Lab

PACE = 3.0  # seconds between two looks where races are under way


def page(lab: Lab, ids: list[str], pace: float | None) -> None:
    """Runs again by itself while races are under way."""
    if st.session_state["cmp_runs"] != ids:
        st.rerun()
    every = groups.groups(lab.store.curves.records(ids))
    baseline = query.baseline(every)
    shown = query.chosen(every)
    view.controls(every, baseline)
    query.TABLE.push_url(baseline=baseline.key if baseline else None)
    if every:
        view.curves(every, shown, baseline)
        view.tables(every, shown, baseline)
    st.session_state["cmp_pace"] = pace_of(every)
    if st.session_state["cmp_pace"] != pace:
        st.rerun()


def pace_of(every: list[groups.Group]) -> float | None:
    going = any(member.going for group in every for member in group.members)
    return PACE if going else None


lab = services.lab()
person = identity.person(lab)
if query.TABLE.moved():
    query.go(lab)
st.markdown("## Compare")
query.TABLE.notice()
view.races(lab, person)
if ids := list(st.session_state["cmp_runs"]):
    pace = st.session_state.get("cmp_pace")  # as it was last; the page says so where that has changed
    st.fragment(page, run_every=pace)(lab, ids, pace)
else:
    st.markdown(text.EMPTY)
    nav.link("runs", "To the runs")
    query.TABLE.push_url(baseline=None)
with st.expander("How is this counted?", key="cmp_counted"), st.container(width=860):
    st.markdown(text.METHOD)
