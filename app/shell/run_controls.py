"""The buttons above the shown race, for its owner and teachers to control it."""

from collections.abc import Callable

import streamlit as st

from app.shell import classroom, identity
from app.ui import long_work
from app.ui.lab import Lab
from ssam.store import Person, Run
from ssam.store.views import ALIVE, ENDED


def steering(lab: Lab, run: Run) -> None:
    """Draw the buttons for whoever may control the race."""
    # Pause and Resume are two widgets: a browser may send one click twice, with a tick and by itself, and the second one
    # would count as a click on the other.
    with st.container(key="pause_race", width="content"):
        if run.state == "paused" or can_go_on(run) or run.want == "pause":
            _button("Resume", "resume_now", ":material/play_arrow:", lab, lab.client.races.resume, run, "P")
        elif run.state not in ENDED:
            _button("Pause", "pause_now", ":material/pause:", lab, lab.client.races.pause, run, "P")
    if run.state not in ENDED:
        _button("Stop", "stop_race", ":material/stop:", lab, lab.client.races.stop, run)
    if run.state not in (*ALIVE, "queued"):
        with st.popover("Delete", key="delete_race", icon=":material/delete:"):
            st.markdown("Permanently deletes the race with its curves, masks and checkpoint.")
            st.button("Delete", key="delete_for_good", type="primary", on_click=_delete, args=(lab, run.id))


def _button(
    label: str,
    key: str,
    icon: str,
    lab: Lab,
    action: Callable[[str, Person], None],
    run: Run,
    shortcut: str | None = None,
) -> None:
    stopping = run.want == "stop" and run.state in ALIVE
    key_of_presenter = classroom.shortcut(shortcut) if shortcut else None
    st.button(
        label,
        key=key,
        icon=icon,
        disabled=stopping,
        on_click=_do,
        args=(lab, action, run.id),
        shortcut=key_of_presenter,
    )


def can_go_on(run: Run) -> bool:
    """Return whether an ended race can be resumed. One that failed before its first checkpoint would fail again."""
    return run.state in ("stopped", "interrupted") or (run.state == "failed" and run.checkpointed is not None)


def _do(lab: Lab, action: Callable[[str, Person], None], run_id: str) -> None:
    with long_work.refusals():
        action(run_id, identity.person(lab))


def _delete(lab: Lab, run_id: str) -> None:
    if lab.store.runs.get(run_id) is not None:
        _do(lab, lab.client.races.purge, run_id)
    if lab.store.runs.get(run_id) is None:
        leave()


def leave() -> None:
    st.session_state["run"] = None
