"""Compare: lanes of several races on the same axes, grouped over seeds and compared with a baseline."""

import streamlit as st

from app.compare import groups, query, text, view
from app.shell import fallback, identity, nav, services
from app.ui.lab import Lab

PACE = 3.0  # seconds between two updates while races are running


def page(lab: Lab, ids: list[str], pace: float | None) -> None:
    """Draw the comparison; reruns while races are running."""
    if st.session_state["cmp_runs"] != ids:
        st.rerun()
    every = groups.groups(query.records(lab, ids))
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
    query.go(lab, person)
st.markdown("## Compare")
query.TABLE.notice()
view.races(lab, person)
for name in query.recordings(st.session_state["cmp_runs"]):
    fallback.notice(name)
if ids := list(st.session_state["cmp_runs"]):
    pace = st.session_state.get("cmp_pace")  # the last known state; the page reruns if it has changed
    st.fragment(page, run_every=pace)(lab, ids, pace)
else:
    st.markdown(text.EMPTY)
    nav.link("runs", "To the runs")
    query.TABLE.push_url(baseline=None)
with st.expander("How is this computed?", key="cmp_counted"), st.container(width=860):
    st.markdown(text.METHOD)
