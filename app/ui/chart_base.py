"""What Plotly figures have in common: layout, colours, and notes for lanes without a value."""

from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np

from app.ui import theme
from app.ui.alt_text import GAP
from app.ui.theme import Style
from ssam.experiment import RaceSpec

Figure = dict[str, Any]
Arrays = dict[str, np.ndarray]
NEUTRAL = "#8b93a1"  # visible on both backgrounds
FAINT = "rgba(139, 147, 161, 0.22)"


def mark(style: Style) -> str:
    """Return a style's marker in its colour, as Plotly markup."""
    return f'<span style="color: {style.color}">{style.glyph}</span>'


def layout_of(title: str, x: str, height: int, **more: Any) -> dict[str, Any]:
    axis = {"gridcolor": FAINT, "zeroline": False, "nticks": 6, "exponentformat": "power", "tickfont": {"size": 12}}
    return {
        "height": height,
        "margin": {"l": 50, "r": 12, "t": 34, "b": 48},
        "title": {"text": title, "font": {"size": 14}, "x": 0, "xref": "container", "xanchor": "left", "pad": {"l": 4}},
        "showlegend": False,
        "hovermode": "closest",
        "dragmode": False,
        "xaxis": {**axis, "title": {"text": x, "standoff": 6, "font": {"size": 12}}, "showgrid": False},
        "yaxis": axis,
        **more,
    }


def lane_title(spec: RaceSpec, lane: int) -> str:
    return f"{mark(theme.lane_styles(spec)[lane])} {escape(theme.lane_titles(spec)[lane])}"


def lane_line(
    spec: RaceSpec, lane: int, x: Sequence[Any], y: Sequence[Any], hover: str, size: int = 7, **more: Any
) -> Figure:
    """Return a line with a marker at each point, in a lane's style."""
    style = theme.lane_styles(spec)[lane]
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": theme.lane_titles(spec)[lane],
        "x": x,
        "y": y,
        "line": {"color": style.color, "width": 2, "dash": style.dash},
        "marker": {"symbol": style.symbol, "size": size, "color": style.color},
        "hovertemplate": hover,
        **more,
    }


def gap(place: float, title: str, why: str) -> dict[str, Any]:
    """Return a note in place of a missing bar: an empty place would read as zero."""
    return {
        "name": GAP,
        "x": place,
        "y": 0,
        "yanchor": "bottom",
        "text": why.replace(" ", "<br>"),
        "hovertext": f"{title}: {why}",
        "showarrow": False,
        "font": {"size": 12},
    }


def faded(color: str, alpha: float) -> str:
    """Return ``#rrggbb`` with an opacity."""
    red, green, blue = (int(color[at : at + 2], 16) for at in (1, 3, 5))
    return f"rgba({red}, {green}, {blue}, {alpha})"
