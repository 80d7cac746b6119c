"""Settings of a sweep that diverged: they have no score, but appear in every figure and table."""

from collections.abc import Sequence
from typing import Any

from app.sweeps import query
from ssam.experiment.sweep import Value, Vary
from ssam.store.sweep_scores import Point

COLOR = "#b0413e"


def of(known: Sequence[Point]) -> list[Point]:
    return [point for point in known if point.state == "diverged"]


def with_rows(rows: list[dict[str, str]], known: Sequence[Point]) -> list[dict[str, str]]:
    """Return the rows, whose last column is the accuracy, and one for each setting that diverged."""
    column = list(rows[0])[-1] if rows else "Accuracy"
    return rows + [
        {query.title(field): query.said(field, value) for field, value in point.values.items()} | {column: "diverged"}
        for point in of(known)
    ]


def cells(across: Vary, up: Vary, lost: Sequence[tuple[Value, Value]]) -> dict[str, Any]:
    """Draw settings that diverged: a place without a colour."""
    xs, ys = [query.said(across.field, x) for x, _ in lost], [query.said(up.field, y) for _, y in lost]
    return {"type": "scatter", "mode": "text", "x": xs, "y": ys, "text": ["diverged"] * len(lost), "hoverinfo": "skip"}


def crosses(xs: list[Value], height: float) -> dict[str, Any]:
    """Draw settings that diverged at the bottom of a chart."""
    marker = {"symbol": "x", "size": 10, "color": COLOR}
    hover = {"hovertext": ["diverged"] * len(xs), "hoverinfo": "text"}
    return {"type": "scatter", "mode": "markers", "x": xs, "y": [height] * len(xs), "marker": marker, **hover}


def values(vary: Vary, known: Sequence[Point]) -> list[dict[str, str]]:
    """Return for values with diverged and no finished trials how many settings."""
    kept = {point.values[vary.field] for point in known if point.state == "done"}
    lost = [point.values[vary.field] for point in of(known) if point.values[vary.field] not in kept]
    name = query.title(vary.field)
    return [
        {
            name: query.said(vary.field, value),
            "Settings": str(lost.count(value)),
            "Mean": "diverged",
            "Best": "diverged",
        }
        for value in dict.fromkeys(lost)
    ]
