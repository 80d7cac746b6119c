"""A Plotly figure that keeps the reader's zoom when it is redrawn; ``st.plotly_chart`` rebuilds it."""

import json
from collections.abc import Callable
from typing import Any

import streamlit as st
from plotly.utils import PlotlyJSONEncoder

from app.ui import component

CONFIG = {"displaylogo": False, "modeBarButtons": [["zoom2d", "pan2d", "resetScale2d", "toImage"]]}
NO_BUTTONS = {"displayModeBar": False}

_mount = component.register("ui/plot")


def draw(
    figure: dict[str, Any],
    key: str,
    words: str,
    file: str,
    config: dict[str, Any] = CONFIG,
    on_point: Callable[[str], None] | None = None,
) -> None:
    """Draw a figure. ``words`` is its alternative text; ``file`` names its picture when it is saved; ``config`` is Plotly's.
    ``on_point`` is called with the ``customdata`` of a point that is clicked.

    A zoom stays while the ``uirevision`` of the layout does, and of each axis. An axis that is given a ``range`` loses it when
    the range changes: give it what to include instead.
    """
    data = {
        "figure": figure,
        "words": words,
        "clicks": on_point is not None,
        "config": {**config, "responsive": False, "toImageButtonOptions": {"filename": file, "scale": 2}},
    }
    events = {"on_point_change": lambda: on_point(st.session_state[key]["point"])} if on_point else {}
    # Plotly's encoder writes NaN as null, since JSON has no NaN.
    _mount(key, json.dumps(data, cls=PlotlyJSONEncoder), **events)
