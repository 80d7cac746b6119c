"""Lines and bars of the flatness page as Plotly figures: all lanes on the same axes."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas  # noqa: F401  imported here: Plotly would use it half-imported while another visitor's first page imports it

from app.flatness.correlation import Point
from app.flatness.text import maskless, newest
from app.ui import theme
from app.ui.chart_base import NEUTRAL, Arrays, Figure, faded, gap, lane_line, lane_title, layout_of, mark
from app.ui.estimators import ESTIMATORS, NO_MASK
from app.ui.formats import drawable, number
from ssam.experiment import RaceSpec
from ssam.methods import METHODS
from ssam.store import Run, Window

NOT_THERE, NO_NUMBER = "not measured", "not finite"  # why there is no bar


def lanes_of(run: Run) -> list[int]:
    """Return the lanes with rows in a result, by their place in the race."""
    return sorted({row["lane"] for row in run.result["rows"]}) if run.result else []


# Profiles and spectra


def profile(run: Run, arrays: Arrays, what: str) -> Figure:
    """Draw every lane's mean over the directions, and the band from the lowest to the highest."""
    traces: list[dict[str, Any]] = []
    styles, titles = theme.lane_styles(run.spec), theme.lane_titles(run.spec)
    for lane in lanes_of(run):
        values = arrays.get(f"{what}/{lane}")
        if values is None or not (known := np.isfinite(values).all(axis=1)).any():
            continue
        lines, x = values[known] * (100 if what == "accuracy" else 1), arrays["steps"].tolist()
        traces += [
            *band(run.spec, lane, x, lines.min(0).tolist(), lines.max(0).tolist()),
            {
                "type": "scatter",
                "mode": "lines",
                "x": x,
                "legendgroup": str(lane),
                "y": lines.mean(0).tolist(),
                "name": titles[lane],
                "line": {"color": styles[lane].color, "width": 2.5, "dash": styles[lane].dash},
            },
        ]
    layout = layout_of(
        "Training accuracy" if what == "accuracy" else "Training loss (log scale)",
        "distance along the direction",
        height=360,
    )
    layout["yaxis"] |= {"ticksuffix": "%"} if what == "accuracy" else {"type": "log", **_log_ticks()}
    return {"data": traces, "layout": layout}


def band(spec: RaceSpec, lane: int, x: Sequence[Any], low: Sequence[float], high: Sequence[float]) -> list[Figure]:
    """Return the band between two lines in a lane's colour, as two traces."""
    edge: Figure = {"type": "scatter", "mode": "lines", "x": x, "legendgroup": str(lane)}
    edge |= {"line": {"width": 0}, "hoverinfo": "skip"}
    fill = faded(theme.lane_styles(spec)[lane].color, 0.16)
    return [{**edge, "y": low}, {**edge, "y": high, "fill": "tonexty", "fillcolor": fill}]


def spectra(run: Run, arrays: Arrays) -> list[Figure]:
    """Draw the density of each lane's eigenvalues, all on the same axes."""
    drawn = [lane for lane in lanes_of(run) if f"density/{lane}" in arrays]
    if not drawn:
        return []
    top = max(float(arrays[f"density/{lane}"].max()) for lane in drawn)
    grid, figures = arrays["grid"].tolist(), []
    ends = [grid[0], grid[-1]]
    for lane in drawn:
        style = theme.lane_styles(run.spec)[lane]
        density = np.maximum(arrays[f"density/{lane}"], top * 1e-9)
        trace = {
            "type": "scatter",
            "mode": "lines",
            "x": grid,
            "y": density.tolist(),
            "fill": "tozeroy",
            "fillcolor": faded(style.color, 0.15),
            "line": {"color": style.color, "width": 1.8},
            "hovertemplate": "λ %{x:.3g}: %{y:.2g}<extra></extra>",
        }
        layout = layout_of(lane_title(run.spec, lane), "eigenvalue λ", height=280)
        layout["xaxis"] |= {"range": ends}
        layout["yaxis"] |= {
            "type": "log",
            "range": [math.log10(top) - 7, math.log10(top) + 0.4],
            "exponentformat": "power",
        }
        layout["yaxis"] |= {"dtick": 2}
        layout["shapes"] = [
            {
                "type": "line",
                "x0": 0,
                "x1": 0,
                "yref": "paper",
                "y0": 0,
                "y1": 1,
                "line": {"color": NEUTRAL, "width": 1, "dash": "dot"},
            }
        ]
        figures.append({"data": [trace], "layout": layout})
    return figures


# Numbers: curvature and sharpness


def curvature(run: Run, window: Window | None) -> list[Figure]:
    """Draw λ₁, λ₁/λ₅ and the trace of every lane, the five eigenvalues, and λ₁ as measured in the race if it was."""
    rows = run.result["rows"] if run.result else []
    first = [{**row, "value": row["eigenvalues"][0]} for row in rows]
    ratio = [{**row, "value": row["ratio"]} for row in rows]
    trace = [{**row, "value": row["trace"], "error": row["trace_error"]} for row in rows]
    figures = [
        values(run.spec, first, "λ₁, the largest eigenvalue"),
        values(run.spec, ratio, "λ₁/λ₅"),
        values(run.spec, trace, "Trace"),
        _eigenvalues(run.spec, newest(rows)),
    ]
    return [*figures, *([live] if (live := _live(run.spec, window)) else [])]


def values(spec: RaceSpec, rows: Sequence[dict[str, Any]], title: str, absent: dict[int, str] | None = None) -> Figure:
    """Draw one number per lane: bars, or lines if several epochs were measured. ``absent`` says why lanes have none."""
    epochs = {row["lane"]: sum(other["lane"] == row["lane"] for other in rows) for row in rows}
    if max(epochs.values(), default=0) > 1:
        return _over_epochs(spec, rows, title)
    return _bars(spec, rows, title, absent or {})


def _bars(spec: RaceSpec, rows: Sequence[dict[str, Any]], title: str, absent: dict[int, str]) -> Figure:
    styles, titles = theme.lane_styles(spec), theme.lane_titles(spec)
    own = sorted(rows, key=lambda row: row["lane"])
    bars = {
        "type": "bar",
        "x": [row["lane"] for row in own],
        "y": [row["value"] for row in own],
        "customdata": [titles[row["lane"]] for row in own],
        "width": 0.62,
        "marker": {"color": [styles[row["lane"]].color for row in own]},
        "text": [number(row["value"]) for row in own],
        "textposition": "none",
        "error_y": _errors(own, color=NEUTRAL),
        "hovertext": [f"{titles[row['lane']]}: {number(row['value'])}" for row in own],
        "hoverinfo": "text",
    }
    layout = layout_of(title, "", height=250)
    layout["margin"] = {**layout["margin"], "b": 30}
    lanes = list(range(len(spec.lanes)))
    short = [_short(spec, lane) for lane in lanes]
    layout["xaxis"] |= {"tickvals": lanes, "ticktext": short, "range": [-0.6, len(lanes) - 0.4], "tickangle": 0}
    layout["yaxis"] |= {"rangemode": "tozero", "zeroline": True, "zerolinecolor": NEUTRAL, "zerolinewidth": 1}
    drawn = {row["lane"]: None if drawable(row["value"]) else NO_NUMBER for row in own}
    reasons = {lane: drawn.get(lane, absent.get(lane, NOT_THERE)) for lane in lanes}
    layout["annotations"] = [gap(lane, titles[lane], why) for lane, why in reasons.items() if why]
    return {"data": [bars], "layout": layout}


def _errors(rows: Sequence[dict[str, Any]], **more: Any) -> dict[str, Any]:
    """Return error bars of one standard error, if there is one."""
    known = any(row.get("error") is not None for row in rows)
    return {"array": [row.get("error") for row in rows], "visible": known, "thickness": 1.5, "width": 4, **more}


def _short(spec: RaceSpec, lane: int) -> str:
    """Return a lane's marker, with its method if there is room."""
    name = METHODS[spec.lanes[lane].method].title if len(spec.lanes) <= 4 else ""
    return f"{mark(theme.lane_styles(spec)[lane])} {name}".strip()


def _over_epochs(spec: RaceSpec, rows: Sequence[dict[str, Any]], title: str, x: str = "epoch") -> Figure:
    traces = []
    for lane in sorted({row["lane"] for row in rows}):
        own = sorted((row for row in rows if row["lane"] == lane), key=lambda row: row["step"])
        epochs, values = ([row[name] for row in own] for name in ("epoch", "value"))
        traces.append(lane_line(spec, lane, epochs, values, "%{y:.3g} at epoch %{x:g}", error_y=_errors(own)))
    layout = layout_of(title, x, height=250)
    if max(row["epoch"] for row in rows) <= 8:
        layout["xaxis"]["dtick"] = 1
    return {"data": traces, "layout": layout}


def _eigenvalues(spec: RaceSpec, rows: Sequence[dict[str, Any]]) -> Figure:
    names = [f"λ{place}" for place in "₁₂₃₄₅₆₇₈₉"]
    traces = [
        lane_line(spec, row["lane"], names[: len(row["eigenvalues"])], row["eigenvalues"], "%{x} = %{y:.3g}", size=8)
        for row in rows
    ]
    layout = layout_of("Five largest eigenvalues, latest weights", "", height=250)
    layout["margin"] = {**layout["margin"], "b": 30}
    layout["yaxis"] |= {"rangemode": "tozero"}
    return {"data": traces, "layout": layout}


def _live(spec: RaceSpec, window: Window | None) -> Figure | None:
    rows = [
        {"lane": lane, "step": row["step"], "epoch": row["epoch"], "value": row["eigenvalue"]}
        for lane, drawn in enumerate(window.lanes if window else ())
        for row in drawn.epochs
        if row.get("eigenvalue") is not None
    ]
    return _over_epochs(spec, rows, "λ₁ during the race") if rows else None


def sharpness(run: Run) -> list[Figure]:
    """Draw one chart for each estimator."""
    rows = run.result["rows"] if run.result else []
    bare = dict.fromkeys(maskless(run.spec), NO_MASK)
    found = []
    for name, (title, _) in ESTIMATORS.items():
        if own := [row for row in rows if row["estimator"] == name]:
            absent = bare if name == "masked_ascent_gap" else {}
            found.append(values(run.spec, own, f"{title}, ρ {own[0]['rho']:g}", absent))
    return found


def scatter(points: Sequence[Point], title: str) -> Figure:
    """Draw an estimator against test accuracy: every lane in its method's colour and marker, open if it has training settings of its
    own."""
    traces = []
    for method, style in theme.METHOD_STYLES.items():
        if own := [point for point in points if point.spec.lanes[point.lane].method == method]:
            traces.append(
                {
                    "type": "scatter",
                    "mode": "markers",
                    "name": METHODS[method].title,
                    "x": [point.value for point in own],
                    "y": [point.accuracy for point in own],
                    "text": [theme.lane_titles(point.spec)[point.lane] + f", seed {point.spec.seed}" for point in own],
                    "marker": {
                        "color": style.color,
                        "symbol": [style.symbol + "-open" * point.trains_otherwise for point in own],
                        "size": 10,
                        "opacity": 0.85,
                    },
                    "hovertemplate": "%{text}<br>%{x:.3g}, %{y:.1f}%<extra></extra>",
                }
            )
    layout = layout_of(title, "sharper →", height=280)
    layout["yaxis"] |= {"ticksuffix": "%"}
    found = [point.value for point in points]
    if min(found, default=0) > 0 and max(found) > 20 * min(found):
        layout["xaxis"] |= {"type": "log", **_log_ticks()}
        if max(found) < 1000 * min(found):
            layout["xaxis"] |= {"dtick": "D2"}  # 1, 2, 5: all digits would lie on top of each other
    return {"data": traces, "layout": layout}


def _log_ticks() -> dict[str, Any]:
    return {"tickformat": "~g"}
