"""Measurements on the page Flatness: the button, the progress with Stop, the pictures, the files."""

import io
from functools import partial

import numpy as np
import streamlit as st

from app.flatness import charts, disturbed, maps, query, subjects, text
from app.shell import analysis_job
from app.ui import estimators, legend, plot
from app.ui.chart_base import Arrays
from app.ui.chart_grid import grid
from app.ui.lab import Lab
from ssam.experiment.analysis import AnalysisSpec
from ssam.store import Person, Run

WHAT = {"loss": "Loss", "accuracy": "Accuracy"}


def button(lab: Lab, race: Run, analysis: AnalysisSpec | None, run: Run | None) -> None:
    """Draw the button Measure, disabled if it has been measured or is running."""
    st.button(
        "Measure",
        key="flat_measure",
        type="primary",
        icon=":material/straighten:",
        disabled=analysis is None or analysis_job.is_there(race, run),
        on_click=_measure,
        args=(lab, race.id),
    )


def _measure(lab: Lab, race_id: str) -> None:
    """Submit what the controls show now."""
    analysis_job.submit(lab, race_id, lambda: query.read(st.session_state["flat_kind"]), query.TABLE.prefix)


def shown(lab: Lab, race: Run, run: Run, person: Person) -> None:
    """Draw a measurement: its progress and its results so far."""
    analysis_job.shown(lab, race, run, person, query.TABLE.prefix, partial(result, lab, race))


def result(lab: Lab, race: Run, run: Run) -> None:
    """Draw the pictures of a measurement, their alternative texts, and its files."""
    if run.analysis is None or not run.result or not run.result["rows"]:
        return
    arrays = lab.store.analyses.arrays(run.id)
    words = text.summary(run, arrays)
    kind = run.analysis.kind
    if kind == "surface":
        _surfaces(run, arrays, words)
    elif kind == "spectrum":
        grid(charts.spectra(run, arrays), kind, words)
    elif kind in subjects.SUBJECTS:
        disturbed.result(run, words)
    else:
        legend.draw(legend.lanes(run.spec), "flat_legend")
        if kind == "profile":
            grid([charts.profile(run, arrays, what) for what in WHAT], kind, words)
        elif kind == "curvature":
            figures = charts.curvature(run, lab.store.curves.window(race.id))
            grid(figures, kind, words, row=2 if len(figures) == 4 else 3)
        else:
            st.caption(text.LOWER)
            grid(charts.sharpness(run), kind, words, row=3)
    st.caption(estimators.caveats(run))
    _files(run, arrays)
    with st.expander("As text", key="flat_words"):
        st.markdown(words)


def _surfaces(run: Run, arrays: Arrays, words: str) -> None:
    """Draw maps or 3-D surfaces side by side; for the common plane one map."""
    common = run.analysis is not None and run.analysis.plane == "lanes"
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        what = st.segmented_control(
            "Colour",
            list(WHAT),
            default="loss",
            required=True,
            key="flat_what",
            format_func=WHAT.__getitem__,
            label_visibility="collapsed",
            persist_state="session",
        )
        deep = not common and st.toggle("3-D", key="flat_deep", persist_state="session")
    what = what or "loss"
    if common:
        legend.draw(legend.lanes(run.spec), "flat_legend")
        figure = maps.common_plane(run, arrays, what)
        with st.container(width=560):
            grid([figure] if figure else [], "common", words)
            _bar(run, arrays, what)
        plane = run.result["about"].get("plane") if run.result else None
        if plane:
            st.caption(
                f"The plane: {plane['kind']}; at least {100 * plane['in_plane']:.0f}% of a lane's distance from the centre lies in it. {plane['unit']}"
            )
        return
    config = maps.CONFIG_3D if deep else plot.CONFIG
    figures = maps.surfaces(run, arrays, what, deep)
    grid(figures, f"surface{'_3d' * deep}", words, config=config)
    if figures:
        with st.container(width=520):
            _bar(run, arrays, what)


def _bar(run: Run, arrays: Arrays, what: str) -> None:
    figure = maps.colour_bar(arrays, what)
    if figure:
        ends = figure["layout"]["xaxis"]["ticktext"]
        said = f"The colours range from {ends[0]} to {ends[-1]}; darker is better."
        plot.draw(figure, "flat_bar", said, "colours", plot.NO_BUTTONS)


def _files(run: Run, arrays: Arrays) -> None:
    name = f"{run.analysis.kind if run.analysis else ''}-{run.id[:8]}"
    with st.container(horizontal=True, gap="small"):
        st.download_button(
            "CSV",
            partial(table_csv, run),
            f"{name}.csv",
            "text/csv",
            key="flat_csv",
            icon=":material/download:",
            on_click="ignore",
        )
        if arrays:
            st.download_button(
                "Arrays (npz)",
                partial(npz, arrays),
                f"{name}.npz",
                "application/octet-stream",
                key="flat_npz",
                icon=":material/download:",
                on_click="ignore",
            )


def table_csv(run: Run) -> str:
    """Return the rows of a result as CSV; lanes by name."""
    from pandas import DataFrame

    lines = []
    for row in run.result["rows"] if run.result else []:
        line = {
            "lane": run.spec.lane_names[row["lane"]],
            **{name: value for name, value in row.items() if name != "lane"},
        }
        for place, value in enumerate(line.pop("eigenvalues", ()), 1):
            line[f"eigenvalue_{place}"] = value
        lines.append(line)
    return str(DataFrame(lines).to_csv(index=False))


def npz(arrays: Arrays) -> bytes:
    """Return the arrays of a result as a numpy file."""
    file = io.BytesIO()
    np.savez_compressed(file, **{name.replace("/", "_"): array for name, array in arrays.items()})  # type: ignore[arg-type]
    return file.getvalue()
