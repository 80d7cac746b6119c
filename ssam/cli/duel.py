"""``python -m ssam duel``: two or more methods, each tuned by the same rule, then judged on fresh seeds. The runner does the work."""

import argparse
import json
import secrets
import sys
import time
from contextlib import closing
from pathlib import Path

from ssam.cli import race, steer
from ssam.cli.program import PROGRAM
from ssam.cli.steer import LOOK_SECONDS, ME, print_json
from ssam.experiment.duel import BASELINE, RIVALS, DuelSpec, new_duel
from ssam.export import duel as export
from ssam.jobs.client import Client
from ssam.store import Store
from ssam.store.duels import Duel, Standing

STEERS = {
    "pause": "pause this duel and its races",
    "resume": "resume this duel",
    "stop": "stop this duel; trials that have not finished do not count",
    "follow": "follow this duel to its end",
    "show": "print how this duel stands",
    "delete": "forget this duel; its races stay",
}


def flags(command: argparse.ArgumentParser) -> None:
    command.set_defaults(run=_run)
    command.add_argument("--trials", metavar="N", default=5, help="trials of each search (default 5)")
    command.add_argument(
        "--fresh",
        metavar="N",
        default=5,
        help="rounds: in each a search per method, and a fresh seed that judges its winner (default 5)",
    )
    command.add_argument(
        "--margin", metavar="X", default=1.0, help="the gain worth having, in percentage points (default 1)"
    )
    command.add_argument(
        "--target", metavar="X", help="test accuracy, 0-1, whose cost is compared (default: 0.01 below the worst mean)"
    )
    command.add_argument(
        "--space",
        metavar="LANE:FIELD=…",
        action="append",
        default=[],
        help="replace or add one setting of a search space",
    )
    command.add_argument("--save", metavar="FILE", help="also write the result to FILE: .html, .csv or .json")
    steer.flags(command, STEERS, "duel")
    race.settings(command)


def _run(options: argparse.Namespace) -> int:
    with closing(Store()) as store:
        client = Client(store)
        if options.list:
            for duel in store.duels.of(None):
                print(
                    json.dumps(export.about(duel))
                    if options.json
                    else f"{duel.id:<24}{duel.state:<10}{' vs '.join(duel.spec.names)}"
                )
            return 0
        action = steer.asked(options, STEERS)
        try:
            return _start(client, options) if action is None else _steer(client, options, action)
        except RuntimeError as error:  # no runner comes up
            raise ValueError(str(error)) from None


def spec_of(options: argparse.Namespace) -> DuelSpec:
    """The duel that the flags ask for. Raises ValueError, one line."""
    if not (options.preset or options.lanes):
        options.lanes = ",".join((BASELINE, *RIVALS))
    base = race.spec_of(options)
    return new_duel(base, base.lanes, options.space, trials=options.trials, seeds=options.fresh, margin=options.margin)


def _start(client: Client, options: argparse.Namespace) -> int:
    _target(options)
    _form(options)
    spec = spec_of(options)
    client.store.uploads.check(spec.base.data)
    if spec.base.data:
        sized = race.sized(spec.base, client.store.image_root / spec.base.data)
        spec = spec.model_copy(update={"base": sized})
    duel_id = client.duels.start(spec, secrets.token_urlsafe(16), ME)
    for place, contender in enumerate(spec.contenders):
        space = ", ".join(map(str, contender.vary))
        print(
            f"{PROGRAM} duel: {spec.names[place]}: {spec.seeds} × {spec.trials} trials over {space}",
            file=sys.stderr,
            flush=True,
        )
    if options.json:
        print_json({"event": "duel", "id": duel_id})
    elif options.detach:
        print(duel_id, flush=True)
    return 0 if options.detach else _follow(client, duel_id, options)


def _steer(client: Client, options: argparse.Namespace, action: str) -> int:
    _target(options)
    _form(options)
    duel_id = steer.find(client.store.duels.of(None, 1000), getattr(options, action), "duel")
    if action in ("pause", "resume", "stop", "delete"):
        getattr(client.duels, action)(duel_id, ME)
        if action == "delete":
            return 0
    if action == "follow":
        return _follow(client, duel_id, options)
    return _print(client.store, duel_id, options)


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
    target = _target(options)
    if options.json:
        print_json({"event": "result", **export.result(store, duel, target)})
    else:
        print("\n".join(_table(store, duel, target)), flush=True)
    if options.save:
        form = _form(options)
        Path(options.save).write_text(export.FORMATS[form](store, duel), encoding="utf-8")
        print(f"{PROGRAM} duel: saved {options.save}", file=sys.stderr)
    return 0 if duel.state in ("finished", "running", "paused") else 1


def _form(options: argparse.Namespace) -> str:
    """The kind of file that --save names, "" without it. Raises ValueError."""
    if not options.save:
        return ""
    form = Path(options.save).suffix[1:].lower()
    if form not in export.FORMATS:
        raise ValueError(
            f"save {options.save[:60]!r} must end in one of: {', '.join(f'.{name}' for name in export.FORMATS)}"
        )
    return form


def _table(store: Store, duel: Duel, target: float | None) -> list[str]:
    standings = store.duels.standings(duel)
    target = target or export.default_target(standings)
    line = "{:<16}{:>9}{:>20}{:>12}{:>10}{:>24}"
    to = f"gradients to {100 * target:.1f}%" if target else "gradients to target"
    lines = [line.format("method", "trials", "test accuracy", "gradients", "seconds", to)]
    for place, each in enumerate(standings):
        costs = store.duels.to_target(duel, place, target) if target else {}
        cells = (export.accuracy(each), *export.medians(each), export.reached(costs))
        lines.append(line.format(each.name, each.searched, *cells))
    for each in standings:
        lines += [
            f"{each.name}, round {turn + 1}: {export.settings(point.values)}" for turn, point in each.winners.items()
        ]
    if duel.state != "finished":
        return [*lines, f"{duel.state}: {duel.message}" if duel.message else f"{duel.state}; no answer yet"]
    return lines + export.verdicts(duel, standings)
