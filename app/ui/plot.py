"""A Plotly figure that keeps the reader's zoom when it is redrawn; ``st.plotly_chart`` rebuilds it."""

import json
from typing import Any

from plotly.utils import PlotlyJSONEncoder

from app.ui import component

CONFIG = {"displaylogo": False, "modeBarButtons": [["zoom2d", "pan2d", "resetScale2d", "toImage"]]}

_mount = component.register("ui/plot")


def draw(figure: dict[str, Any], key: str, words: str, file: str) -> None:
    """Draw a figure. ``words`` is its alternative text; ``file`` names its picture when it is saved.

    A zoom stays while the ``uirevision`` of the layout does, and of each axis. An axis that is given a ``range`` loses it when
    the range changes: give it what to include instead.
    """
    data = {
        "figure": figure,
        "words": words,
        "config": {**CONFIG, "responsive": False, "toImageButtonOptions": {"filename": file, "scale": 2}},
    }
    # Plotly's encoder writes NaN as null, since JSON has no NaN.
    _mount(key, json.dumps(data, cls=PlotlyJSONEncoder))
