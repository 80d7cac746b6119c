"""The class wall in the browser: curves of all seeds, their differences and a table, drawn by ``static/wall.js``."""

import json
from collections.abc import Sequence

from app.ui import component

KEY = "class_wall"

_mount = component.register("wall", "wall.css")


def draw(told: str, mine: Sequence[int], words: Sequence[str]) -> None:
    """``told`` is ``Wall.told``, the same for all; ``mine`` are the reader's own places in it, ``words`` what is said of them."""
    own = {
        "module": component.address_of("wall.js"),
        "plotly": component.address_of("plotly.min.js"),
        "mine": list(mine),
        "words": list(words),
    }
    _mount(key=KEY, data=f"{told[:-1]}, {json.dumps(own)[1:]}".encode())
