"""Some test images side by side, with a line each."""

from collections.abc import Sequence

import numpy as np

from app.images.data import Lane, Shown
from app.ui import component, wire

MOST = 60  # images side by side, at most

_mount = component.register("images/gallery")


def draw(key: str, title: str, shown: Shown, which: np.ndarray, lines: Sequence[str]) -> None:
    """Draw the first MOST of the test images ``which`` (k,), each with its line. Raise ValueError for a race without pictures."""
    if shown.pictures is None:
        raise ValueError(f"run {shown.key!r} has no pictures")
    some = which[:MOST]
    side, channels = shown.pictures.test.shape[2:]
    pictures = wire.packed(shown.pictures.test[some])
    _mount(key, {"title": title, "side": side, "channels": channels, "pictures": pictures, "lines": list(lines)[:MOST]})


def line(shown: Shown, lane: Lane, at: int, image: int) -> str:
    """Return a lane's prediction for a test image at an evaluation, with its confidence."""
    return f"{shown.classes[lane.found.test[at, image]]} {100 * lane.found.confidence[at, image]:.0f}%"
