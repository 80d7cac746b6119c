"""Alternatives to a Plotly figure for those who cannot see it: a sentence and a table."""

import html
import math
import re
from collections.abc import Sequence
from typing import Any

from app.ui.formats import number
from ssam.markers import MARKERS

ROWS, COLUMNS = 13, 7  # rows of a table, at most
GLYPHS = " " + "".join(marker.filled + marker.open for marker in MARKERS.values())
GAP = "gap"  # the name of an annotation that says why there is no bar

Figure = dict[str, Any]
Trace = dict[str, Any]
Row = dict[str, str]


def title(figure: Figure) -> str:
    """Return the figure's title without its marker.

    >>> title({"layout": {"title": {"text": '<span style="color: #000000">●</span> SGD'}}})
    'SGD'
    """
    return _bare(figure["layout"].get("title", {}).get("text", "")).lstrip(GLYPHS)


def summary(figure: Figure) -> str:
    """Return the title, then every trace: its first and last value, lowest and highest; each bar and point, if few.

    >>> trace = {"type": "scatter", "name": "SGD", "x": [0, 1, 2], "y": [3.0, 1.0, 2.0]}
    >>> summary({"data": [trace], "layout": {"title": {"text": "Loss"}, "xaxis": {"title": {"text": "epoch"}}}})
    'Loss, by epoch. SGD: 3 at 0, 2 at 2; lowest 1, highest 3.'
    """
    across = _axis(figure)
    head = f"{title(figure)}{f', by {across}' if across else ''}. " if title(figure) else ""
    return (head + " ".join(_said(figure, trace) for trace in _told(figure))).strip()


def table(figure: Figure) -> list[Row]:
    """Return at most ROWS rows: of a map its values at evenly spaced places; of points one each; else a column per trace."""
    told = _told(figure)
    if maps := [trace for trace in told if "z" in trace]:
        return _map(maps[0])
    if told and all(_is_points(trace) for trace in told):
        return _thinned([row for trace in told for row in _points(figure, trace)])
    return _columns(figure, told)


def _told(figure: Figure) -> list[Trace]:
    """Return the traces that carry information: those with hover text."""
    return [trace for trace in figure["data"] if trace.get("hoverinfo") != "skip" and None not in trace.get("x", ())]


def _is_points(trace: Trace) -> bool:
    """Return whether each point has its own name."""
    return isinstance(trace.get("text"), list) and "markers" in trace.get("mode", "")


def _said(figure: Figure, trace: Trace) -> str:
    if "z" in trace:
        return _map_said(trace)
    unit = _unit(figure)
    pairs = [
        (where, value) for where, value in zip(_places(figure, trace), trace["y"], strict=True) if value is not None
    ]
    name = f"{_bare(trace['name'])}: " if trace.get("name") else ""
    if not pairs:
        return f"{name}nothing."
    if _is_points(trace):
        low, high = min(trace["y"]), max(trace["y"])
        return f"{name}{len(pairs)} points, {number(low)}{unit} to {number(high)}{unit}."
    if trace["type"] == "bar" or len(pairs) == 1:
        bars = [f"{where} {number(value)}{unit}" for where, value in _thinned(pairs)]
        return name + ", ".join(bars + [f"{where} {why}" for where, why in _gaps(figure).items()]) + "."
    values = [value for _, value in pairs]
    ends = ", ".join(f"{number(value)}{unit} at {where}" for where, value in (pairs[0], pairs[-1]))
    return f"{name}{ends}; lowest {number(min(values))}{unit}, highest {number(max(values))}{unit}."


def _columns(figure: Figure, told: Sequence[Trace]) -> list[Row]:
    """Return a row for each place on the x-axis, or for some of them if there are many."""
    unit, across = _unit(figure), _axis(figure)
    places: dict[str, None] = {}
    columns: dict[str, dict[str, str]] = {}
    for trace in told:
        where = _places(figure, trace)
        places |= dict.fromkeys(where)
        values = ("–" if value is None else f"{number(value)}{unit}" for value in trace["y"])
        columns.setdefault(_name(figure, trace), {}).update(zip(where, values, strict=True))
    for whose, why in _gaps(figure).items():
        places[whose] = None
        for column in columns.values():
            column[whose] = why
    kept = _thinned(list(places))
    return [{across: where} | {name: values.get(where, "–") for name, values in columns.items()} for where in kept]


def _points(figure: Figure, trace: Trace) -> list[Row]:
    across = _axis(figure) or "x"
    named = zip(trace["text"], trace["x"], trace["y"], strict=True)
    return [{"Point": _bare(text), across: number(x), "value": f"{number(y)}{_unit(figure)}"} for text, x, y in named]


def _map(trace: Trace) -> list[Row]:
    """Return rows from top to bottom, as drawn."""
    columns, rows = _some(len(trace["x"]), COLUMNS), _some(len(trace["y"]), ROWS)
    return [
        {"y \\ x": number(trace["y"][row])} | {number(trace["x"][at]): _cell(trace, row, at) for at in columns}
        for row in reversed(rows)
    ]


def _cell(trace: Trace, row: int, column: int) -> str:
    """Return a cell's hover text without the name of the quantity."""
    return str(trace["text"][row][column]).partition(" ")[2]


def _map_said(trace: Trace) -> str:
    cells = [
        (value, (row, at)) for row, line in enumerate(trace["z"]) for at, value in enumerate(line) if value is not None
    ]
    if not cells:
        return "No values yet."
    (_, low), (_, high) = min(cells), max(cells)
    middle = (len(trace["y"]) // 2, len(trace["x"]) // 2)
    ends = (
        f"{said} {_cell(trace, *at)}" for said, at in (("in the middle", middle), ("lowest", low), ("highest", high))
    )
    return f"{str(trace['text'][0][0]).partition(' ')[0].capitalize()} {', '.join(ends)}."


def _places(figure: Figure, trace: Trace) -> list[str]:
    """Return the x-axis label of each of a trace's points."""
    if isinstance(named := trace.get("customdata"), list) and all(isinstance(name, str) for name in named):
        return [_bare(name) for name in named]
    axis = figure["layout"].get("xaxis", {})
    ticks = dict(zip(axis.get("tickvals", ()), axis.get("ticktext", ()), strict=False))
    return [_bare(ticks[x]) if x in ticks else x if isinstance(x, str) else number(x) for x in trace["x"]]


def _gaps(figure: Figure) -> dict[str, str]:
    """Return why there is no bar, by the name of its lane."""
    notes = (note for note in figure["layout"].get("annotations", ()) if note.get("name") == GAP)
    parts = (note["hovertext"].rpartition(": ") for note in notes)
    return {where: why for where, _, why in parts}


def _name(figure: Figure, trace: Trace) -> str:
    return _bare(trace.get("name", "")) or title(figure) or "value"


def _axis(figure: Figure) -> str:
    return _bare(figure["layout"].get("xaxis", {}).get("title", {}).get("text", ""))


def _unit(figure: Figure) -> str:
    return str(figure["layout"].get("yaxis", {}).get("ticksuffix", ""))


def _bare(text: str) -> str:
    """Return a text without Plotly's tags."""
    return html.unescape(re.sub(r"<[^>]*>", "", text)).strip()


def _thinned(rows: list[Any]) -> list[Any]:
    return [rows[at] for at in _some(len(rows), ROWS)]


def _some(count: int, most: int) -> list[int]:
    """Return at most ``most`` places of a list, evenly spaced, including the first and the last.

    >>> _some(21, 5)
    [0, 5, 10, 15, 20]
    """
    if count <= most:
        return list(range(count))
    return sorted({math.floor(at * (count - 1) / (most - 1) + 0.5) for at in range(most)})
