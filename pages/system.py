"""System: load, hardware, limits and recent failures of the server."""

import streamlit as st

from app.shell import identity, nav, services, url_state
from app.system import data
from app.ui import run_labels, run_result, texts
from app.ui.lab import Lab
from ssam.store import Person

SECONDS = 3.0  # seconds between two updates of the load


@st.fragment(run_every=SECONDS)
def load(lab: Lab, person: Person) -> None:
    with st.container(key="load", horizontal=True, gap="small"):
        for label, value, aside in data.load(lab):
            st.metric(label, value, aside, delta_color="off", delta_arrow="off", border=True, width=162)
    if waiting := data.queue(lab, person):
        st.markdown("### The queue" if person.teacher else "### Your races in the queue")
        st.table(waiting, border="horizontal", hide_index=True)


def about(lab: Lab) -> None:
    left, right = st.columns(2, gap="large")
    with left:
        st.markdown("### Devices")
        if devices := data.devices(lab):
            st.table(devices, border="horizontal", hide_index=True)
        else:
            st.caption("Not known until the first runner has started.")
        st.markdown("### Limits")
        facts(data.limits(lab))
    with right:
        st.markdown("### Versions")
        facts(data.versions(lab))


def facts(rows: dict[str, str]) -> None:
    st.table(
        [{"": name, " ": value} for name, value in rows.items()], border="horizontal", hide_index=True, hide_header=True
    )


def failures(lab: Lab, person: Person) -> None:
    st.markdown("### Recent failures" if person.teacher else "### Recent failures of your races")
    found = data.failures(lab, person)
    if not found:
        st.caption("None.")
    for run in found:
        with st.expander(f"{texts.STATES[run.state]}: {run_labels.describe(run.spec)}", key=f"failure_{run.id}"):
            st.caption(run_labels.facts(run))
            st.text(run.message)
            run_result.log(lab, run, person)
            nav.link("race", "Open this race", {"run": run.id})


def teacher(lab: Lab, person: Person) -> None:
    st.markdown("### Teacher")
    if person.teacher:
        st.caption("You are a teacher on this server: you see all races, and can pause, resume, stop and delete them.")
    elif identity.has_login():
        st.caption("Teachers are identified by their login's e-mail address.")
    else:
        try:
            identity.teacher_key(lab.store.home)  # so that it exists to be read
        except ValueError as error:
            st.error(str(error))
        st.caption(
            "The key is in the file teacher.key in the server's home folder. It gives this browser a teacher's rights."
        )
        with st.form("teacher", border=False, width=340):
            key = st.text_input("Teacher key", type="password", key="teacher_key", autocomplete="off")
            if st.form_submit_button("Become a teacher"):
                if problem := identity.become_teacher(lab, key):
                    st.error(problem)
                else:
                    st.rerun()


url_state.leave()
lab = services.lab()
person = identity.person(lab)
st.markdown("## The server")
load(lab, person)
about(lab)
failures(lab, person)
teacher(lab, person)
