"""Compare: lanes of several races on the same axes, grouped over seeds, with what the seeds can tell against a baseline."""

import streamlit as st

from app import address, compare, compare_groups, compare_panel, compare_texts, identity, server
from app.server import Lab

PACE = 3.0  # seconds between two looks where races are under way


def page(lab: Lab, ids: list[str], pace: float | None) -> None:
    """Runs again by itself while races are under way."""
    if st.session_state["cmp_runs"] != ids:
        st.rerun()
    every = compare_groups.groups(lab.store.records(ids))
    baseline = compare.baseline(every)
    shown = compare.chosen(every)
    compare_panel.controls(every, baseline)
    compare.write(baseline)
    if every:
        compare_panel.curves(every, shown, baseline)
        compare_panel.tables(every, shown, baseline)
    st.session_state["cmp_pace"] = pace_of(every)
    if st.session_state["cmp_pace"] != pace:
        st.rerun()


def pace_of(every: list[compare_groups.Group]) -> float | None:
    going = any(member.going for group in every for member in group.members)
    return PACE if going else None


address.leave()
lab = server.lab()
person = identity.person(lab)
if address.moved(compare.PAGE):
    st.session_state["cmp_notice"] = compare.go(lab)
st.markdown("## Compare")
compare_panel.notice()
compare_panel.races(lab, person)
if ids := list(st.session_state["cmp_runs"]):
    pace = st.session_state.get("cmp_pace")  # as it was last; the page says so where that has changed
    st.fragment(page, run_every=pace)(lab, ids, pace)
else:
    st.markdown(compare_texts.EMPTY)
    st.page_link("../pages/runs.py", label="To the runs", icon=":material/history:")
    compare.write(None)
with st.expander("How is this counted?", key="cmp_counted"), st.container(width=860):
    st.markdown(compare_texts.METHOD)
