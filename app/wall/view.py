"""The class wall in the browser: curves of all seeds, their differences and a table, drawn by ``wall.js``."""

from collections.abc import Sequence

from app.ui import component

KEY = "class_wall"

_mount = component.register("wall/wall")


def draw(told: str, mine: Sequence[int], words: Sequence[str]) -> None:
    """Draw the wall. ``told`` is ``Wall.told``, the same for all; ``mine`` are the reader's indices in it, ``words`` the text about them."""
    _mount(KEY, told, {"mine": list(mine), "words": list(words)})
