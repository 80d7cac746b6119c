"""Loss surfaces as Plotly figures: a map or a 3-D surface for each lane, with the same axes, range and colours; and one map of the
plane through all lanes."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from app.flatness.charts import lanes_of
from app.flatness.text import newest
from app.ui import theme
from app.ui.chart_base import FAINT, Arrays, Figure, lane_title, layout_of
from app.ui.formats import number
from ssam.store import Run

SCALE = "Cividis"  # readable with any colour vision
LARGE = 500
LEVELS = 16
CAMERA = {"eye": {"x": 1.5, "y": 1.5, "z": 0.9}, "center": {"x": 0, "y": 0, "z": -0.12}}
CONFIG_3D = {"displaylogo": False, "modeBarButtons": [["orbitRotation", "resetCameraDefault3d", "toImage"]]}


def surfaces(run: Run, arrays: Arrays, what: str, deep: bool) -> list[Figure]:
    """Draw one map (``deep``: 3-D surface) for each lane, all with the same ranges; ``what`` is loss or accuracy."""
    drawn = [lane for lane in lanes_of(run) if np.isfinite(arrays.get(f"{what}/{lane}", np.nan)).any()]
    if not drawn:
        return []
    scale = Colours.of([arrays[f"{what}/{lane}"] for lane in drawn], what)
    return [
        (_hill if deep else _map)(
            arrays["xs"], arrays["ys"], arrays[f"{what}/{lane}"], scale, lane_title(run.spec, lane)
        )
        for lane in drawn
    ]


class Colours:
    """The common scale of several maps: losses by their logarithm, accuracies in %."""

    def __init__(self, low: float, high: float, what: str) -> None:
        self.low, self.high, self.what = low, max(high, low + 1e-6), what

    @classmethod
    def of(cls, maps: Sequence[np.ndarray], what: str) -> "Colours":
        scaled = np.concatenate([cls.scaled(values, what).ravel() for values in maps])
        finite = scaled[np.isfinite(scaled)]
        return cls(float(finite.min()), float(finite.max()), what)

    @staticmethod
    def scaled(values: np.ndarray, what: str) -> np.ndarray:
        """Return values on the scale; NaN if missing."""
        values = np.where(np.isfinite(values), values, np.nan)
        return 100 * values if what == "accuracy" else np.log10(np.maximum(values, 1e-6))

    def ticks(self, count: int = 5) -> tuple[list[float], list[str]]:
        """Return tick positions and labels, with enough digits to distinguish them."""
        places = np.linspace(self.low, self.high, count).tolist()
        values = [place if self.what == "accuracy" else 10**place for place in places]
        said: list[str] = []
        for digits in range(2, 8):
            said = [f"{value:.{digits}g}" for value in values]
            if len(set(said)) == count:
                break
        return places, [f"{value}%" if self.what == "accuracy" else value for value in said]

    @property
    def trace(self) -> dict[str, Any]:
        return {"colorscale": SCALE, "reversescale": self.what == "accuracy", "showscale": False}


def finest(xs: np.ndarray, ys: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the finest evenly spaced complete part of a picture, which is refined while it is measured; all of it, with gaps, if
    there is none."""
    for stride in (1, 2, 4, 8, 16):
        part = values[::stride, ::stride]
        if np.isfinite(part).all():
            return xs[::stride], ys[::stride], part
    return xs, ys, values


def _hover(values: np.ndarray, what: str) -> list[list[str]]:
    return [
        [f"{what} {100 * v:.1f}%" if what == "accuracy" else f"{what} {number(float(v))}" for v in row]
        for row in values
    ]


def _contour(xs: np.ndarray, ys: np.ndarray, values: np.ndarray, scale: Colours) -> dict[str, Any]:
    xs, ys, values = finest(xs, ys, values)
    return {
        "type": "contour",
        "x": xs.tolist(),
        "y": ys.tolist(),
        "z": _listed(scale.scaled(values, scale.what)),
        "text": _hover(values, scale.what),
        "hovertemplate": "%{text}<extra></extra>",
        "connectgaps": False,  # missing losses leave a hole
        "contours": {
            "coloring": "fill",
            "start": scale.low,
            "end": scale.high,
            "size": (scale.high - scale.low) / LEVELS,
        },
        "line": {"width": 0.4, "color": "rgba(255, 255, 255, 0.45)"},
        "zmin": scale.low,
        "zmax": scale.high,
        **scale.trace,
    }


def _map(xs: np.ndarray, ys: np.ndarray, values: np.ndarray, scale: Colours, title: str) -> Figure:
    here = {
        "type": "scatter",
        "x": [0],
        "y": [0],
        "mode": "markers",
        "marker": {"symbol": "cross-thin", "size": 11, "line": {"width": 2, "color": "#ffffff"}},
        "hoverinfo": "skip",
    }
    layout = layout_of(title, "", height=292)
    layout["margin"] = {"l": 34, "r": 6, "t": 34, "b": 28}
    layout["xaxis"]["range"], layout["yaxis"]["range"] = ([float(ticks[0]), float(ticks[-1])] for ticks in (xs, ys))
    return {"data": [_contour(xs, ys, values, scale), here], "layout": layout}


def _hill(xs: np.ndarray, ys: np.ndarray, values: np.ndarray, scale: Colours, title: str) -> Figure:
    ends = [float(xs[0]), float(xs[-1])]
    xs, ys, values = finest(xs, ys, values)
    places, names = scale.ticks()
    axis = {
        "showbackground": False,
        "gridcolor": FAINT,
        "zeroline": False,
        "nticks": 4,
        "title": {"text": ""},
        "tickfont": {"size": 10},
    }
    trace = {
        "type": "surface",
        "x": xs.tolist(),
        "y": ys.tolist(),
        "z": _listed(scale.scaled(values, scale.what)),
        "text": _hover(values, scale.what),
        "hovertemplate": "%{text}<extra></extra>",
        "connectgaps": False,
        "cmin": scale.low,
        "cmax": scale.high,
        **scale.trace,
    }
    layout = layout_of(title, "", height=330)
    del layout["xaxis"], layout["yaxis"]
    layout["margin"] = {"l": 16, "r": 0, "t": 34, "b": 0}
    level = {**axis, "range": ends, "showticklabels": False}
    upright = {**axis, "range": [scale.low, scale.high], "tickvals": places, "ticktext": names}
    layout["scene"] = {"xaxis": level, "yaxis": level, "zaxis": upright, "camera": CAMERA, "dragmode": "orbit"}
    return {"data": [trace], "layout": layout}


def colour_bar(arrays: Arrays, what: str) -> Figure | None:
    """Return the colour bar of all maps; None while there is no value."""
    found = [array for name, array in arrays.items() if name.split("/")[0] == what and np.isfinite(array).any()]
    if not found:
        return None
    scale = Colours.of(found, what)
    places, said = scale.ticks()
    steps = np.linspace(scale.low, scale.high, 64).tolist()
    strip = {"type": "heatmap", "x": steps, "z": [steps], "hoverinfo": "skip", **scale.trace}
    said[0] = f"{what} {said[0]}"
    layout = layout_of("", "", height=52)
    layout["margin"] = {"l": 34, "r": 24, "t": 2, "b": 34}
    axis = {"tickvals": places, "ticktext": said, "showgrid": False, "zeroline": False}
    layout["xaxis"] = axis
    layout["yaxis"] = {"visible": False}
    return {"data": [strip], "layout": layout}


def common_plane(run: Run, arrays: Arrays, what: str) -> Figure | None:
    """Draw one map with the end points of all lanes and their paths over the epochs."""
    if what not in arrays or not np.isfinite(arrays[what]).any():
        return None
    scale = Colours.of([arrays[what]], what)
    traces = [_contour(arrays["xs"], arrays["ys"], arrays[what], scale)]
    styles, titles = theme.lane_styles(run.spec), theme.lane_titles(run.spec)
    for row in newest(run.result["rows"] if run.result else ()):
        lane = row["lane"]
        path = arrays.get(f"path/{lane}", np.array([[row["x"], row["y"], row["epoch"]]]))
        sizes = [7] * (len(path) - 1) + [15]
        traces += [
            {  # a white line beneath makes every colour visible on the map
                "type": "scatter",
                "mode": "lines",
                "x": path[:, 0].tolist(),
                "y": path[:, 1].tolist(),
                "line": {"color": "#ffffff", "width": 5},
                "hoverinfo": "skip",
            },
            {
                "type": "scatter",
                "mode": "lines+markers",
                "name": titles[lane],
                "x": path[:, 0].tolist(),
                "y": path[:, 1].tolist(),
                "text": [f"{titles[lane]}, epoch {epoch:g}" for epoch in path[:, 2]],
                "hovertemplate": "%{text}<extra></extra>",
                "line": {"color": styles[lane].color, "width": 2.5},
                "marker": {
                    "symbol": styles[lane].symbol.removesuffix("-open"),
                    "size": sizes,
                    "color": styles[lane].color,
                    "line": {"color": "#ffffff", "width": 1.5},
                },
            },
        ]
    layout = layout_of("", "", height=LARGE)
    layout["margin"] = {"l": 44, "r": 8, "t": 10, "b": 34}
    layout["yaxis"] |= {"scaleanchor": "x", "constrain": "domain", "constraintoward": "top"}
    layout["xaxis"] |= {"constrain": "domain"}
    return {"data": traces, "layout": layout}


def _listed(values: np.ndarray) -> list[list[float | None]]:
    return [[float(value) if math.isfinite(value) else None for value in row] for row in values]
