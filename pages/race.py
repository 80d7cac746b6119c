"""The race: settings on the left; on the right an invitation, or the race that was started."""

import streamlit as st

from app import address, controls, history, live, server, start, texts
from app.server import Lab
from ssam.store.views import ENDED


def race(lab: Lab, run_id: str, pace: float | None) -> None:
    """The shown race; runs again on its own every ``pace`` seconds."""
    run, window = lab.store.run(run_id), lab.store.window(run_id, live.POINTS)
    if run is None or window is None:
        st.rerun()
    with st.container(key="race_head", horizontal=True, vertical_alignment="center"):
        st.markdown(f"#### {start.describe(run.spec)}", width="stretch")
        if run.state in ENDED:
            if run.progress > 0:
                st.download_button(
                    "CSV",
                    lambda: history.csv(lab, run_id),
                    f"race-{run_id[:8]}.csv",
                    "text/csv",
                    key="table_csv",
                    icon=":material/download:",
                    on_click="ignore",
                )
            st.button("New race", key="new_race", icon=":material/add:", on_click=leave)
        else:
            held = run.want == "pause"
            st.button(
                "Resume" if held else "Pause",
                key="pause_race",
                icon=":material/play_arrow:" if held else ":material/pause:",
                on_click=lab.client.resume if held else lab.client.pause,
                args=(run_id,),
            )
            st.button("Stop", key="stop_race", icon=":material/stop:", on_click=lab.client.stop, args=(run_id,))
    live.draw(lab.store, run, window)
    if live.pace(run, window) != pace:
        st.rerun()


def leave() -> None:
    st.session_state["run"] = None


lab = server.lab()
if address.moved():
    wanted, st.session_state["run"], st.session_state["notice"] = address.read(lab.store)
    controls.fill(wanted)
run_id = st.session_state["run"]
shown = lab.store.run(run_id) if run_id else None
window = lab.store.window(run_id, live.POINTS) if shown else None

with st.sidebar:
    spec, problem = controls.form(lab)
    if shown:
        with st.container(key="start_bar"):
            start.button(lab, spec, problem, shown)
if spec:
    address.write(spec, run_id)
if notice := st.session_state["notice"]:
    st.warning(notice)

if shown and window:
    pace = live.pace(shown, window)
    st.fragment(race, run_every=pace)(lab, shown.id, pace)
    history.result(shown)
else:
    st.markdown(texts.WELCOME)
    with st.container(key="start_bar", width=340):
        start.button(lab, spec, problem, None)
    live.draw(lab.store, None, None)
history.recent(lab, shown)

try:
    lab.client.ensure_runner()  # last, so that the page is there while the first runner comes up
except RuntimeError as error:
    st.error(str(error))
