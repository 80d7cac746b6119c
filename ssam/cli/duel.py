"""``python -m ssam duel``: two or more methods, each tuned by the same rule, then judged on fresh seeds. The runner does the work."""

import argparse
import json
import secrets
import statistics
import sys
import time
from contextlib import closing
from typing import Any

from ssam.cli import race
from ssam.experiment.duel import DuelSpec, new_duel
from ssam.experiment.sweep import Values
from ssam.jobs.client import Client
from ssam.methods import METHODS
from ssam.stats.verdict import explanation
from ssam.store import Person, Store
from ssam.store.duels import Duel, Standing
from ssam.store.schema import finite

ME = Person("command-line", teacher=True)  # who may read the home folder may do everything in it
LOOK_SECONDS = 0.3
Costs = dict[
    int, tuple[int, float] | None
]  # gradients and seconds to the target by fresh seed, None where it was never reached
STEERS = {
    "pause": "pause this duel and its races",
    "resume": "resume this duel",
    "stop": "stop this duel; trials that have not finished do not count",
    "follow": "follow this duel to its end",
    "show": "print how this duel stands",
    "delete": "forget this duel; its sweeps and races stay",
}


def flags(command: argparse.ArgumentParser) -> None:
    command.set_defaults(run=_run)
    command.add_argument("--trials", metavar="N", default=8, help="trials of each search (default 8)")
    command.add_argument(
        "--fresh",
        metavar="N",
        default=5,
        help="rounds: in each a search per method, and a fresh seed that judges its winner (default 5)",
    )
    command.add_argument(
        "--margin", metavar="X", default=1.0, help="points below which a gain is not worth the cost (default 1)"
    )
    command.add_argument("--target", metavar="X", help="test accuracy, 0-1, whose cost is compared (default: see docs)")
    command.add_argument(
        "--space",
        metavar="LANE:FIELD=…",
        action="append",
        default=[],
        help="replace or add one setting of a search space",
    )
    command.add_argument("--detach", action="store_true", help="start it, print its id and leave")
    command.add_argument("--json", action="store_true", help="one JSON object a line; the last one is the result")
    steer = command.add_mutually_exclusive_group()
    steer.add_argument("--list", action="store_true", help="the duels of the lab, newest first")
    for name, about in STEERS.items():
        steer.add_argument(f"--{name}", metavar="ID", help=about)
    race.settings(command)


def _run(options: argparse.Namespace) -> int:
    with closing(Store()) as store:
        client = Client(store)
        if options.list:
            for duel in store.duels.of(None):
                print(
                    json.dumps(_about(duel))
                    if options.json
                    else f"{duel.id:<24}{duel.state:<10}{' vs '.join(duel.spec.names)}"
                )
            return 0
        action = next((name for name in STEERS if getattr(options, name)), None)
        try:
            return _start(client, options) if action is None else _steer(client, options, action)
        except RuntimeError as error:  # no runner comes up
            raise ValueError(str(error)) from None


def spec_of(options: argparse.Namespace) -> DuelSpec:
    """The duel that the flags ask for. Raises ValueError, one line."""
    base = race.spec_of(options)
    return new_duel(base, base.lanes, options.space, trials=options.trials, seeds=options.fresh, margin=options.margin)


def _start(client: Client, options: argparse.Namespace) -> int:
    _target(options)
    spec = spec_of(options)
    client.store.uploads.check(spec.base.data)
    if spec.base.data:
        sized = race.sized(spec.base, client.store.image_root / spec.base.data)
        spec = spec.model_copy(update={"base": sized})
    duel_id = client.duels.start(spec, secrets.token_urlsafe(16), ME)
    for place, contender in enumerate(spec.contenders):
        space = ", ".join(map(str, contender.vary))
        print(
            f"ssam duel: {spec.names[place]}: {spec.seeds} × {spec.trials} trials over {space}",
            file=sys.stderr,
            flush=True,
        )
    if options.json:
        print(json.dumps({"event": "duel", "id": duel_id}), flush=True)
    elif options.detach:
        print(duel_id, flush=True)
    return 0 if options.detach else _follow(client, duel_id, options)


def _steer(client: Client, options: argparse.Namespace, action: str) -> int:
    duel_id = _find(client.store, getattr(options, action))
    if action in ("pause", "resume", "stop", "delete"):
        getattr(client.duels, action)(duel_id, ME)
        if action == "delete":
            return 0
    if action == "follow":
        return _follow(client, duel_id, options)
    return _print(client.store, duel_id, options)


def _find(store: Store, named: str) -> str:
    fitting = [
        duel.id
        for duel in store.duels.of(None, 1000)
        if duel.id == named or (len(named) >= 4 and duel.id.startswith(named))
    ]
    if len(fitting) != 1:
        raise ValueError(f"there is no duel {named[:40]!r} here; --list names them")
    return fitting[0]


def _target(options: argparse.Namespace) -> float | None:
    if options.target is None:
        return None
    try:
        target = float(options.target)
    except ValueError:
        target = -1.0
    if not 0 < target < 1:
        raise ValueError(f"target {options.target[:40]!r} must be a number above 0 and below 1")
    return target


def _follow(client: Client, duel_id: str, options: argparse.Namespace) -> int:
    """Print progress until the duel is over, then the result."""
    store, bar = client.store, race.Progress(sys.stderr.isatty())
    try:
        while True:
            client.runner.ensure()
            duel = store.duels.get(duel_id)
            if duel is None:
                raise ValueError("this duel has been deleted")
            if duel.state != "running":
                break
            bar.share(progress(duel.spec, store.duels.standings(duel)))
            time.sleep(LOOK_SECONDS)
    except KeyboardInterrupt:
        print(f"\nssam duel: the duel continues; python -m ssam duel --stop {duel_id} stops it", file=sys.stderr)
        raise
    finally:
        bar.clear()
    return _print(store, duel_id, options)


def progress(spec: DuelSpec, standings: list[Standing]) -> float:
    """The share of all trainings that have ended, 0–1."""
    ended = sum(each.searched + len(each.test) + each.lost for each in standings)
    return min(1.0, ended / (len(spec.contenders) * spec.seeds * (spec.trials + 1)))


def _print(store: Store, duel_id: str, options: argparse.Namespace) -> int:
    duel = store.duels.get(duel_id)
    assert duel is not None
    standings = store.duels.standings(duel)
    target = _target(options) or default_target(standings)
    reached = [store.duels.to_target(duel, place, target) if target else {} for place in range(len(standings))]
    if options.json:
        result = {"event": "result", **_about(duel), "target": target}
        result["contenders"] = [_contender(each, costs) for each, costs in zip(standings, reached, strict=True)]
        print(json.dumps(finite(result), allow_nan=False), flush=True)
    else:
        print("\n".join(_table(duel, standings, target, reached)), flush=True)
    return 0 if duel.state in ("finished", "running", "paused") else 1


def default_target(standings: list[Standing]) -> float | None:
    """The accuracy whose cost is compared unless another is asked for: one point below the worst winner, so that all reach it at the end
    of a typical seed; None before there are results."""
    means = [each.mean for each in standings]
    return None if not means or None in means else min(mean for mean in means if mean is not None) - 0.01


def _about(duel: Duel) -> dict[str, Any]:
    spec = duel.spec.model_dump(mode="json", exclude_defaults=True)
    return {"id": duel.id, "state": duel.state, "created": duel.created, "message": duel.message, "spec": spec}


def _contender(each: Standing, costs: Costs) -> dict[str, Any]:
    rounds = {
        turn: {"settings": point.values, "validation_accuracy": point.score} for turn, point in each.winners.items()
    }
    about: dict[str, Any] = {"name": each.name, "searched": each.searched, "winners": rounds}
    about |= {"test_accuracy": each.test, "mean": each.mean, "spread": each.spread, "lost": each.lost}
    about |= {"gradients": each.gradients, "seconds": each.seconds}
    about |= {"search_gradients": each.search_gradients, "search_minutes": each.search_minutes}
    about["to_target"] = costs
    if each.compared is not None:
        about |= {"difference": each.compared.mean, "interval": each.compared.interval, "answer": each.answer}
    return about


def _table(duel: Duel, standings: list[Standing], target: float | None, reached: list[Costs]) -> list[str]:
    line = "{:<16}{:>9}{:>20}{:>12}{:>10}{:>18}"
    to = f"to {100 * target:.1f}%" if target is not None else "to target"
    lines = [line.format("method", "trials", "test accuracy", "gradients", "seconds", to)]
    for each, costs in zip(standings, reached, strict=True):
        accuracy = "–" if each.mean is None else f"{100 * each.mean:.2f}%"
        accuracy += "" if each.spread is None else f" ± {100 * each.spread:.2f}"
        gradients = f"{statistics.median(each.gradients.values()):,.0f}" if each.gradients else "–"
        seconds = f"{statistics.median(each.seconds.values()):.1f}" if each.seconds else "–"
        lines.append(line.format(each.name, each.searched, accuracy, gradients, seconds, _reached(costs)))
    for each in standings:
        lines += [f"{each.name}, round {turn + 1}: {_values(point.values)}" for turn, point in each.winners.items()]
    if duel.state != "finished":
        return [*lines, f"{duel.state}: {duel.message}" if duel.message else f"{duel.state}; no answer yet"]
    titles = [METHODS[contender.lane.method].title for contender in duel.spec.contenders]
    for each, title in zip(standings[1:], titles[1:], strict=True):
        assert each.compared is not None
        lines.append(explanation(title, titles[0], each.compared, duel.spec.margin))
    return lines


def _reached(costs: Costs) -> str:
    """The median gradients to the target, and how many seeds reach it where not all do."""
    reached = [cost[0] for cost in costs.values() if cost is not None]
    if not costs or not reached:
        return "never" if costs else "–"
    share = "" if len(reached) == len(costs) else f" ({len(reached)} of {len(costs)})"
    return f"{statistics.median(reached):,.0f}{share}"


def _values(values: Values) -> str:
    return " ".join(
        f"{field.removeprefix('lane1.')}={value:.3g}" if isinstance(value, float) else f"{field}={value}"
        for field, value in values.items()
    )
