"""The exact Fisher information on the masks page: measured on demand, then where it sits and what each pattern keeps of it."""

from functools import partial

import streamlit as st

from app import flatness_panel, flatness_texts, legend, masks_charts, masks_texts, measuring
from app.server import Lab
from ssam.spec.analysis import AnalysisSpec
from ssam.store import Person, Run
from ssam.store.views import ALIVE

ANALYSIS = AnalysisSpec(kind="fisher")


def section(lab: Lab, race: Run, person: Person) -> None:
    """The button, the progress, the result."""
    if race.state in (*ALIVE, "queued"):
        st.info(masks_texts.LATER)
        return
    run = measuring.known(lab, race, ANALYSIS)
    if not measuring.is_there(race, run):
        with st.container(horizontal=True, vertical_alignment="center", key="masks_fisher_bar"):
            st.button(
                "Measure the exact Fisher information",
                key="masks_measure",
                type="primary",
                icon=":material/straighten:",
                on_click=measuring.submit,
                args=(lab, race.id, lambda: ANALYSIS, "masks"),
            )
            st.caption(f"On {ANALYSIS.images:,} training images, of every lane. {measuring.cost(lab, race, ANALYSIS)}")
    if run is None:
        st.markdown(masks_texts.NOT_MEASURED)
    else:
        measuring.shown(lab, race, run, person, "masks", result)


def result(run: Run) -> None:
    """What has been found so far, as charts, in words and as a file."""
    rows = run.result["rows"] if run.result else []
    stages, patterns, overlaps = (
        [row for row in rows if row["what"] == what] for what in ("stage", "pattern", "overlap")
    )
    if not stages:
        return
    words = masks_texts.fisher(run, stages, patterns, overlaps)
    lanes = legend.lanes(run.spec, sorted({row["lane"] for row in stages}))
    legend.draw([*lanes, *masks_charts.GREYS], "masks_fisher_legend")
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
