"""What can be taken away of a duel: its result as JSON, all its trainings as CSV, a report as one HTML file."""

import csv
import io
import json
import statistics
from collections.abc import Callable, Iterable, Sequence
from html import escape
from typing import Any

from ssam.experiment.duel import DuelSpec, rule
from ssam.experiment.sweep import Values
from ssam.export.report_style import STYLE
from ssam.stats.paired import points
from ssam.stats.verdict import explanation
from ssam.store import Store
from ssam.store.duels import Duel, Standing
from ssam.store.schema import finite
from ssam.styles import lane_titles

Costs = dict[
    int, tuple[int, float] | None
]  # gradients and seconds to the target by fresh seed, None where it was never reached


def default_target(standings: Sequence[Standing]) -> float | None:
    """The accuracy whose cost is compared unless another is asked for: one point below the worst winner, so that all reach it at the end
    of a typical seed; None before there are results."""
    means = [each.mean for each in standings if each.mean is not None]
    return max(0.0, min(means) - 0.01) if len(means) == len(standings) else None


def about(duel: Duel) -> dict[str, Any]:
    """What a duel is."""
    spec = duel.spec.model_dump(mode="json", exclude_defaults=True)
    return {"id": duel.id, "state": duel.state, "created": duel.created, "message": duel.message, "spec": spec}


def result(store: Store, duel: Duel, target: float | None = None) -> dict[str, Any]:
    """How a duel stands. ``target`` is a test accuracy, 0–1, whose cost is compared; ``default_target`` without one."""
    standings = store.duels.standings(duel)
    target = target or default_target(standings)
    told = {**about(duel), "rule": rule(duel.spec), "target": target, "margin": duel.spec.margin}
    told["contenders"] = [
        _contender(each, store.duels.to_target(duel, place, target) if target else {})
        for place, each in enumerate(standings)
    ]
    return {**told, "verdicts": verdicts(duel, standings)}


def _contender(each: Standing, costs: Costs) -> dict[str, Any]:
    rounds = {
        turn: {"settings": point.values, "validation_accuracy": point.score} for turn, point in each.winners.items()
    }
    told: dict[str, Any] = {"name": each.name, "searched": each.searched, "winners": rounds}
    told |= {"test_accuracy": each.test, "mean": each.mean, "spread": each.spread, "lost": each.lost}
    told |= {"gradients": each.gradients, "seconds": each.seconds}
    told |= {"search_gradients": each.search_gradients, "search_minutes": each.search_minutes}
    told |= {"to_target": costs, "differences": each.differences}
    if each.compared is not None:
        told |= {"difference": each.compared.mean, "interval": each.compared.interval, "answer": each.answer}
    return told


def verdicts(duel: Duel, standings: Sequence[Standing]) -> list[str]:
    """The answer about each rival, in words; none before the duel is finished."""
    titles, spec = lane_titles(duel.spec.base), duel.spec
    return [
        explanation(title, titles[0], each.compared, spec.margin, spec.seeds)
        for each, title in zip(standings[1:], titles[1:], strict=True)
        if each.compared is not None
    ]


def settings(values: Values) -> str:
    """
    >>> settings({"lr": 0.12345, "lane1.rho": 0.1})
    'lr=0.123 rho=0.1'
    """
    return " ".join(
        f"{field.removeprefix('lane1.')}={value:.3g}"
        if isinstance(value, float)
        else f"{field.removeprefix('lane1.')}={value}"
        for field, value in values.items()
    )


def reached(costs: Costs) -> str:
    """The median gradients to the target, and how many seeds reach it where not all do."""
    found = [cost[0] for cost in costs.values() if cost is not None]
    if not found:
        return "never" if costs else "–"
    share = "" if len(found) == len(costs) else f" ({len(found)} of {len(costs)} rounds)"
    return f"{statistics.median(found):,.0f}{share}"


def as_json(store: Store, duel: Duel) -> str:
    return json.dumps(finite(result(store, duel)), allow_nan=False, indent=1) + "\n"


def as_csv(store: Store, duel: Duel) -> str:
    """A line for each training. Test accuracies of a search are left out: nothing is chosen or judged by them."""
    lines = []
    for place, name in enumerate(duel.spec.names):
        for turn, sweep in enumerate(store.duels.searches(duel, place)):
            for trial in store.sweeps.trials(sweep.id):
                end = store.sweeps.ending(trial.run, 0) if trial.run else None
                line: dict[str, Any] = {
                    "method": name,
                    "round": turn + 1,
                    "part": "judged" if trial.fresh else "search",
                }
                line |= {"trial": trial.number, "seed": trial.seed, "state": trial.state}
                line |= {field.removeprefix("lane1."): value for field, value in trial.values.items()}
                line["validation_accuracy"] = end.validation if end else None if trial.fresh else trial.score
                line["test_accuracy"] = trial.score if trial.fresh else None
                line |= {
                    "gradients": end and end.gradients,
                    "seconds": end and round(end.seconds, 3),
                    "race": trial.run,
                }
                lines.append(line)
    columns = list(dict.fromkeys(column for line in lines for column in line))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()


def as_html(store: Store, duel: Duel) -> str:
    """The report: answer, differences, cost, settings, rule. Nothing in it is fetched or run."""
    standings, titles = store.duels.standings(duel), lane_titles(duel.spec.base)
    target = default_target(standings)
    sections = [
        ("Differences by round, in percentage points", _differences(duel.spec, standings, titles)),
        ("Results and cost", _costs(store, duel, standings, titles, target)),
        ("What each method was tuned to", _winners(standings, titles)),
        ("Search spaces", _table(("Method", "Settings"), _spaces(duel.spec, titles))),
        ("Rule", "<ul>" + "".join(f"<li>{escape(line)}</li>" for line in rule(duel.spec)) + "</ul>"),
        ("Again", f"<pre>{escape(command(duel.spec))}</pre>"),
    ]
    said = verdicts(duel, standings) or [duel.message or f"No answer: this duel is {duel.state}."]
    head = f"{' against '.join(reversed(titles))}: tuned alike"
    body = "".join(f"<section><h2>{escape(title)}</h2>{inside}</section>" for title, inside in sections)
    lead = "".join(f"<p class=lead>{escape(line)}</p>" for line in said)
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{policy}">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><title>{escape(head)}</title><style>{STYLE}</style></head>'
        f"<body><main><h1>{escape(head)}</h1>{lead}{body}</main></body></html>\n"
    )


FORMATS: dict[str, Callable[[Store, Duel], str]] = {"html": as_html, "csv": as_csv, "json": as_json}


def command(spec: DuelSpec) -> str:
    """The command that runs this duel again, with its search spaces."""
    base = spec.base.to_strings()
    flags = [f"--{name.replace('_', '-')} {value}" for name, value in base.items()]
    spaces = [
        f"--space '{place}:{str(vary).removeprefix('lane1.')}'"
        for place, contender in enumerate(spec.contenders, 1)
        for vary in contender.vary
    ]
    limits = [f"--trials {spec.trials}", f"--fresh {spec.seeds}", f"--margin {spec.margin:g}"]
    return " ".join(["python -m ssam duel", *flags, *limits, *spaces])


def _differences(spec: DuelSpec, standings: Sequence[Standing], titles: Sequence[str]) -> str:
    seeds = [spec.fresh_seed(turn) for turn in range(spec.seeds)]
    rows = []
    for each, title in zip(standings[1:], titles[1:], strict=True):
        found = each.compared
        interval = (
            "–" if found is None or found.interval is None else " to ".join(points(end, True) for end in found.interval)
        )
        mean = "–" if found is None or found.mean is None else points(found.mean, True)
        own = [points(each.differences[seed], True) if seed in each.differences else "–" for seed in seeds]
        rows.append([f"{title} − {titles[0]}", *own, mean, interval])
    return _table(("", *(f"Round {turn + 1}" for turn in range(spec.seeds)), "Mean", "95% interval"), rows)


def _costs(store: Store, duel: Duel, standings: Sequence[Standing], titles: Sequence[str], target: float | None) -> str:
    to = f"Gradients to {100 * target:.1f}%" if target else "Gradients to target"
    head = ("Method", "Trials", "Test accuracy", "Gradients", "Seconds", to, "All searches: gradients", "minutes")
    rows = []
    for place, (each, title) in enumerate(zip(standings, titles, strict=True)):
        costs = store.duels.to_target(duel, place, target) if target else {}
        spent = (f"{each.search_gradients:,}", f"{each.search_minutes:.1f}")
        rows.append([title, str(each.searched), accuracy(each), *medians(each), reached(costs), *spent])
    return _table(head, rows)


def accuracy(each: Standing) -> str:
    """Mean and standard deviation over the rounds, in percent."""
    spread = "" if each.spread is None else f" ± {100 * each.spread:.2f}"
    return "–" if each.mean is None else f"{100 * each.mean:.2f}%{spread}"


def medians(each: Standing) -> tuple[str, str]:
    """Gradients and seconds of a training with the winning settings."""
    gradients = f"{statistics.median(each.gradients.values()):,.0f}" if each.gradients else "–"
    return gradients, f"{statistics.median(each.seconds.values()):.1f}" if each.seconds else "–"


def _winners(standings: Sequence[Standing], titles: Sequence[str]) -> str:
    rows = [
        [title, str(turn + 1), settings(point.values), f"{100 * (point.score or 0):.2f}%"]
        for each, title in zip(standings, titles, strict=True)
        for turn, point in each.winners.items()
    ]
    return _table(("Method", "Round", "Settings", "Validation accuracy"), rows)


def _spaces(spec: DuelSpec, titles: Sequence[str]) -> list[list[str]]:
    contenders = zip(titles, spec.contenders, strict=True)
    return [[title, ", ".join(str(vary).removeprefix("lane1.") for vary in each.vary)] for title, each in contenders]


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f"<th scope=col>{escape(column)}</th>" for column in columns)
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f'<div class="wide" tabindex=0><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
