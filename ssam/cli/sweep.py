"""``python -m ssam sweep``: create, follow and control a sweep in the lab. The runner does the work, and continues without this."""

import argparse
import json
import secrets
import sys
import time
from contextlib import closing
from typing import Any, get_args

from ssam.cli import race, steer
from ssam.cli.program import PROGRAM
from ssam.cli.steer import LOOK_SECONDS, ME, print_json
from ssam.experiment import RaceSpec
from ssam.experiment.choosing import chosen_by, new_sweep
from ssam.experiment.sweep import Cost, Method, Pruning, SweepSpec, Values
from ssam.jobs.client import Client
from ssam.stats import proportion
from ssam.stats.paired import sentence
from ssam.store import Store, Sweep, Trial
from ssam.store.outcome import score_size
from ssam.store.sweep_scores import Fresh, Point, chosen, fresh, front, points, ranked, unranked

STEERS = {
    "pause": "pause this sweep and its races",
    "resume": "resume this sweep",
    "stop": "stop this sweep; unfinished trials do not count",
    "follow": "follow this sweep to its end",
    "show": "show the state of this sweep",
    "extend": "add --races, --minutes or --gradients to this sweep's budget, and follow it",
    "confirm": "train the best settings of this sweep on --fresh new seeds, beside its starting point",
    "delete": "delete this sweep; its races stay",
}


def flags(command: argparse.ArgumentParser) -> None:
    command.set_defaults(run=_run)
    command.add_argument("--vary", metavar="FIELD=…", action="append", default=[], help=(
        "FIELD=VALUE,VALUE… or FIELD=LOW..HIGH[:log][:POINTS]; repeat for each field of the race (rho) or of its lanes (lane1.rho)"
    ))  # fmt: skip
    command.add_argument(
        "--method", choices=get_args(Method), default="grid", help="all combinations, or Optuna's TPE (default grid)"
    )
    command.add_argument("--lane", metavar="X", help="the lane that is trained, alone: its number from 1, or its name")
    command.add_argument("--cost", choices=get_args(Cost), help="also minimise this cost: search for the Pareto front")
    command.add_argument(
        "--pruning", choices=get_args(Pruning), default="none", help="stop trials that fall behind (default none)"
    )
    command.add_argument("--seeds", metavar="N", default=1, help="seeds per combination (default 1)")
    command.add_argument("--races", metavar="N", help="maximum number of trials")
    command.add_argument("--minutes", metavar="X", help="maximum minutes of training, all trials together")
    command.add_argument("--gradients", metavar="N", help="maximum forward+backward passes, all trials together")
    command.add_argument("--fresh", metavar="N", type=int, help="at the end, confirm the best on N fresh seeds")
    steer.flags(command, STEERS, "sweep")
    race.settings(command)


def _run(options: argparse.Namespace) -> int:
    with closing(Store()) as store:
        client = Client(store)
        if options.list:
            for sweep in store.sweeps.of(None):
                print(json.dumps(_about(store, sweep)) if options.json else _line(store, sweep), flush=True)
            return 0
        action = steer.asked(options, STEERS)
        try:
            if action is None:
                return _start(client, options)
            return _steer(client, options, action)
        except RuntimeError as error:  # no runner starts
            raise ValueError(str(error)) from None


def spec_of(options: argparse.Namespace) -> SweepSpec:
    """Return the sweep of the flags. Raise ValueError, one line."""
    base = race.spec_of(options)
    values: dict[str, object] = {"base": _one_lane(base, options.lane), "vary": options.vary}
    for name in ("method", "cost", "pruning", "seeds", "races", "minutes", "gradients"):
        values[name] = getattr(options, name)
    if not options.vary:
        raise ValueError("vary at least one setting, as in --vary rho=0.05,0.1,0.2")
    return new_sweep(values)


def _one_lane(base: RaceSpec, named: str | None) -> RaceSpec:
    """Return the race with only the lane that is swept."""
    names = {**{str(number): number - 1 for number in range(1, len(base.lanes) + 1)}}
    names |= {name: index for index, name in enumerate(base.lane_names)}
    if named is None and len(base.lanes) == 1:
        named = "1"
    if named is None or named not in names:
        problem = "this race has several" if named is None else f"{named[:40]!r} does not exist"
        raise ValueError(f"lane: {problem}; allowed: 1 to {len(base.lanes)}, or {', '.join(base.lane_names)}")
    return base.model_copy(update={"lanes": (base.lanes[names[named]],)})


def _start(client: Client, options: argparse.Namespace) -> int:
    if options.fresh is not None and options.fresh < 2:
        raise ValueError(f"fresh '{options.fresh}' must be a whole number from 2 to 50")
    spec = spec_of(options)
    client.store.uploads.check(spec.base.data)
    if spec.base.data:
        sized = race.sized(spec.base, client.store.image_root / spec.base.data)
        spec = spec.model_copy(update={"base": sized})
    sweep_id = client.sweeps.start(spec, secrets.token_urlsafe(16), ME)
    print(f"{PROGRAM} sweep: {chosen_by(spec)}", file=sys.stderr, flush=True)
    _tell(options, {"event": "sweep", "id": sweep_id, "validation": spec.base.validation}, sweep_id)
    if options.detach:
        return 0
    reported: set[tuple[int, int]] = set()
    status = _follow(client, sweep_id, options, reported)
    if status == 0 and options.fresh:
        client.sweeps.fresh(sweep_id, ME, options.fresh)
        status = _follow(client, sweep_id, options, reported)
    return _end(client, sweep_id, options) or status


def _steer(client: Client, options: argparse.Namespace, action: str) -> int:
    sweep_id = steer.find(client.store.sweeps.of(None, 1000), getattr(options, action), "sweep")
    if action in ("pause", "resume", "stop", "delete"):
        getattr(client.sweeps, action)(sweep_id, ME)
        if action == "delete":
            return 0
    elif action == "extend":
        more = {name: _amount(options, name) for name in ("races", "minutes", "gradients")}
        client.sweeps.extend(sweep_id, ME, int(more["races"]), more["minutes"], int(more["gradients"]))
    elif action == "confirm":
        client.sweeps.fresh(sweep_id, ME, options.fresh or 5)
    if action in ("follow", "extend", "confirm") and not options.detach:
        _follow(client, sweep_id, options, set())
    return _end(client, sweep_id, options)


def _amount(options: argparse.Namespace, name: str) -> float:
    text = getattr(options, name) or "0"
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{name} {text[:40]!r} must be a number above 0") from None


def _follow(client: Client, sweep_id: str, options: argparse.Namespace, reported: set[tuple[int, int]]) -> int:
    """Print every trial that ends, by number and seed, once, until the sweep has ended; return 1 if it has no result."""
    store, bar = client.store, race.Progress(sys.stderr.isatty())
    try:
        while True:
            client.runner.ensure()
            sweep = store.sweeps.get(sweep_id)
            if sweep is None:
                raise ValueError("this sweep has been deleted meanwhile")
            trials = store.sweeps.trials(sweep_id)
            for trial in trials:
                if trial.state != "open" and (key := (trial.number, trial.seed)) not in reported:
                    reported.add(key)
                    bar.clear()
                    _tell(options, {"event": "trial", **_trial(sweep.spec, trial)}, None, _said(sweep.spec, trial))
            over = [trial for trial in trials if trial.state != "open"]
            bar.share(len(over) / max(len(trials), sweep.spec.most_races if sweep.state == "running" else 1))
            if sweep.state != "running" and len(over) == len(trials):
                break
            if sweep.state == "paused" and not any(trial.run_state in ("starting", "running") for trial in trials):
                break
            time.sleep(LOOK_SECONDS)
    except KeyboardInterrupt:
        print(f"\nssam sweep: the sweep continues; python -m ssam sweep --stop {sweep_id} stops it", file=sys.stderr)
        raise
    finally:
        bar.clear()
    return 0 if ranked(sweep.spec, trials) else 1


def _end(client: Client, sweep_id: str, options: argparse.Namespace) -> int:
    """Print the state of the sweep, as the last output."""
    sweep = client.store.sweeps.get(sweep_id)
    assert sweep is not None
    trials = client.store.sweeps.trials(sweep_id)
    if options.json:
        print_json({"event": "result", **result_of(client.store, sweep, trials)})
    else:
        print("\n".join([*trial_table(sweep, trials), *_sureness(client.store, sweep, trials)]), flush=True)
    return 0 if ranked(sweep.spec, trials) or sweep.state in ("running", "paused") else 1


def _tell(options: argparse.Namespace, event: dict[str, Any], plain: str | None, aside: str = "") -> None:
    """Print a JSON line if requested; else data to standard output, and the rest to standard error."""
    if options.json:
        print_json(event)
    elif plain is not None and options.detach:
        print(plain, flush=True)
    else:
        print(aside or f"sweep {plain}", file=sys.stderr, flush=True)


def _trial(spec: SweepSpec, trial: Trial) -> dict[str, Any]:
    names = ("number", "seed", "fresh", "values", "state", "score", "cost", "message", "run")
    return {name: getattr(trial, name) for name in names} | {f"{_measure(spec, trial)}_accuracy": trial.score}


def _measure(spec: SweepSpec, trial: Trial) -> str:
    """Return the images on which a trial's score was measured."""
    return "test" if trial.fresh else spec.chooses_by


def _values(values: Values) -> str:
    return " ".join(f"{field}={value}" for field, value in values.items())


def _said(spec: SweepSpec, trial: Trial) -> str:
    score = "" if trial.score is None else f"  {_measure(spec, trial)} accuracy {trial.score:.2%}"
    part = "  fresh" if trial.fresh else ""
    return f"{_values(trial.values):<40} seed {trial.seed:<4} {trial.state}{score}{part}  {trial.message}".rstrip()


def _about(store: Store, sweep: Sweep) -> dict[str, Any]:
    trials = store.sweeps.trials(sweep.id)
    best = next(iter(ranked(sweep.spec, trials)), None)
    about = {
        "id": sweep.id,
        "state": sweep.state,
        "created": sweep.created,
        "owner": sweep.owner,
        "message": sweep.message,
    }
    about["spec"] = sweep.spec.model_dump(mode="json", exclude_defaults=True)
    about["trials"] = {"all": len(trials), "ended": sum(trial.state != "open" for trial in trials)}
    about["chosen_by"] = sweep.spec.chooses_by
    return about | {"best": best and _best(sweep, trials, best)}


def _best(sweep: Sweep, trials: list[Trial], best: Point) -> dict[str, Any]:
    """Return the best so far, with its test accuracy once it is the chosen one."""
    facts = {"values": best.values, "score": best.score, "spread": best.spread, "cost": best.cost}
    facts[f"{sweep.spec.chooses_by}_accuracy"] = best.score
    if sweep.spec.chooses_by == "validation" and chosen(sweep, trials):
        facts |= {"test_accuracy": best.test, "gap": best.gap}
    return facts


def result_of(store: Store, sweep: Sweep, trials: list[Trial]) -> dict[str, Any]:
    tried = points(sweep.spec, trials)
    on_front = [{"values": point.values, "score": point.score, "cost": point.cost} for point in front(tried)]
    return _about(store, sweep) | {
        "settings": [_setting(point) for point in (*ranked(sweep.spec, trials), *unranked(sweep.spec, trials))],
        "images": _images(store, trials),
        "front": on_front if sweep.spec.cost else None,
        "importance": sweep.importance,
        "fresh": [_fresh(confirmed) for confirmed in fresh(trials)],
    }


def _setting(point: Point) -> dict[str, Any]:
    """Return one combination, whatever its outcome."""
    names = ("values", "state", "score", "spread", "cost")
    return {name: getattr(point, name) for name in names} | {"seeds": len(point.trials)}


def _images(store: Store, trials: list[Trial]) -> int | None:
    """Return on how many images a score is measured; None if unknown."""
    runs = store.runs.get_many([trial.run for trial in trials if trial.run and not trial.fresh][:1])
    return next((score_size(run) for run in runs.values()), None)


def _sureness(store: Store, sweep: Sweep, trials: list[Trial]) -> list[str]:
    """Return the interval of the best score from the number of its images; no line if unknown."""
    best, size = next(iter(ranked(sweep.spec, trials)), None), _images(store, trials)
    if best is None or not size:
        return []
    margin = proportion.margin(best.score, size, 2)
    return [
        f"Each accuracy is on {size:,} images: {proportion.LEVEL} interval of the best {margin} from their number alone"
    ]


def _fresh(confirmed: Fresh) -> dict[str, Any]:
    about = {
        "values": confirmed.values,
        "selected": confirmed.selected,
        "mean": confirmed.mean,
        "spread": confirmed.spread,
        "open": confirmed.open,
    }
    interval = confirmed.compared.interval and [end / 100 for end in confirmed.compared.interval]
    about |= {"scores": confirmed.scores, "standard": confirmed.standard, "interval": interval}
    about |= {"verdict": confirmed.compared.verdict, "finding": confirmed.is_finding}
    return about


def _line(store: Store, sweep: Sweep) -> str:
    about = _about(store, sweep)
    best = "" if about["best"] is None else f"best {about['best']['score']:.2%} at {_values(about['best']['values'])}"
    vary = " ".join(map(str, sweep.spec.vary))
    return f"{sweep.id:<24}{sweep.state:<10}{about['trials']['ended']:>4} trials  {vary}  {best}".rstrip()


def trial_table(sweep: Sweep, trials: list[Trial]) -> list[str]:
    fields = [vary.field for vary in sweep.spec.vary]
    line = "".join(f"{{:<{max(14, len(field) + 2)}}}" for field in fields) + "{:>8}{:>22}{:>12}"
    lines = [line.format(*fields, "seeds", f"{sweep.spec.chooses_by} accuracy", sweep.spec.cost or "")]
    for point in ranked(sweep.spec, trials)[:20]:
        spread = "" if point.spread is None else f" ± {100 * point.spread:.2f}"
        cost = "" if point.cost is None else f"{point.cost:,.1f}"
        values = [str(point.values[field]) for field in fields]
        lines.append(line.format(*values, len(point.trials), f"{100 * (point.score or 0):.2f}{spread}%", cost).rstrip())
    if len(lines) == 1:
        lines.append("no trial has finished")
    for point in unranked(sweep.spec, trials):
        values = [str(point.values[field]) for field in fields]
        lines.append(line.format(*values, len(point.trials), point.state, "").rstrip())
    lines.append(chosen_by(sweep.spec))
    if (best := chosen(sweep, trials)) and best.gap is not None and sweep.spec.chooses_by == "validation":
        gap = f"validation − test {100 * best.gap:+.2f} points"
        lines.append(f"chosen: {_values(best.values)}, test accuracy {100 * (best.test or 0):.2f}%, {gap}")
    lines += [_verdict(sweep, confirmed) for confirmed in fresh(trials)]
    if len(ranked(sweep.spec, trials)) > 1 and not fresh(trials):
        lines.append("The best of many is probably optimistic: --confirm ID trains it on fresh seeds.")
    return lines


def _verdict(sweep: Sweep, confirmed: Fresh) -> str:
    head = f"{_values(confirmed.values)}: chosen at {confirmed.selected:.2%} {sweep.spec.chooses_by} accuracy"
    if confirmed.mean is None or confirmed.open:
        return f"{head}; {confirmed.open} races on fresh seeds have not ended"
    spread = "" if confirmed.spread is None else f" ± {100 * confirmed.spread:.2f}"
    head += f"; test accuracy on {len(confirmed.scores)} fresh seeds {100 * confirmed.mean:.2f}{spread}%"
    verdict = sentence("The chosen setting", "the starting point", confirmed.compared)
    return f"{head}. {verdict}{' A finding.' * confirmed.is_finding}"
