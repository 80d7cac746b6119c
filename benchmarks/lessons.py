"""The evidence for the claims of the lessons: every lesson's preset over several seeds: ``python -m benchmarks.lessons``.

Each race is trained on one thread. Seed 0 is also recorded in full for playback: assets/recorded/PRESET.json.gz. Existing results
are kept, so the run can be stopped and resumed. Rows go to assets/measured/lessons.json; ``--table`` prints the existing ones.
``--predictions`` repeats the recorded races, and adds to each recording what its lanes answered for single images.
"""

import argparse
import json
import statistics
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from app.methods import text
from app.ui import tradeoff_sources
from benchmarks.machine import machine
from ssam.config import default_home
from ssam.engine import Race
from ssam.experiment import ASSETS, RaceSpec, parse_spec, preset
from ssam.store import Store, Window
from ssam.store.race_file import add_predictions, save

FILE = ASSETS / "measured" / "lessons.json"
RECORDED = ASSETS / "recorded"
PRESETS = (
    "demo",
    "noisy-labels",
    "tuned-sgd",
    "clean-labels",
    "where",
    "which-mask",
    "sparsity-dial",
    "disturbed-images",
)
RECORDED_SEED = 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("presets", nargs="*", default=PRESETS, help=f"default: {' '.join(PRESETS)}")
    parser.add_argument("--seeds", type=int, default=5, help="seeds 0 to N-1 (default 5)")
    parser.add_argument("--table", action="store_true", help="print what is there, race nothing")
    parser.add_argument(
        "--predictions", action="store_true", help="add predictions to the recordings, race nothing else"
    )
    options = parser.parse_args()
    if options.predictions:
        for name in options.presets:
            raced(parse_spec({"seed": RECORDED_SEED}, base=preset(name).spec), partial(_add_predictions, name))
        return
    record = json.loads(FILE.read_text(encoding="utf-8")) if FILE.exists() else {"races": {}}
    for seed in range(0 if options.table else options.seeds):
        for name in options.presets:
            add(record, name, seed)
    print(table(record))


def add(record: dict[str, Any], name: str, seed: int) -> None:
    """Race a preset with one seed, unless that has already been done with these settings."""
    spec = parse_spec({"seed": seed}, base=preset(name).spec)
    known = record["races"].get(name, {})
    settings = parse_spec({"seed": 0}, base=spec).to_strings()
    if known.get("settings") != settings:
        known = {"settings": settings, "seeds": {}}
    if str(seed) in known["seeds"]:
        return
    about = {"command": f"python -m benchmarks.lessons {name}", **machine()}
    recording = RECORDED / f"{name}.json.gz"
    keep = partial(save, about=about, path=recording) if seed == RECORDED_SEED else None
    known["seeds"][str(seed)] = raced(spec, keep)
    record["races"][name] = {**about, "threads": 1, **known}
    FILE.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    lanes = known["seeds"][str(seed)]["lanes"]
    print(f"{name} {seed}: " + "  ".join(f"{lane['name']} {lane['test_accuracy']:.2%}" for lane in lanes), flush=True)


def _add_predictions(name: str, store: Store, run_id: str) -> None:
    path = RECORDED / f"{name}.json.gz"
    add_predictions(store, run_id, path)
    print(f"{name}: {path.stat().st_size:,} bytes", flush=True)


def raced(spec: RaceSpec, keep: Callable[[Store, str], None] | None) -> dict[str, Any]:
    """Run one race with a temporary store, and pass the store and the race's id to ``keep``. Return what the app would show of it."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder))
        run_id = store.runs.create(spec, "lesson")
        store.queue.assign(run_id, "cpu")
        with store.writer(run_id) as writer:
            for event in Race(spec, home=default_home(), threads=1).events():
                writer.add(event)
        store.queue.transition(run_id, ("starting",), "finished")
        run, window = store.runs.get(run_id), store.curves.window(run_id)
        assert run
        assert window
        assert run.result
        if keep:
            keep(store, run_id)
        lanes = run.result["lanes"]
        store.close()
    return {"lanes": [_lane(result, window, place) for place, result in enumerate(lanes)]}


def _lane(result: dict[str, Any], window: Window, place: int) -> dict[str, Any]:
    """Return the result of a lane, with its best epoch and its curve. Accuracies during a race are on a subset of the test images."""
    epochs = window.lanes[place].epochs
    names = ("epoch", "test_accuracy", "train_loss", "test_loss", "test_size", "final")
    shown = ("name", "method", "sparsity", "rho", "test_accuracy", "step_ratio_to_sgd", "seconds", "diverged")
    curve = [{name: epoch[name] for name in names} for epoch in epochs]
    during = [epoch["test_accuracy"] for epoch in epochs if not epoch["final"]]
    return {name: result[name] for name in shown} | {"best_accuracy": max(during), "epochs": curve}


def table(record: dict[str, Any]) -> str:
    """Return a table with one row per lane and task. A lane that has the same accuracies in several races has one row, with the step
    time of the first; on another machine, whose rounding differs, it has a row of its own."""
    rows = [
        "| race | lane | test accuracy % | over SGD, mean (least) | step ÷ SGD |",
        "|---|---|---|---|---|",
    ]
    told = set()
    for name, race in record["races"].items():
        spec, seeds = parse_spec(race["settings"]), list(race["seeds"].values())
        task = {name: value for name, value in race["settings"].items() if name not in ("lanes", "rho", "sparsity")}
        for place, lane in enumerate(tradeoff_sources.whole(spec, lane) for lane in spec.lanes):
            found = [100 * seed["lanes"][place]["test_accuracy"] for seed in seeds]
            which = (lane, str(task), tuple(found))
            if which in told:
                continue
            told.add(which)
            over = [mine - 100 * seed["lanes"][0]["test_accuracy"] for mine, seed in zip(found, seeds, strict=True)]
            ratio = statistics.median(seed["lanes"][place]["step_ratio_to_sgd"] for seed in seeds)
            spread = statistics.stdev(found) if len(found) > 1 else 0.0
            gain = f"{statistics.fmean(over):+.2f} ({min(over):+.2f})".replace("-", "−") if place else "–"
            accuracy = f"{statistics.fmean(found):.2f} ± {spread:.2f}"
            row = (preset(name).title, text.title(lane), accuracy, gain, f"{ratio:.2f}")
            rows.append(f"| {' | '.join(row)} |")
    return "\n".join(rows)


if __name__ == "__main__":
    main()
