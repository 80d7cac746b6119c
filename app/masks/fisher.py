"""The exact Fisher information on the page Masks: measured on demand; its distribution, and the share that each pattern keeps."""

from functools import partial

import streamlit as st

from app.masks import charts
from app.masks import text as masks_text
from app.shell import analysis_job
from app.ui import chart_grid, estimators, legend
from app.ui.lab import Lab
from ssam.experiment.analysis import AnalysisSpec
from ssam.store import Person, Run
from ssam.store.views import ALIVE

ANALYSIS = AnalysisSpec(kind="fisher")


def section(lab: Lab, race: Run, person: Person) -> None:
    """Draw the button, the progress and the result."""
    if race.state in (*ALIVE, "queued"):
        st.info(masks_text.LATER)
        return
    run = analysis_job.known(lab, race, ANALYSIS)
    if not analysis_job.is_there(race, run):
        with st.container(horizontal=True, vertical_alignment="center", key="masks_fisher_bar"):
            st.button(
                "Measure the exact Fisher information",
                key="masks_measure",
                type="primary",
                icon=":material/straighten:",
                on_click=analysis_job.submit,
                args=(lab, race.id, lambda: ANALYSIS, "masks"),
            )
            st.caption(
                f"On {ANALYSIS.images:,} training images, of every lane. {analysis_job.cost(lab, race, ANALYSIS)}"
            )
    if run is None:
        st.markdown(masks_text.NOT_MEASURED)
    else:
        analysis_job.shown(lab, race, run, person, "masks", result)


def result(run: Run) -> None:
    """Draw the results so far as charts, as text and as a file."""
    rows = run.result["rows"] if run.result else []
    stages, patterns, overlaps = (
        [row for row in rows if row["what"] == what] for what in ("stage", "pattern", "overlap")
    )
    if not stages:
        return
    words = masks_text.fisher(run, stages, patterns, overlaps)
    lanes = legend.lanes(run.spec, sorted({row["lane"] for row in stages}))
    legend.draw([*lanes, *charts.GREYS], "masks_fisher_legend")
    chart_grid.grid(charts.fisher_stages(run.spec, stages), "fisher_stages", words, row=2)
    figures = [charts.fisher_patterns(run.spec, patterns)]
    if overlaps:
        figures.append(charts.fisher_overlaps(run.spec, overlaps))
    chart_grid.grid(figures, "fisher_masks", words, row=2)
    st.caption(masks_text.MARKS)
    st.caption(estimators.caveats(run))
    st.download_button(
        "CSV",
        partial(table_csv, run),
        f"fisher-{run.id[:8]}.csv",
        "text/csv",
        key="masks_fisher_csv",
        icon=":material/download:",
        on_click="ignore",
    )
    with st.expander("As text", key="masks_words"), st.container(width=860):
        st.markdown(words)


def table_csv(run: Run) -> str:
    """Return the rows of a result as CSV; lanes by name."""
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
