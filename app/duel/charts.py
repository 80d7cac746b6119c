"""The paired differences of a duel as a Plotly figure, with a sentence and a table."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from app.ui import theme
from app.ui.chart_base import FAINT, NEUTRAL
from ssam.experiment.duel import DuelSpec
from ssam.stats.paired import points
from ssam.store.duels import Standing

SHIFT = 0.16  # of a round's width, between two rivals


@dataclass(frozen=True)
class Shown:
    """A figure, what it says in a sentence, and the rows of its table."""

    figure: dict[str, Any]
    words: str
    rows: list[dict[str, str]]


def differences(spec: DuelSpec, standings: Sequence[Standing]) -> Shown:
    """A point for each round, and the mean with its interval once the duel is finished."""
    titles, styles = theme.lane_titles(spec.base), theme.lane_styles(spec.base)
    traces: list[dict[str, Any]] = []
    rows, words = [], []
    for place, each in enumerate(standings[1:], 1):
        title, shift = titles[place], SHIFT * (place - len(standings) / 2)
        own = {turn: each.differences.get(spec.fresh_seed(turn)) for turn in range(spec.seeds)}
        seen = {turn: value for turn, value in own.items() if value is not None}
        marker = {"size": 11, "color": styles[place].color, "symbol": styles[place].symbol}
        common = {"type": "scatter", "mode": "markers", "name": title}
        hover = f"{title} − {titles[0]}<br>%{{text}}<extra></extra>"
        named = [f"round {turn + 1}: {points(value, True)} points" for turn, value in seen.items()]
        x = [turn + shift for turn in seen]
        traces.append(
            {**common, "x": x, "y": list(seen.values()), "text": named, "hovertemplate": hover, "marker": marker}
        )
        row = {"": f"{title} − {titles[0]}"}
        row |= {f"Round {turn + 1}": "–" if value is None else points(value, True) for turn, value in own.items()}
        if (found := each.compared) and found.mean is not None:
            row["Mean"] = points(found.mean, True)
            row["95% interval"] = "–"
            bar: dict[str, Any] = {}
            said = f"{title}: mean {points(found.mean, True)} points"
            if found.interval:
                low, high = found.interval
                row["95% interval"] = f"{points(low, True)} to {points(high, True)}"
                bar = {
                    "type": "data",
                    "array": [high - found.mean],
                    "thickness": 3,
                    "width": 9,
                    "color": styles[place].color,
                }
                said += f", 95% interval {row['95% interval']}"
            mean = {**common, "x": [spec.seeds + shift], "y": [found.mean], "text": [said], "hovertemplate": hover}
            traces.append({**mean, "marker": {**marker, "size": 15}, **({"error_y": bar} if bar else {})})
            words.append(f"{said}.")
        else:
            words.append(f"{title}: {len(seen)} of {spec.seeds} rounds judged.")
        rows.append(row)
    ticks = [*(f"Round {turn + 1}" for turn in range(spec.seeds)), "Mean"]
    layout = {
        "height": 360,
        "margin": {"l": 56, "r": 16, "t": 20, "b": 44},
        "uirevision": "duel",
        "showlegend": False,
        "hovermode": "closest",
        "dragmode": False,
        "xaxis": {
            "tickvals": list(range(len(ticks))),
            "ticktext": ticks,
            "range": [-0.5, spec.seeds + 0.5],
            "showgrid": False,
        }
        | {"zeroline": False},
        "yaxis": {
            "title": {"text": f"points above {titles[0]}"},
            "gridcolor": FAINT,
            "zeroline": False,
            "automargin": True,
        },
        "shapes": [
            _line(0.0, spec.seeds, "solid"),
            _line(spec.margin, spec.seeds, "dot"),
            {
                "type": "line",
                "xref": "x",
                "yref": "paper",
                "x0": spec.seeds - 0.5,
                "x1": spec.seeds - 0.5,
                "y0": 0,
                "y1": 1,
            }
            | {"line": {"color": FAINT, "width": 1}},
        ],
    }
    return Shown({"data": traces, "layout": layout}, " ".join(words), rows)


def _line(height: float, rounds: int, dash: str) -> dict[str, Any]:
    """Across the whole figure: no difference, or the gain worth having."""
    ends = {"type": "line", "x0": -0.5, "x1": rounds + 0.5, "y0": height, "y1": height, "layer": "below"}
    return {**ends, "line": {"color": NEUTRAL, "width": 1.5, "dash": dash}}
