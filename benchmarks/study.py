"""The search for a sparse perturbation that pays off: accuracy versus cost, over where, along what and how often to perturb.

python -m benchmarks.study search noisy-labels       every lane of SEARCH, few seeds
python -m benchmarks.study final noisy-labels        the finalists, on seeds not used in the search
python -m benchmarks.study final noisy-colour --data cifar10.zip     own colour images in place of CIFAR-10's download
python -m benchmarks.study table noisy-labels        the results so far

Every race has an SGD lane, so that costs are paired. Each race uses one thread. Existing results are kept and missing ones are raced,
so a study can be stopped and resumed, and two tasks can run at the same time. Rows go to assets/measured/study.json.
"""

import argparse
import json
import os
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock

from app.frontier import text as frontier_text
from app.ui import tradeoff, tradeoff_sources
from benchmarks.machine import machine
from ssam.config import default_home
from ssam.engine import Race
from ssam.experiment import ASSETS, LaneSpec, RaceSpec, parse_spec, preset
from ssam.experiment.events import Result, Started

FILE = ASSETS / "measured" / "study.json"
SEARCH_SEEDS, FINAL_SEEDS = (0, 1), (10, 11, 12, 13, 14)
LANES_A_RACE = 7  # besides SGD

LESSON = {name: value for name, value in preset("noisy-labels").spec.to_strings().items() if name != "lanes"}
TASKS = {
    "noisy-labels": ("CNN-8, Fashion-MNIST, 40% wrong labels", {}),
    "noisy-resnet20": (
        "ResNet-20, Fashion-MNIST, 40% wrong labels",
        {"model": "resnet20", "train_size": "2000", "batch_size": "64", "epochs": "12"},
    ),
    "noisy-colour": ("CNN-8, CIFAR-10 images, 40% wrong labels", {"dataset": "cifar10"}),
    "clean-labels": ("CNN-8, Fashion-MNIST, all labels right", {"label_noise": "0"}),
}


def grid(lane: str, *rhos: float) -> list[str]:
    return [f"{lane}:rho={rho:g}" for rho in rhos]


EARLY, LATE = "region=early:norm=masked", "region=late:norm=masked"
SEARCH = [
    # Two full passes: the published methods and other ways to choose the weights.
    *grid("sam", 0.1, 0.2, 0.3),
    *grid("ssam-f", 0.15, 0.25),
    *grid("ssam-d", 0.2, 0.3),
    *grid("ssam:score=random", 0.2, 0.3),
    *grid("ssam:score=magnitude", 0.2, 0.3),
    *grid("ssam:score=gradient", 0.15, 0.25),
    *grid("ssam-f:granularity=tensor", 0.15, 0.25),
    *grid("ssam-f:granularity=block", 0.15, 0.25),
    *grid("ssam-f:granularity=n-of-4", 0.15, 0.25),
    *grid("ssam-f:sparsity=0.8", 0.25, 0.4),
    *grid("ssam-f:sparsity=0.95", 0.4),
    # Exact and cheaper: prefix reuse and partial backward.
    *grid(f"sam:{EARLY}", 0.1, 0.2),
    *grid(f"sam:{LATE}", 0.2, 0.5),
    *grid("sam:region=norm:norm=masked", 0.1, 0.3),
    *(lane for k in (2, 3, 4, 5) for lane in grid(f"sam:region=from-{k}:norm=masked", 0.2, 0.4)),
    *grid("ssam:score=fisher-per-cost:granularity=block:norm=masked", 0.2, 0.4),
    *grid("ssam-f:granularity=block:norm=masked", 0.2),
    *grid("ssam-f:granularity=tensor:norm=masked", 0.2),
    # Part of the batch, part of the steps.
    *grid("sam:ascent_batch=32", 0.2, 0.3),
    *grid("sam:ascent_batch=16", 0.2, 0.3),
    *grid("ssam-f:ascent_batch=32", 0.25, 0.35),
    *grid(f"sam:ascent_batch=16:{EARLY}", 0.2, 0.3),
    *grid("sam:ascent_interval=2", 0.2, 0.3),
    *grid("sam:ascent_interval=4", 0.3),
    *grid("sam:ascent_batch=16:ascent_interval=2", 0.3, 0.4),
    *grid("sam:ascent_batch=16:ascent_interval=4", 0.3, 0.5),
    *grid(f"sam:ascent_batch=8:ascent_interval=2:{EARLY}", 0.3),
    # No pass at all: the last gradient, the momentum buffer.
    *grid("sam:direction=last", 0.2, 0.3, 0.4),
    *grid(f"sam:direction=last:{EARLY}", 0.1, 0.2, 0.3, 0.4),
    *grid("ssam-f:direction=last", 0.3, 0.4),
    *grid("ssam:score=random:direction=last", 0.3, 0.4),
    *grid("sam:direction=momentum", 1, 1.4, 2),
    *grid(f"sam:direction=momentum:{EARLY}", 0.7, 1, 1.4, 2),
    *grid(f"sam:direction=momentum:{LATE}", 1, 1.4),
    *grid("sam:direction=momentum:region=from-3:norm=masked", 1.4),
    *grid("sam:direction=momentum:region=norm:norm=masked", 0.5),
    *grid("ssam-f:direction=momentum", 1, 1.4, 2),
    *grid("ssam-f:direction=momentum:norm=masked", 1.4),
    *grid("ssam-f:direction=momentum:sparsity=0.8", 1.4, 2),
    *grid("ssam:score=random:direction=momentum", 1.4, 2),
    *grid("ssam:score=magnitude:direction=momentum", 1.4, 2),
    *grid("ssam:score=gradient:direction=momentum", 1.4),
    *grid("ssam:score=random:direction=momentum:sparsity=0.8:norm=masked", 1.4),
    *grid(f"ssam:direction=momentum:sparsity=0.8:{EARLY}", 1.4),
    *grid(f"sam:direction=momentum:ascent_interval=2:{EARLY}", 1.4, 2),
]  # fmt: skip

FINALISTS = [
    "sam:rho=0.1",
    "ssam-f:rho=0.15",
    "ssam:rho=1.4:norm=masked:region=early:direction=momentum",  # preset fast-ssam
    "ssam-f:rho=1.4:norm=masked:direction=momentum",
    "sam:rho=0.2:norm=masked:region=from-4",  # exact
    "ssam-f:rho=0.35:ascent_batch=32",
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("phase", choices=("search", "final", "table"))
    parser.add_argument("task", choices=list(TASKS))
    parser.add_argument("--data", help="a zip or folder with one folder per class, in place of the task's data set")
    parser.add_argument("--seeds", type=int, help="only the first N seeds")
    options = parser.parse_args()
    if options.phase == "table":
        print(table(options.task))
        return
    lanes, seeds = (SEARCH, SEARCH_SEEDS) if options.phase == "search" else (FINALISTS, FINAL_SEEDS)
    own = {"dataset": "images", "data": options.data, "image_size": "32"} if options.data else {}
    base = parse_spec({**LESSON, **TASKS[options.task][1], **own})
    for seed in seeds[: options.seeds]:
        for missing in races(options.task, options.phase, seed, lanes):
            spec = parse_spec({"lanes": ",".join(["sgd", *missing]), "seed": seed}, base=base)
            add(options.task, base, rows(options.task, options.phase, spec))


def races(task: str, phase: str, seed: int, lanes: list[str]) -> Iterator[list[str]]:
    """Yield the lanes that are not in the file yet, in groups that fit one race."""
    place = {"task": task, "phase": phase, "seed": seed}
    done = {row["lane"] for row in read()["rows"] if place.items() <= row.items()}
    missing = [lane for lane in (str(LaneSpec.parse(text)) for text in lanes) if lane not in done]
    yield from (missing[at : at + LANES_A_RACE] for at in range(0, len(missing), LANES_A_RACE))


def rows(task: str, phase: str, spec: RaceSpec) -> list[dict]:
    """Run the race. Return one row per lane."""
    for event in Race(spec, home=default_home(), threads=1).events():
        if isinstance(event, Started):
            plans = event.lanes
        if isinstance(event, Result):
            results = event.lanes
    sgd = results[0].seconds
    return [
        {
            "task": task,
            "phase": phase,
            "seed": spec.seed,
            "lane": str(lane),
            "sparsity": round(result.sparsity, 4),
            "plan": plan.plan,
            "predicted": round(plan.predicted_ratio or 1.0, 4),
            "exact": plan.exact,
            "accuracy": result.test_accuracy,
            "step_ratio": result.step_ratio_to_sgd and round(result.step_ratio_to_sgd, 4),
            "seconds_ratio": round(result.seconds / sgd, 4),
        }
        for lane, plan, result in zip(spec.lanes, plans, results, strict=True)
    ]


def read() -> dict:
    if not FILE.exists():
        return {"command": "python -m benchmarks.study", **machine(), "tasks": {}, "rows": []}
    return json.loads(FILE.read_text(encoding="utf-8"))


def add(task: str, base: RaceSpec, new: list[dict]) -> None:
    """Add rows to the file; SGD, which is in every race, only once per seed and phase."""
    with FileLock(default_home() / "study.lock"):
        record = read()
        spec = base.to_strings() | ({"data": Path(base.data).name} if base.data else {})
        record["tasks"][task] = {"title": TASKS[task][0], "spec": spec}
        key = ("task", "phase", "seed", "lane")
        known = {tuple(row[name] for name in key) for row in record["rows"]}
        record["rows"] += [row for row in new if tuple(row[name] for name in key) not in known]
        draft = FILE.with_suffix(f".{os.getpid()}")
        lines = ",\n".join(f"  {json.dumps(row, ensure_ascii=False)}" for row in record.pop("rows"))
        head = json.dumps(record, indent=1, ensure_ascii=False).removesuffix("\n}")
        draft.write_text(f'{head},\n "rows": [\n{lines}\n ]\n}}\n', encoding="utf-8")
        os.replace(draft, FILE)
    for row in new:
        print(f"{task} seed {row['seed']}: {100 * (row['accuracy'] or 0):.2f} %  {row['lane']}", flush=True)


def table(task: str) -> str:
    """Return a table of the task's points as on the Frontier page, the most accurate first; finalists with their final seeds only."""
    found = tradeoff_sources.study(FILE)
    points = next((known.points for known in found.tasks if known.key == task), ()) if found else ()
    head = "| lane | kind and seeds | test accuracy % | of SAM's gain | not perturbed | step ÷ SGD | whole lane ÷ SGD |"
    lines = [head, "|---|---|---|---|---|---|---|"]
    for point in points:
        share = "–" if point.share is None else f"{point.share:.0%}"
        ratios = ("–" if ratio is None else f"{ratio:.2f}" for ratio in (point.ratio, point.seconds_ratio))
        facts = (point.lane, frontier_text.seeds(point), precise(point), share, f"{point.sparsity:.0%}", *ratios)
        lines.append(f"| {' | '.join(map(str, facts))} |")
    return "\n".join(lines)


def precise(point: tradeoff.Point) -> str:
    mean, spread = point.mean, point.deviation
    return "diverged" if mean is None else f"{mean:.2f}" if spread is None else f"{mean:.2f} ± {spread:.2f}"


if __name__ == "__main__":
    main()
