"""What can be disturbed on the page Flatness, test images or weights, with the words for it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ssam.catalogue import CLEAN, DISTURBANCES, UNDISTURBED, WEIGHT_DISTURBANCES, Disturbance


@dataclass(frozen=True)
class Subject:
    """Test images or weights. ``without`` is the name of the rows without a disturbance, and the adjective for them; ``title``
    is the title of a chart of these rows, ``axis`` that of their axis."""

    disturbances: Mapping[str, Disturbance]
    without: str
    title: str
    axis: str


SUBJECTS = {  # by kind of analysis
    "robustness": Subject(DISTURBANCES, CLEAN, "Clean images", "clean test images"),
    "disturbed_weights": Subject(WEIGHT_DISTURBANCES, UNDISTURBED, "Undisturbed weights", "undisturbed weights"),
}


def rows_of(rows: Iterable[dict[str, Any]], disturbance: str, level: float | None = None) -> list[dict[str, Any]]:
    """Return the rows of a disturbance, or of one of its levels."""
    return [row for row in rows if row["disturbance"] == disturbance and level in (None, row["level"])]
