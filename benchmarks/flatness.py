"""Flatness of the minima: all estimators at the final weights of a preset's lanes, over several seeds: ``python -m benchmarks.flatness``.

Each seed is raced on one thread; then sharpness (1,000 training images with the labels of the race) and curvature (500 images) are
measured at the final weights. Existing results are kept, so the run can be stopped and resumed. Rows go to
assets/measured/flatness.json; ``--table`` only prints the table.
"""

import argparse
import json
import statistics
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from benchmarks.machine import machine
from ssam.analysis.context import LaneWeights, of_checkpoint
from ssam.analysis.runner import analyse
from ssam.config import default_home
from ssam.engine import Race
from ssam.experiment import ASSETS, RaceSpec, parse_spec, preset
from ssam.experiment.analysis import parse_analysis
from ssam.experiment.events import Checkpoint, LaneEnded, Result, Started

FILE = ASSETS / "measured" / "flatness.json"
ASKED = (parse_analysis({"kind": "sharpness"}), parse_analysis({"kind": "curvature", "images": 500}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="noisy-labels")
    parser.add_argument("--seeds", type=int, default=5, help="seeds 0 to N-1 (default 5)")
    parser.add_argument("--table", action="store_true", help="print what is there, measure nothing")
    options = parser.parse_args()
    record = json.loads(FILE.read_text(encoding="utf-8")) if FILE.exists() else {"seeds": {}}
    for seed in range(0 if options.table else options.seeds):
        if str(seed) not in record["seeds"]:
            record["seeds"][str(seed)] = measure(parse_spec({"seed": seed}, base=preset(options.preset).spec))
            command = f"python -m benchmarks.flatness --preset {options.preset}"
            record |= {
                "command": command,
                **machine(),
                "analyses": [a.model_dump(exclude_defaults=True) for a in ASKED],
            }
            FILE.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(table(record))


def measure(spec: RaceSpec) -> dict[str, Any]:
    """Run one race. Return all estimates at its end, by lane."""
    result, moments = raced(spec)
    lanes = {name: {"test_accuracy": lane["test_accuracy"]} for name, lane in zip(spec.lane_names, result, strict=True)}
    with tempfile.TemporaryDirectory() as folder:
        for asked in ASKED:
            for found in analyse(spec, asked, moments, home=Path(folder), device=torch.device("cpu")):
                rows = found.rows
            for row in rows:
                name = spec.lane_names[row["lane"]]
                if asked.kind == "sharpness":
                    lanes[name] |= {row["estimator"]: row["value"], "train_loss": row["loss"]}
                else:
                    values = row["eigenvalues"]
                    lanes[name] |= {"λ1": values[0], "λ1/λ5": row["ratio"], "trace": row["trace"]}
    print(f"seed {spec.seed}: {json.dumps(lanes, ensure_ascii=False)}", flush=True)
    return lanes


def raced(spec: RaceSpec) -> tuple[list[dict[str, Any]], list[LaneWeights]]:
    """Run a race on one thread. Return its result and the final weights of its lanes."""
    race, ended = Race(spec, home=default_home(), threads=1), 0
    for event in race.events():
        if isinstance(event, Started):
            layers = [asdict(layer) for layer in event.layers]
        if isinstance(event, LaneEnded):
            ended += 1
            if ended == len(spec.lanes):
                race.want_checkpoint()
        if isinstance(event, Checkpoint):
            states = event.state["lanes"]
        if isinstance(event, Result):
            result = [asdict(lane) for lane in event.lanes]
    return result, [of_checkpoint(lane, states[name], layers) for lane, name in enumerate(spec.lane_names)]


def table(record: dict[str, Any]) -> str:
    """Return a Markdown table: for each estimator, each lane's mean ± standard deviation and the number of seeds with a value below SGD's."""
    seeds = list(record["seeds"].values())
    if not seeds:
        return "nothing has been measured yet"
    lanes = list(seeds[0])
    estimators = [name for name in seeds[0][lanes[0]] if name != "test_accuracy"]
    lines = [f"| estimator, {len(seeds)} seeds | {' | '.join(lanes)} |", "|---" * (len(lanes) + 1) + "|"]
    for name in ["test_accuracy", *estimators]:
        cells = []
        for lane in lanes:
            values = [seed[lane][name] for seed in seeds if seed[lane][name] is not None]
            spread = statistics.stdev(values) if len(values) > 1 else 0.0
            below = sum(
                seed[lane][name] < seed[lanes[0]][name]
                for seed in seeds
                if None not in (seed[lane][name], seed[lanes[0]][name])
            )
            told = f"; below on {below} of {len(seeds)}" if lane != lanes[0] and name != "test_accuracy" else ""
            cells.append(f"{statistics.fmean(values):.3g} ± {spread:.2g}{told}")
        lines.append(f"| {name.replace('_', ' ')} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
