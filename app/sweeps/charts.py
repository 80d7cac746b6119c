"""The figures of a sweep as Plotly dictionaries, each with a sentence and a table. They must be cheap: they are redrawn every
second."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from app.sweeps import chart_parts as parts
from app.sweeps import diverged, query
from app.sweeps.chart_parts import DONE
from app.ui.chart_base import FAINT, NEUTRAL
from ssam.experiment.sweep import SweepSpec, Value, Vary
from ssam.store import Trial
from ssam.store.sweep_scores import Point, front

CELL_SCALE = ((0.0, "#8c8a78"), (0.5, "#c5b35f"), (1.0, "#fee838"))  # its upper half: INK is read on all of it
INK = "#14171f"
CELLS = 12  # values of a setting, at most, for a heatmap
BANDS = 8  # colours of the lines through all settings
ROWS = 13  # rows of a table
STATE_COLORS = {
    "done": DONE,
    "pruned": "#c07f00",
    "diverged": diverged.COLOR,
    "failed": diverged.COLOR,
    "open": NEUTRAL,
}
STATE_TITLES = {
    "done": "finished",
    "pruned": "pruned",
    "diverged": "diverged",
    "failed": "failed",
    "refused": "not possible",
    "open": "running",
}


@dataclass(frozen=True)
class Shown:
    """A figure, its description in a sentence, and the rows of its table."""

    figure: dict[str, Any]
    words: str
    rows: list[dict[str, str]]


def percent(score: float | None) -> str:
    return "–" if score is None else f"{100 * score:.1f}%"


def settings(values: dict[str, Value]) -> str:
    """Return settings in one line.

    >>> settings({"lane1.rho": 0.2, "lane1.sparsity": 0.8})
    'rho 0.2, sparsity 80%'
    """
    return ", ".join(f"{query.title(field).lower()} {query.said(field, value)}" for field, value in values.items())


def ended(known: Sequence[Point]) -> list[Point]:
    return [point for point in known if point.state == "done" and point.score is not None]


def map_fields(spec: SweepSpec) -> tuple[Vary, Vary] | None:
    """Return sparsity and rho if both vary, else the first two settings; None for a single one."""
    if len(spec.vary) < 2:
        return None
    by_setting = {vary.setting: vary for vary in spec.vary}
    if {"rho", "sparsity"} <= by_setting.keys():
        return by_setting["rho"], by_setting["sparsity"]
    return spec.vary[0], spec.vary[1]


def heatmap(spec: SweepSpec, known: Sequence[Point], across: Vary, up: Vary) -> Shown:
    """Draw accuracy by two settings: cells for a few values, points for a search over ranges. If other settings vary too, a cell is
    the mean over them."""
    done = ended(known)
    rows = [_row(spec, point) for point in sorted(done, key=lambda point: -(point.score or 0))]
    names = f"{query.title(across.field)} and {query.title(up.field).lower()}"
    words = f"{_measure(spec)} by {names.lower()}. {_best_said(done)}"
    columns, lines = (parts.values(spec, vary, known) for vary in (across, up))
    if max(len(columns), len(lines)) > CELLS:
        return Shown(_scatter_map(done, across, up), words, diverged.with_rows(rows[:ROWS], known))
    cells: dict[tuple[Value, Value], list[float]] = {}
    for point in done:
        cells.setdefault((point.values[across.field], point.values[up.field]), []).append(point.score or 0.0)
    mean = [[_mean(cells.get((x, y))) for x in columns] for y in lines]
    trace = {
        "type": "heatmap",
        "x": [query.said(across.field, value) for value in columns],
        "y": [query.said(up.field, value) for value in lines],
        "z": mean,
        "text": [["" if value is None else f"{value:.1f}" for value in row] for row in mean],
        "texttemplate": "%{text}",
        "textfont": {"color": INK},
        "hovertemplate": f"{query.title(across.field)} %{{x}}<br>{query.title(up.field)} %{{y}}<br>%{{z:.2f}}%<extra></extra>",
        "colorscale": CELL_SCALE,
        "colorbar": parts.colorbar(),
        "xgap": 2,
        "ygap": 2,
    }
    layout = {"xaxis": {**parts.axis(across), "type": "category"}, "yaxis": {**parts.axis(up), "type": "category"}}
    lost = {(point.values[across.field], point.values[up.field]) for point in diverged.of(known)} - set(cells)
    traces = [trace, *([diverged.cells(across, up, sorted(lost, key=str))] if lost else [])]
    return Shown(parts.figure(traces, layout), words, diverged.with_rows(rows[:ROWS], known))


def _scatter_map(done: Sequence[Point], across: Vary, up: Vary) -> dict[str, Any]:
    trace = parts.dots(
        [parts.at(across, point) for point in done],
        [parts.at(up, point) for point in done],
        [f"{settings(point.values)}<br>{percent(point.score)}" for point in done],
        [100 * (point.score or 0) for point in done],
    )
    trace["marker"]["size"] = 15
    layout = {"xaxis": {**parts.axis(across), **parts.scale(across)}, "yaxis": {**parts.axis(up), **parts.scale(up)}}
    return parts.figure([trace], layout)


def slices(spec: SweepSpec, known: Sequence[Point]) -> list[Shown]:
    """Draw a chart for each setting: accuracy against its value, over all values of the others."""
    done, shown = ended(known), []
    for vary in spec.vary:
        heights = [100 * (point.score or 0) for point in done]
        hovers = [f"{settings(point.values)}<br>{percent(point.score)}" for point in done]
        colors = [STATE_COLORS["done"]] * len(done)
        trace = parts.dots([parts.at(vary, point) for point in done], heights, hovers, colors)
        errors = [100 * (point.spread or 0) for point in done]
        if any(errors):
            trace["error_y"] = {"array": errors, "color": FAINT, "thickness": 1.5, "width": 3}
        lost = [parts.at(vary, point) for point in diverged.of(known)]
        layout = {"xaxis": {**parts.axis(vary), **parts.scale(vary)}, "yaxis": parts.accuracy(spec)}
        best = max(done, key=lambda point: point.score or 0.0, default=None)
        where = (
            f"Best at {query.said(vary.field, best.values[vary.field])}: {percent(best.score)}."
            if best
            else "Nothing yet."
        )
        rows = [
            {query.title(vary.field): query.said(vary.field, value), **cells} for value, cells in _by_value(vary, done)
        ]
        words = f"{_measure(spec)} by {query.title(vary.field).lower()}, {len(done)} setting{'s' * (len(done) != 1)}. {where}"
        traces = [trace, *([diverged.crosses(lost, min(heights))] if lost else [])] if done else []
        rows = rows[:ROWS] + diverged.values(vary, known)
        shown.append(Shown(parts.figure(traces, layout, 300), words, rows))
    return shown


def _by_value(vary: Vary, done: Sequence[Point]) -> list[tuple[Value, dict[str, str]]]:
    """Return for each value how many settings had it, their mean and their best."""
    groups: dict[Value, list[float]] = {}
    for point in done:
        groups.setdefault(point.values[vary.field], []).append(point.score or 0.0)
    ordered = sorted(groups.items(), key=lambda pair: -max(pair[1]))
    return [
        (value, {"Settings": str(len(scores)), "Mean": percent(statistics.fmean(scores)), "Best": percent(max(scores))})
        for value, scores in ordered
    ]


def parallel(spec: SweepSpec, known: Sequence[Point]) -> Shown:
    """Draw a line for each combination through all its settings to its accuracy; the best are the brightest."""
    done = sorted(ended(known), key=lambda point: point.score or 0.0)
    scores = [point.score or 0.0 for point in done]
    low, high = (min(scores), max(scores)) if scores else (0.0, 1.0)
    places = {vary.field: parts.places(spec, vary, known) for vary in spec.vary}
    titles = [*(query.title(vary.field) for vary in spec.vary), _measure(spec)]
    bands: dict[int, list[Point]] = {}
    for rank, point in enumerate(done):
        bands.setdefault(rank * BANDS // max(1, len(done)), []).append(point)
    traces: list[dict[str, Any]] = []
    for band, own in sorted(bands.items()):
        xs: list[int | None] = []
        ys: list[float | None] = []
        hovers: list[str] = []
        for point in own:
            heights = [places[vary.field][0](point.values[vary.field]) for vary in spec.vary]
            xs += [*range(len(titles)), None]
            ys += [*heights, ((point.score or 0.0) - low) / ((high - low) or 1.0), None]
            hovers += [f"{settings(point.values)}<br>{percent(point.score)}"] * (len(titles) + 1)
        share = band / max(1, BANDS - 1)
        style = {"color": parts.shade(share), "width": 1 + 1.5 * share}
        traces.append(
            {
                "type": "scatter",
                "mode": "lines",
                "x": xs,
                "y": ys,
                "line": style,
                "hovertext": hovers,
                "hoverinfo": "text",
            }
        )
    notes = [note for at, vary in enumerate(spec.vary) for note in parts.notes(at, places[vary.field][1])]
    notes += parts.notes(len(spec.vary), [(0.0, percent(low)), (1.0, percent(high))] if scores else [], last=True)
    line = {"type": "line", "y0": 0, "y1": 1, "line": {"color": NEUTRAL, "width": 1}, "layer": "below"}
    layout = {
        "xaxis": {
            "tickvals": list(range(len(titles))),
            "ticktext": titles,
            "range": [-0.25, len(titles) - 0.75],
            "showgrid": False,
            "zeroline": False,
        },
        "yaxis": {"visible": False, "range": [-0.08, 1.08]},
        "shapes": [{**line, "x0": at, "x1": at} for at in range(len(titles))],
        "annotations": notes,
        "showlegend": False,
    }
    rows = [_row(spec, point) for point in done[::-1]]
    words = f"{len(done)} combination{'s' * (len(done) != 1)}, each a line through its settings. {_best_said(done)}"
    return Shown(parts.figure(traces, layout), words, diverged.with_rows(rows[:ROWS], known))


def importance(spec: SweepSpec, shares: dict[str, float]) -> Shown:
    """Draw the share of the variation in accuracy that each setting explains."""
    ordered = sorted(shares.items(), key=lambda pair: pair[1])
    trace = {
        "type": "bar",
        "orientation": "h",
        "x": [100 * share for _, share in ordered],
        "y": [f"{query.title(field)}, {100 * share:.0f}%" for field, share in ordered],
        "marker": {"color": STATE_COLORS["done"]},
        "hoverinfo": "skip",
    }
    layout = {
        "xaxis": {
            "ticksuffix": "%",
            "range": [0, 105],
            "gridcolor": FAINT,
            "title": {"text": "share of the importance"},
        },
        "yaxis": {"automargin": True},
    }
    rows = [{"Setting": query.title(field), "Importance": f"{100 * share:.0f}%"} for field, share in ordered[::-1]]
    said = ", ".join(f"{row['Setting'].lower()} {row['Importance']}" for row in rows)
    return Shown(parts.figure([trace], layout, 110 + 46 * len(ordered)), f"Importance: {said}.", rows)


def timeline(spec: SweepSpec, known: Sequence[Trial], begun: float, now: float) -> Shown:
    """Draw a bar for each trial from its start to its end, in minutes since the sweep began; queued ones have none."""
    traces, rows = [], []
    order = {key: place for place, key in enumerate(_order(known), 1)}
    for state, color in STATE_COLORS.items():
        own = [trial for trial in known if trial.state == state and trial.started]
        if not own:
            continue
        spans = [((trial.started or 0) - begun, (trial.ended or now) - begun) for trial in own]
        traces.append(
            {
                "type": "bar",
                "orientation": "h",
                "name": STATE_TITLES[state],
                "base": [start / 60 for start, _ in spans],
                "x": [max(0.0, end - start) / 60 for start, end in spans],
                "y": [order[trial.number, trial.seed] for trial in own],
                "marker": {"color": color, "line": {"width": 0}},
                "hovertext": [
                    f"{settings(trial.values)}, seed {trial.seed}<br>{STATE_TITLES[state]}{_score(spec, trial)}<br>{end - start:.0f} s"
                    for trial, (start, end) in zip(own, spans, strict=True)
                ],
                "hoverinfo": "text",
            }
        )
        rows.append({"Trials": STATE_TITLES[state], "Number": str(len(own)), "Median seconds": f"{_middle(spans):.0f}"})
    waiting = sum(trial.state == "open" and not trial.started for trial in known)
    if waiting:
        rows.append({"Trials": "queued", "Number": str(waiting), "Median seconds": "–"})
    layout = {
        "barmode": "overlay",
        "bargap": 0.15,
        "xaxis": {"title": {"text": "minutes since the sweep began"}, "gridcolor": FAINT, "rangemode": "tozero"},
        "yaxis": {
            "title": {"text": "race"},
            "autorange": "reversed",
            "showgrid": False,
            "zeroline": False,
            "nticks": 8,
        },
        "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        "showlegend": True,
    }
    said = ", ".join(f"{row['Number']} {row['Trials']}" for row in rows) or "none yet"
    return Shown(parts.figure(traces, layout, min(700, 170 + 12 * len(known))), f"Trials: {said}.", rows)


def trade_off(spec: SweepSpec, known: Sequence[Point]) -> Shown:
    """Draw accuracy against cost; the line is the Pareto front."""
    done = [point for point in ended(known) if point.cost is not None]
    best = front(done)
    hovers = [f"{settings(point.values)}<br>{percent(point.score)}, {_cost(spec, point)}" for point in done]
    on = {point.number for point in best}
    colors = [STATE_COLORS["done"] if point.number in on else NEUTRAL for point in done]
    dots = parts.dots([point.cost for point in done], [100 * (point.score or 0) for point in done], hovers, colors)
    dots["marker"] |= {"showscale": False, "opacity": 0.9}
    line = {
        "type": "scatter",
        "mode": "lines",
        "x": [point.cost for point in best],
        "y": [100 * (point.score or 0) for point in best],
        "line": {"color": STATE_COLORS["done"], "width": 1.5, "shape": "hv"},
        "hoverinfo": "skip",
    }
    layout = {"xaxis": {"title": {"text": f"{spec.cost} per trial"}, "gridcolor": FAINT}, "yaxis": parts.accuracy(spec)}
    rows = [{"Cost": _cost(spec, point), **_row(spec, point)} for point in best]
    words = f"{len(best)} of {len(done)} settings are on the Pareto front. {_best_said(done)}"
    return Shown(parts.figure([line, dots] if done else [], layout), words, rows[:ROWS])


# Parts


def _measure(spec: SweepSpec) -> str:
    return query.measure(spec).capitalize()


def _score(spec: SweepSpec, trial: Trial) -> str:
    """Return a trial's score, and on which images."""
    return "" if trial.score is None else f", {'test' if trial.fresh else spec.chooses_by} {percent(trial.score)}"


def _order(known: Sequence[Trial]) -> list[tuple[int, int]]:
    return [(trial.number, trial.seed) for trial in sorted(known, key=lambda trial: trial.started or math.inf)]


def _middle(spans: Sequence[tuple[float, float]]) -> float:
    return statistics.median(end - start for start, end in spans)


def _mean(scores: list[float] | None) -> float | None:
    return None if not scores else 100 * statistics.fmean(scores)


def _cost(spec: SweepSpec, point: Point) -> str:
    return f"{point.cost:,.0f} gradient evaluations" if spec.cost == "gradients" else f"{point.cost:.1f} s"


def _best_said(done: Sequence[Point]) -> str:
    best = max(done, key=lambda point: point.score or 0.0, default=None)
    return f"Best: {settings(best.values)}, {percent(best.score)}." if best else "No trial has finished yet."


def _row(spec: SweepSpec, point: Point) -> dict[str, str]:
    said = {query.title(field): query.said(field, value) for field, value in point.values.items()}
    spread = "" if point.spread is None else f" ± {100 * point.spread:.1f}"
    return {**said, _measure(spec): percent(point.score).replace("%", f"{spread}%")}
