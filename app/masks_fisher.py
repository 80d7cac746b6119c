"""The exact Fisher information on the masks page: measured on demand, then where it sits and what each pattern keeps of it."""

import secrets
from functools import partial

import streamlit as st

from app import flatness_panel, flatness_texts, history, identity, masks_charts, masks_texts, steer, texts
from app.server import Lab
from ssam.spec.analysis import AnalysisSpec
from ssam.store import Person, Run
from ssam.store.views import ALIVE, ENDED

ANALYSIS = AnalysisSpec(kind="fisher")


def section(lab: Lab, race: Run, person: Person) -> None:
    """The button, the progress, the result."""
    if race.state in (*ALIVE, "queued"):
        st.info(masks_texts.LATER)
        return
    run = flatness_panel.known(lab, race, ANALYSIS)
    done = run is not None and run.state == "finished" and flatness_panel.is_current(race, run)
    under_way = run is not None and run.state not in ENDED
    if not done and not under_way:
        st.session_state.setdefault("masks_request", secrets.token_urlsafe(16))
        with st.container(horizontal=True, vertical_alignment="center", key="masks_fisher_bar"):
            st.button(
                "Measure the exact Fisher information",
                key="masks_measure",
                type="primary",
                icon=":material/straighten:",
                on_click=_measure,
                args=(lab, race.id),
            )
            st.caption(
                f"On {ANALYSIS.images:,} training images, of every lane. {flatness_panel.cost(lab, race, ANALYSIS)}"
            )
    if run is None:
        st.markdown(masks_texts.NOT_MEASURED)
    elif under_way:
        st.fragment(_under_way, run_every=1.0)(lab, run.id, person)
    else:
        _ended(lab, race, run, person)
        result(run)


def _measure(lab: Lab, race_id: str) -> None:
    """Who may not, or cannot now, is told so in one line."""
    try:
        lab.client.analyse(race_id, ANALYSIS, st.session_state["masks_request"], identity.person(lab))
    except (ValueError, PermissionError, RuntimeError) as error:
        st.session_state["masks_notice"] = f"Not measured: {error}."
        return
    st.session_state["masks_request"] = secrets.token_urlsafe(16)
    st.session_state["masks_notice"] = ""


def _under_way(lab: Lab, run_id: str, person: Person) -> None:
    run = lab.store.run(run_id)
    if run is None or run.state in ENDED:
        st.rerun()
    lab.client.keep_runner()  # it may have died since the page was opened
    with st.container(key="masks_progress", horizontal=True, vertical_alignment="center"):
        share = f"{100 * run.progress:.0f} % · {run.message or 'starting'}"
        said = f"Queued: {steer.waiting(lab, run)}" if run.state == "queued" else share
        st.progress(min(1.0, run.progress), texts.plain(said))
        if person.may_steer(run):
            stopping = run.want == "stop"
            st.button(
                "Stopping…" if stopping else "Stop",
                key="masks_stop",
                icon=":material/stop:",
                disabled=stopping,
                on_click=_stop,
                args=(lab, run_id),
            )
    result(run)


def _stop(lab: Lab, run_id: str) -> None:
    try:
        lab.client.stop(run_id, identity.person(lab))
    except (PermissionError, ValueError) as error:
        st.toast(f"Not done: {texts.plain(str(error))}.", icon=":material/block:")


def _ended(lab: Lab, race: Run, run: Run, person: Person) -> None:
    """What there is to say where it did not end well, or is no longer of the newest weights."""
    if run.state in ("failed", "interrupted"):
        st.error(f"{texts.STATES[run.state]}: {texts.plain(run.message)}")
        history.log(lab, run, person)
    elif run.state == "stopped":
        st.warning("Stopped before it was done: this is what was found until then.")
    elif not flatness_panel.is_current(race, run):
        st.info("Of an earlier checkpoint: the race has gone on since. Measure again for its newest weights.")


def result(run: Run) -> None:
    """What has been found so far, as charts, in words and as a file."""
    rows = run.result["rows"] if run.result else []
    stages, patterns, overlaps = (
        [row for row in rows if row["what"] == what] for what in ("stage", "pattern", "overlap")
    )
    if not stages:
        return
    words = masks_texts.fisher(run, stages, patterns, overlaps)
    st.html(masks_charts.fisher_legend(run.spec, sorted({row["lane"] for row in stages})))
    flatness_panel.grid(masks_charts.fisher_stages(run.spec, stages), "fisher_stages", words, row=2)
    figures = [masks_charts.fisher_patterns(run.spec, patterns)]
    if overlaps:
        figures.append(masks_charts.fisher_overlaps(run.spec, overlaps))
    flatness_panel.grid(figures, "fisher_masks", words, row=2)
    st.caption(masks_texts.MARKS)
    st.caption(flatness_texts.caveats(run))
    st.download_button(
        "CSV",
        partial(table_csv, run),
        f"fisher-{run.id[:8]}.csv",
        "text/csv",
        key="masks_fisher_csv",
        icon=":material/download:",
        on_click="ignore",
    )
    with st.expander("In words", key="masks_words"), st.container(width=860):
        st.markdown(words)


def table_csv(run: Run) -> str:
    """The rows of a result, one line each; lanes by name."""
    from pandas import DataFrame

    names = run.spec.lane_names
    rows = run.result["rows"] if run.result else []
    named = [
        {
            key: names[value] if key in ("lane", "a", "b") and isinstance(value, int) else value
            for key, value in row.items()
        }
        for row in rows
    ]
    return str(DataFrame(named).to_csv(index=False))
