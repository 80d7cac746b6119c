"""An experiment whose question, search spaces, rule and seeds were written down before its data: ``python -m benchmarks.registered NAME``.

assets/registered/NAME.json says what is done. Every contender gets the same number of trials, drawn from its search space; a trial is one training,
scored on validation images by the rule. The best settings of each contender are then trained on the fresh seeds and judged on the test
images. Each training is on one thread. Rows go to assets/measured/registered-NAME.json as they come, so it can be stopped and taken up again;
``--table`` prints what is there.
"""

import argparse
import json
import random
import statistics
from collections.abc import Iterator
from datetime import date
from typing import Any

import torch
from torch import Tensor

from benchmarks.flatness import raced
from benchmarks.machine import machine
from ssam.analysis.context import LaneWeights
from ssam.analysis.robustness import accuracy as share_right
from ssam.analysis.runner import analyse
from ssam.catalogue import DISTURBANCES
from ssam.config import default_home
from ssam.data import load_dataset
from ssam.data.disturbances import disturbed
from ssam.experiment import ASSETS, RaceSpec, parse_spec
from ssam.experiment.analysis import parse_analysis
from ssam.models import build_model
from ssam.stats.paired import Paired, compare

FOLDER, MEASURED = ASSETS / "registered", ASSETS / "measured"
CPU = torch.device("cpu")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "name", nargs="?", default="disturbed-images", choices=sorted(p.stem for p in FOLDER.glob("*.json"))
    )
    parser.add_argument("--table", action="store_true", help="print what is there, train nothing")
    options = parser.parse_args()
    plan = json.loads((FOLDER / f"{options.name}.json").read_text(encoding="utf-8"))
    path = MEASURED / f"registered-{options.name}.json"
    record = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"trials": {}, "judged": {}}
    if not options.table:
        for _ in run(plan, record):
            about = {"command": f"python -m benchmarks.registered {options.name}", **machine(), "threads": 1}
            record |= {"first": record.get("first", str(date.today())), **about}
            path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(table(plan, record), every_table(plan, record), sep="\n\n")


def run(plan: dict[str, Any], record: dict[str, Any]) -> Iterator[None]:
    """Does what the plan says and the record does not have yet; yields after each training."""
    for name in plan["contenders"]:
        known = record["trials"].setdefault(name, [])
        for number in range(len(known), plan["trials"]):
            known.append(trial(plan, name, number))
            print(f"{name} {number}: {known[-1]}", flush=True)
            yield
    for seed in plan["seeds"]:
        for name in plan["contenders"]:
            known = record["judged"].setdefault(name, {})
            if str(seed) not in known:
                known[str(seed)] = judge(plan, name, best(record, name)["settings"], seed)
                print(f"{name}, seed {seed}: {known[str(seed)]['accuracy']}", flush=True)
                yield


def draws(plan: dict[str, Any], name: str) -> list[dict[str, str]]:
    """The settings of a contender's trials, all different: drawn by the name of the plan and of the contender alone."""
    rng, found = random.Random(f"{plan['name']} {name}"), []
    while len(found) < plan["trials"]:
        space = rng.choice(plan["contenders"][name]["space"])
        settings = {field: rng.choice(values) for field, values in space.items()}
        if settings not in found:
            found.append(settings)
    return found


def spec_of(plan: dict[str, Any], name: str, settings: dict[str, str], seed: int) -> RaceSpec:
    """The race of one lane; ``label_smoothing`` is a setting of the lane, the others are the race's."""
    smoothing = f":label_smoothing={settings['label_smoothing']}" if settings.get("label_smoothing", "0") != "0" else ""
    rest = {field: value for field, value in settings.items() if field != "label_smoothing"}
    lane = plan["contenders"][name]["lane"]
    return parse_spec({**plan["task"], "lanes": lane + smoothing, **rest, "seed": seed})


def trial(plan: dict[str, Any], name: str, number: int) -> dict[str, Any]:
    """One training of the search, and its score on validation images."""
    settings = draws(plan, name)[number]
    spec = spec_of(plan, name, settings, plan["tuning_seed"] + number)
    [result], [moment] = raced(spec)
    found = {"clean": 0.0, "disturbed": 0.0}
    if not result["diverged"]:
        images = {"clean": validation(spec), "disturbed": validation(spec, plan["disturbance"], plan["level"])}
        found = {which: accuracy(spec, moment, batches) for which, batches in images.items()}
    return {
        "settings": settings,
        "validation": found,
        "score": statistics.fmean(found.values()),
        "seconds": result["seconds"],
    }


def best(record: dict[str, Any], name: str) -> dict[str, Any]:
    """The trial with the highest score; of equal ones the first."""
    return max(record["trials"][name], key=lambda found: found["score"])


def judge(plan: dict[str, Any], name: str, settings: dict[str, str], seed: int) -> dict[str, Any]:
    """One training with a fresh seed, on clean and on disturbed test images; every disturbance on some of them."""
    spec = spec_of(plan, name, settings, seed)
    [result], [moment] = raced(spec)
    asked = parse_analysis({"kind": "robustness", "images": plan["test_images"]})
    for found in analyse(spec, asked, [moment], home=default_home(), device=CPU):
        rows = found.rows
    every = {f"{row['disturbance']} {row['level']:g}": row["accuracy"] for row in rows}
    judged = {"clean": result["test_accuracy"], "disturbed": every[f"{plan['disturbance']} {plan['level']:g}"]}
    return {"accuracy": judged, "every": every, "seconds": result["seconds"]}


def validation(spec: RaceSpec, kind: str = "", level: float = 0.0) -> list[tuple[Tensor, Tensor]]:
    """The images that a race holds out, disturbed or not."""
    data = load_dataset(spec, default_home(), progress=lambda message, share: None)
    images = data.batches(spec, CPU, channels_last=False).validation()
    return list(disturbed(images, kind, level, mean=data.mean, std=data.std, seed=0) if kind else images)


def accuracy(spec: RaceSpec, moment: LaneWeights, batches: list[tuple[Tensor, Tensor]]) -> float:
    channels, size = batches[0][0].shape[1:3]
    model = build_model(spec.model, channels=channels, classes=10, size=size, seed=0)
    model.load_state_dict(moment.weights)
    return share_right(model, batches)


def table(plan: dict[str, Any], record: dict[str, Any]) -> str:
    """In Markdown: what was chosen, and its accuracies on the fresh seeds with the paired differences to the baseline."""
    baseline = plan["baseline"]
    lines = [
        "| contender | chosen | clean % | disturbed % | clean − baseline (95%) | disturbed − baseline (95%) | seconds |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, judged in record["judged"].items():
        settings = ", ".join(f"{field} {value}" for field, value in best(record, name)["settings"].items())
        cells = [name, settings]
        values = {
            which: {seed: 100 * each["accuracy"][which] for seed, each in judged.items()}
            for which in ("clean", "disturbed")
        }
        cells += [f"{statistics.fmean(own.values()):.2f}" for own in values.values()]
        for which, own in values.items():
            theirs = {seed: 100 * each["accuracy"][which] for seed, each in record["judged"][baseline].items()}
            found = compare(own, theirs)
            cells.append("–" if name == baseline else difference(found, 2))
        cells.append(f"{statistics.median(each['seconds'] for each in judged.values()):.0f}")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def difference(found: Paired, digits: int) -> str:
    """Return a paired difference with its interval, in points; "–" if there are too few seeds."""
    if found.mean is None or found.interval is None:
        return "–"
    mean, low, high = (f"{number:+.{digits}f}".replace("-", "−") for number in (found.mean, *found.interval))
    return f"{mean} ({low} to {high})"


def every_table(plan: dict[str, Any], record: dict[str, Any]) -> str:
    """In Markdown: the accuracy under each disturbance at the level that the app shows, and its paired difference to the baseline."""
    baseline = record["judged"][plan["baseline"]]
    lines = [f"| disturbance | {' | '.join(f'{name} %' for name in record['judged'])} |"]
    lines.append("|---" * (1 + len(record["judged"])) + "|")
    for kind, each in DISTURBANCES.items():
        key, cells = f"{kind} {each.shown:g}", []
        for name, judged in record["judged"].items():
            own = {seed: 100 * found["every"][key] for seed, found in judged.items()}
            found = compare(own, {seed: 100 * other["every"][key] for seed, other in baseline.items()})
            known = name != plan["baseline"] and found.mean is not None and found.interval
            difference = f" ({found.mean:+.1f}, {known[0]:+.1f} to {known[1]:+.1f})" if known else ""
            cells.append(f"{statistics.fmean(own.values()):.1f}{difference}".replace("-", "−"))
        lines.append(f"| {each.title.lower()} {each.shown:g} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
