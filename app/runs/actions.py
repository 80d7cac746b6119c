"""Actions on the selected races: a bar above the list."""

from collections.abc import Sequence

import streamlit as st

from app.runs import query as runs_query
from app.shell import nav
from app.ui import run_labels, run_picker, spec_diff, texts
from app.ui.lab import Lab
from ssam.catalogue import DATASETS, MODELS
from ssam.methods import METHODS
from ssam.store import Run
from ssam.store.annotations import NAME, NOTE, TAG, TAGS
from ssam.store.search import RunQuery

SIDES = 6  # races, at most, whose settings are shown side by side


def title(name: str, value: str) -> str:
    """Return the title of a filter's choice; a tag as it was typed."""
    match name:
        case "dataset":
            return DATASETS[value].title
        case "model":
            return MODELS[value].title
        case "method":
            return METHODS[value].title
    return texts.STATES[value] if name == "state" else value


def bar(lab: Lab, deleted: bool) -> None:
    """Draw how many races are selected, and the buttons; if none is, what they are for."""
    chosen = runs_query.chosen()
    with st.container(key="runs_actions", horizontal=True, vertical_alignment="center", gap="small"):
        if not chosen:
            st.caption(
                "Select races to compare, rename, tag or delete them, or to see how their settings differ.",
                width="stretch",
            )
            return
        st.markdown(f"**{len(chosen)} selected**", width="content")
        if deleted:
            _button("Restore", "runs_restore", "restore_from_trash", runs_query.restore, lab, chosen)
        else:
            if st.button("Compare", key="runs_compare", icon=":material/compare_arrows:"):
                nav.open_page("compare", {"runs": ",".join(chosen[: run_picker.COMPARED])})
            with st.popover("Rename / tag", key="runs_label", icon=":material/sell:"):
                _form(lab, chosen)
            _button("Delete", "runs_delete", "delete", runs_query.delete, lab, chosen)
        if len(chosen) > 1:
            st.toggle("Show differences", key="runs_differ")
        st.button("Deselect all", key="runs_clear", type="tertiary", on_click=runs_query.choose, args=([],))


def _button(label: str, key: str, icon: str, action: object, lab: Lab, chosen: list[str]) -> None:
    st.button(label, key=key, icon=f":material/{icon}:", on_click=action, args=(lab, chosen))  # type: ignore[arg-type]


def _form(lab: Lab, chosen: Sequence[str]) -> None:
    """Draw the form: name, tags and note of one race, or tags for several."""
    if len(chosen) > 1:
        with st.form("runs_tag_form", border=False, clear_on_submit=True):
            st.text_input(
                "Tags for all selected races", key="runs_more_tags", max_chars=TAGS * TAG, placeholder="rho demo"
            )
            st.form_submit_button(
                "Add", on_click=lambda: runs_query.add_tags(lab, list(chosen), st.session_state["runs_more_tags"])
            )
        return
    (run_id,) = chosen
    written = lab.store.runs.labels(run_id)
    with st.form(f"runs_label_form_{run_id}", border=False):
        st.text_input("Name", written.name, key=f"runs_name_{run_id}", max_chars=NAME)
        tags = " ".join(written.tags)
        st.text_input("Tags", tags, key=f"runs_tags_{run_id}", max_chars=TAGS * TAG, placeholder="rho demo")
        st.text_area("Note", written.note, key=f"runs_note_{run_id}", max_chars=NOTE)
        st.form_submit_button("Save", on_click=runs_query.label, args=(lab, run_id))


def undo(lab: Lab) -> None:
    """Show the outcome of an action: errors, once, and Undo after a deletion."""
    for said in st.session_state.pop("runs_refused", []):
        st.toast(texts.plain(said), icon=":material/block:")
    if not (gone := st.session_state.get("runs_undo")):
        return
    with st.container(key="runs_undo_bar", horizontal=True, vertical_alignment="center"):
        many = f"{len(gone)} races" if len(gone) > 1 else "One race"
        st.info(f"{many} deleted. You can undo this for one day, or until the disk is full.", icon=":material/delete:")
        st.button("Undo", key="runs_undo_now", on_click=runs_query.restore, args=(lab, gone))


def differences(lab: Lab) -> None:
    """Draw the settings of the selected races side by side, on request."""
    chosen = runs_query.chosen()
    if len(chosen) < 2 or not st.session_state.get("runs_differ"):
        return
    known = lab.store.runs.search(RunQuery(), ids=chosen[:SIDES]).rows
    titles = [
        f"{letter}: {texts.plain(one.labels.name) or run_labels.describe(one.run.spec)}"
        for letter, one in zip("ABCDEF", known, strict=False)
    ]
    rows = spec_diff.table([one.run.spec for one in known], titles)
    if rows:
        st.table(rows, border="horizontal", hide_index=True)
    else:
        st.caption("Their settings are the same, seed included.")
    if len(chosen) > SIDES:
        st.caption(f"The first {SIDES} of {len(chosen)}.")


def under_way(found: Sequence[Run]) -> bool:
    """Return whether any of them will change by itself."""
    return any(run.state in ("queued", "starting", "running") for run in found)
