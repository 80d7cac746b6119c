"""Accuracy on disturbed test images or with disturbed weights: by level, by the undisturbed accuracy, over the epochs."""

from collections.abc import Sequence
from typing import Any

import streamlit as st

from app.flatness import charts
from app.flatness.subjects import SUBJECTS, Subject, rows_of
from app.flatness.text import newest
from app.ui import legend, theme
from app.ui.chart_base import Figure, lane_line, layout_of
from app.ui.chart_grid import grid
from ssam.catalogue import Disturbance
from ssam.store import Run

Rows = Sequence[dict[str, Any]]


def result(run: Run, words: str) -> None:
    """Draw the choice of a disturbance with its level, the two charts of it, and a chart for each disturbance."""
    assert run.analysis
    analysis, subject = run.analysis.kind, SUBJECTS[run.analysis.kind]
    legend.draw(legend.lanes(run.spec), "flat_legend")
    rows = run.result["rows"] if run.result else []
    with st.container(horizontal=True, gap="medium"):
        kind = st.selectbox(
            "Disturbance",
            list(subject.disturbances),
            key=f"flat_disturbance_{analysis}",
            format_func=lambda name: subject.disturbances[name].title,
            width=220,
            persist_state="session",
        )
        each = subject.disturbances[kind]
        level = st.select_slider(
            f"Level ({each.unit})", each.levels, each.shown, key=f"flat_level_{analysis}_{kind}", width=320
        )
    chosen = [tradeoff(run, rows, subject, kind, level)]
    if len(run.analysis.epochs) > 1:
        chosen += over_epochs(run, rows, subject, kind, level)
    with st.container(width="stretch" if len(chosen) > 1 else 560):
        grid([figure for figure in chosen if figure["data"]], f"{kind}_{level}", words, row=3)
    drawn = [by_level(run, rows, subject, name) for name in subject.disturbances if rows_of(rows, name)]
    grid(drawn, analysis, words, row=3)


def by_level(run: Run, rows: Rows, subject: Subject, kind: str) -> Figure:
    """Draw the accuracy of every lane by level, from no disturbance to the strongest, with the range over random draws."""
    each = subject.disturbances[kind]
    without = [{**row, "level": each.none} for row in rows_of(rows, subject.without)]
    last = newest([*without, *rows_of(rows, kind)])
    bands, lines = [], []
    for lane in sorted({row["lane"] for row in last}):
        own = sorted((row for row in last if row["lane"] == lane), key=lambda row: each.strength(row["level"]))
        levels = [row["level"] for row in own]
        accuracies = [100 * row["accuracy"] for row in own]
        if each.draws > 1:
            low, high = ([100 * row[end] for row in own] for end in ("lowest", "highest"))
            bands += charts.band(run.spec, lane, levels, low, high)
        lines.append(lane_line(run.spec, lane, levels, accuracies, f"%{{y:.1f}}% at %{{x:g}}{each.suffix}"))
    layout = layout_of(each.title, each.unit, height=280)
    layout["xaxis"] |= _levels(each)
    layout["yaxis"] |= {"ticksuffix": "%"}
    return {"data": [*bands, *lines], "layout": layout}


def _levels(each: Disturbance) -> dict[str, Any]:
    """Return the axis of the levels where they fall: from large to small, on a log scale, with a tick at each."""
    if each.levels[0] < each.levels[-1]:
        return {}
    ticks = [each.none, *each.levels]
    return {"type": "log", "autorange": "reversed", "tickvals": ticks, "ticktext": [f"{tick:g}" for tick in ticks]}


def tradeoff(run: Run, rows: Rows, subject: Subject, kind: str, level: float) -> Figure:
    """Draw every lane by its accuracy without and with a disturbance: up and to the right is better."""
    styles, titles = theme.lane_styles(run.spec), theme.lane_titles(run.spec)
    without = {row["lane"]: 100 * row["accuracy"] for row in newest(rows_of(rows, subject.without))}
    traces = [
        {
            "type": "scatter",
            "mode": "markers",
            "name": titles[row["lane"]],
            "x": [without[row["lane"]]],
            "y": [100 * row["accuracy"]],
            "marker": {
                "symbol": styles[row["lane"]].symbol,
                "size": 13,
                "color": styles[row["lane"]].color,
            },
            "hovertemplate": f"{subject.without} %{{x:.1f}}%, disturbed %{{y:.1f}}%",
        }
        for row in newest(rows_of(rows, kind, level))
    ]
    title = f"{subject.disturbances[kind].at(level)}, by {subject.without} accuracy"
    layout = layout_of(title, subject.axis, height=280)
    layout["xaxis"] |= {"ticksuffix": "%"}
    layout["yaxis"] |= {"ticksuffix": "%"}
    return {"data": traces, "layout": layout}


def over_epochs(run: Run, rows: Rows, subject: Subject, kind: str, level: float) -> list[Figure]:
    """Draw the accuracies of every lane over the epochs that were measured: without, then with a disturbance."""
    figures = []
    for title, own in (
        (subject.title, rows_of(rows, subject.without)),
        (subject.disturbances[kind].at(level), rows_of(rows, kind, level)),
    ):
        figure = charts.values(run.spec, [{**row, "value": 100 * row["accuracy"]} for row in own], title)
        figure["layout"]["yaxis"] |= {"ticksuffix": "%"}
        figures.append(figure)
    return figures
