"""Accuracy on disturbed test images: a chart for each disturbance, clean against disturbed, and over the epochs."""

from collections.abc import Sequence
from typing import Any

import streamlit as st

from app.flatness import charts
from app.flatness.text import newest
from app.ui import legend, theme
from app.ui.chart_base import Figure, lane_line, layout_of
from app.ui.chart_grid import grid
from ssam.catalogue import CLEAN, DISTURBANCES
from ssam.store import Run

Rows = Sequence[dict[str, Any]]


def result(run: Run, words: str) -> None:
    """Draw the choice of a disturbance with its level, the two charts of it, and a chart for each disturbance."""
    legend.draw(legend.lanes(run.spec), "flat_legend")
    rows = run.result["rows"] if run.result else []
    with st.container(horizontal=True, gap="medium"):
        kind = st.selectbox(
            "Disturbance",
            list(DISTURBANCES),
            key="flat_disturbance",
            format_func=lambda name: DISTURBANCES[name].title,
            width=220,
            persist_state="session",
        )
        levels = DISTURBANCES[kind].levels
        level = st.select_slider(
            f"Level ({DISTURBANCES[kind].unit})", levels, DISTURBANCES[kind].shown, key=f"flat_level_{kind}", width=320
        )
    chosen = [tradeoff(run, rows, kind, level)]
    if run.analysis and len(run.analysis.epochs) > 1:
        chosen += over_epochs(run, rows, kind, level)
    with st.container(width="stretch" if len(chosen) > 1 else 560):
        grid([figure for figure in chosen if figure["data"]], f"{kind}_{level}", words, row=3)
    grid([by_level(run, rows, each) for each in DISTURBANCES if _of(rows, each)], "robustness", words, row=3)


def _of(rows: Rows, kind: str, level: float | None = None) -> list[dict[str, Any]]:
    return [row for row in rows if row["disturbance"] == kind and level in (None, row["level"])]


def by_level(run: Run, rows: Rows, kind: str) -> Figure:
    """Draw the accuracy of every lane by level; at 0 the images are clean."""
    last = newest([*_of(rows, CLEAN), *_of(rows, kind)])
    traces = []
    for lane in sorted({row["lane"] for row in last}):
        own = sorted((row for row in last if row["lane"] == lane), key=lambda row: row["level"])
        levels, accuracies = [row["level"] for row in own], [100 * row["accuracy"] for row in own]
        traces.append(lane_line(run.spec, lane, levels, accuracies, "%{y:.1f}% at %{x:g}"))
    layout = layout_of(DISTURBANCES[kind].title, DISTURBANCES[kind].unit, height=280)
    layout["yaxis"] |= {"ticksuffix": "%"}
    return {"data": traces, "layout": layout}


def tradeoff(run: Run, rows: Rows, kind: str, level: float) -> Figure:
    """Draw every lane by its accuracy on clean images and on disturbed ones: up and to the right is better."""
    styles, titles = theme.lane_styles(run.spec), theme.lane_titles(run.spec)
    clean = {row["lane"]: 100 * row["accuracy"] for row in newest(_of(rows, CLEAN))}
    traces = [
        {
            "type": "scatter",
            "mode": "markers",
            "name": titles[row["lane"]],
            "x": [clean[row["lane"]]],
            "y": [100 * row["accuracy"]],
            "marker": {
                "symbol": styles[row["lane"]].symbol,
                "size": 13,
                "color": styles[row["lane"]].color,
            },
            "hovertemplate": "clean %{x:.1f}%, disturbed %{y:.1f}%",
        }
        for row in newest(_of(rows, kind, level))
    ]
    layout = layout_of(f"{DISTURBANCES[kind].title} {level:g}, by clean accuracy", "clean test images", height=280)
    layout["xaxis"] |= {"ticksuffix": "%"}
    layout["yaxis"] |= {"ticksuffix": "%"}
    return {"data": traces, "layout": layout}


def over_epochs(run: Run, rows: Rows, kind: str, level: float) -> list[Figure]:
    """Draw the accuracies of every lane over the epochs that were measured: clean, then disturbed."""
    figures = []
    for title, own in (
        ("Clean images", _of(rows, CLEAN)),
        (f"{DISTURBANCES[kind].title} {level:g}", _of(rows, kind, level)),
    ):
        figure = charts.values(run.spec, [{**row, "value": 100 * row["accuracy"]} for row in own], title)
        figure["layout"]["yaxis"] |= {"ticksuffix": "%"}
        figures.append(figure)
    return figures
