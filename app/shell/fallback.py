"""Recorded races on the pages that show a race: shown until a person has one of their own."""

from collections.abc import Callable, Sequence

import streamlit as st

from app.shell import nav
from app.shell.address import Table
from app.ui import recorded, run_labels, texts
from ssam.experiment import preset
from ssam.store import Run


def title(name: str) -> str:
    """Return the label of a recorded race among others."""
    return f"Recorded: {preset(name).title}"


def named(table: Table, first: str | None) -> str | None:
    """Return the race that the address or the reader has named. ``first`` is the recording on which the page opens by itself: it
    counts only where the address names it."""
    run: str | None = st.session_state[table.key("run")]
    return None if run == first and "run" not in st.query_params else run


def choose(
    table: Table, own: Sequence[Run], names: Sequence[str], fresh: Callable[[str | None], None]
) -> Run | str | None:
    """Return the chosen race, or the name of a recorded one; None where there is neither. One's own come first. ``fresh`` is called
    with another race than the shown one."""
    key = table.key("run")
    known: dict[str, Run | str] = {run.id: run for run in own} | {name: name for name in names}
    if not known:
        return None
    if st.session_state.get(key) not in known:
        fresh(next(iter(known)))
    titles = run_labels.labels(list(own)) | {name: title(name) for name in names}
    chosen = st.selectbox(
        "Race",
        list(known),
        key=key,
        format_func=titles.__getitem__,
        on_change=lambda: fresh(st.session_state[key]),
        width=640,
        persist_state="session",
    )
    return known[chosen]


def notice(name: str) -> None:
    """Say in one line that a recorded race is shown, and how to have one's own."""
    say(f"A recorded race, not yours: {recorded.about(name, recorded.read(name))}.", name)


def say(line: str, name: str) -> None:
    """Draw the line, with a link to the race page that has the settings of this preset."""
    with st.container(key=f"fallback_{name}", horizontal=True, vertical_alignment="center", gap="small"):
        st.caption(texts.plain(line), width="content")
        nav.link("race", "Race it yourself", {"preset": name})
