"""Export of a race that has ended, and import of a race file."""

from functools import partial

import streamlit as st

from app.race import form
from app.shell import share_link
from app.shell.share_link import Link
from app.ui import texts
from app.ui.lab import Lab
from ssam.export import FORMATS, Source, available_formats, download, file_name, spec_of
from ssam.store import Person, Run
from ssam.store.annotations import Labels
from ssam.store.views import ENDED

WIDTH = 400  # pixels


def control(lab: Lab, run: Run, person: Person) -> None:
    """Draw the Export button; a file is built when it is downloaded. Nothing for a race that is running or has no results."""
    if run.state not in ENDED or not run.started_info or run.progress == 0:
        return
    # Drawn even while closed: a click while the page loads would open it in the browser but not on the server.
    with st.popover("Export", key="take_away", icon=":material/download:"), st.container(width=WIDTH):
        _choice(lab, run, person)


def _choice(lab: Lab, run: Run, person: Person) -> None:
    # Others get what they see: not the owner's notes, nor weights, which may have memorised the owner's images.
    mine = person.may_steer(run)
    labels = lab.store.runs.labels(run.id) if mine else Labels()
    source = Source(lab.store, run, share_link.build(Link(), st.context.url or ""), labels)
    kinds = [kind for kind in available_formats(source) if mine or kind != "weights"]
    chosen = st.pills(
        "Formats",
        kinds,
        selection_mode="multi",
        default=["report"],
        format_func=lambda name: FORMATS[name].title,
        key="take_kinds",
        label_visibility="collapsed",
    )
    if chosen:
        st.caption("  \n".join(f"**{FORMATS[name].title}**: {FORMATS[name].about}." for name in chosen))
    st.download_button(
        "Download",
        partial(download, source, chosen),
        file_name(source, chosen) if chosen else None,
        key="take_download",
        type="primary",
        icon=":material/download:",
        on_click="ignore",
        disabled=not chosen,
    )
    st.caption("Link to this race (on another SSAM Lab server it loads only the settings):")
    st.code(source.link, language=None, wrap_lines=True)


def reopen() -> None:
    """Draw a box for a race file or a report. Its settings are put into the form; nothing is started."""
    with st.expander("Import a race file", key="open_file"):
        st.file_uploader(
            "A race file (race.json) or a report (HTML)",
            type=["json", "html", "htm"],
            key="race_file",
            max_upload_size=16,
            on_change=_read,
        )
        if problem := st.session_state.get("race_file_problem"):
            st.error(texts.plain(problem))


def _read() -> None:
    file = st.session_state["race_file"]
    st.session_state["race_file_problem"] = None
    if file is None:
        return
    try:
        spec = spec_of(file.getvalue())
    except ValueError as error:
        st.session_state["race_file_problem"] = f"Not imported: {texts.labelled(str(error))}."
        return
    form.fill(spec)
    st.session_state["run"] = None
    st.session_state["notice"] = None
    st.toast("The settings of the file are in the form. Press *Start race* to run it.", icon=":material/check:")
