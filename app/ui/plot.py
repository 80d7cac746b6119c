"""A Plotly figure that keeps what the reader has zoomed to when it is drawn anew; ``st.plotly_chart`` builds it from nothing."""

import json
from typing import Any

from plotly.utils import PlotlyJSONEncoder

from app.ui import component

CONFIG = {"displaylogo": False, "modeBarButtons": [["zoom2d", "pan2d", "resetScale2d", "toImage"]]}

_mount = component.register("ui/plot")


def draw(figure: dict[str, Any], key: str, words: str, file: str) -> None:
    """``words`` say the same to who cannot see it; ``file`` is what its picture is called when it is kept.

    A zoom stays while the ``uirevision`` of the layout does, and of each axis. An axis that is given a ``range`` loses it when
    the range changes: give it what to include instead.
    """
    data = {
        "figure": figure,
        "words": words,
        "config": {**CONFIG, "responsive": False, "toImageButtonOptions": {"filename": file, "scale": 2}},
    }
    # Its encoder writes what is not a number as null, where JSON has no word for it.
    _mount(key, json.dumps(data, cls=PlotlyJSONEncoder))
