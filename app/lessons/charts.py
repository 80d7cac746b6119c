"""The test accuracy of a lesson's races over the epochs: the mean over the seeds, with a band from the lowest to the highest seed."""

import statistics
from collections.abc import Mapping
from typing import Any

import pandas  # noqa: F401  imported here: Plotly would use it half-imported while another visitor's first page imports it

from app.ui import theme
from app.ui.chart_base import FAINT, faded
from ssam.experiment import RaceSpec

HEIGHT = 340


def figure(race: Mapping[str, Any], spec: RaceSpec) -> dict[str, Any]:
    """Return the figure of a preset's record in ``lessons.json``."""
    lanes = zip(theme.lane_titles(spec), theme.lane_styles(spec), range(len(spec.lanes)), strict=True)
    traces = [trace for title, style, place in lanes for trace in _lane(race, title, style, place)]
    return {
        "data": traces,
        "layout": {
            "height": HEIGHT,
            "margin": {"l": 50, "r": 12, "t": 30, "b": 44},
            "hovermode": "x unified",
            "dragmode": False,
            "legend": {"traceorder": "normal", "orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
            "xaxis": {"title": {"text": "epoch", "standoff": 6}, "showgrid": False, "zeroline": False, "nticks": 8},
            "yaxis": {"ticksuffix": "%", "gridcolor": FAINT, "zeroline": False, "nticks": 6},
        },
    }


def _lane(race: Mapping[str, Any], title: str, style: theme.Style, place: int) -> list[dict[str, Any]]:
    curves = [_curve(seed["lanes"][place]["epochs"]) for seed in race["seeds"].values()]
    epochs = sorted(set.intersection(*(set(curve) for curve in curves)))  # a diverged seed ends early
    by_epoch = [[curve[epoch] for curve in curves] for epoch in epochs]
    line = {"color": style.color, "dash": style.dash, "width": 2.5}
    edge = {"mode": "lines", "x": epochs, "line": {"width": 0}, "hoverinfo": "skip", "showlegend": False}
    return [
        {"type": "scatter", **edge, "y": [min(values) for values in by_epoch]},
        {"type": "scatter", **edge, "y": [max(values) for values in by_epoch], "fill": "tonexty", "fillcolor": faded(style.color, 0.14)},
        {
            "type": "scatter",
            "mode": "lines+markers",
            "name": title,
            "x": epochs,
            "y": [round(statistics.fmean(values), 2) for values in by_epoch],
            "line": line,
            "marker": {"symbol": style.symbol, "size": 7, "color": style.color},
            "hovertemplate": "%{y:.1f}%",
        },
    ]  # fmt: skip


def _curve(epochs: list[dict[str, Any]]) -> dict[int, float]:
    """Return accuracy in percent by whole epoch; for the last one the final evaluation, on all test images."""
    return {round(row["epoch"]): 100 * row["test_accuracy"] for row in epochs if row["test_accuracy"] is not None}
