"""Races a preset over several seeds and keeps the results.

python -m tests.measure.preset noisy-labels
python -m tests.measure.preset noisy-labels --set label_noise=0 --as clean-labels
"""

import argparse
import json
import statistics
import time
from dataclasses import asdict

from ssam.engine import Race
from ssam.spec import ASSETS, RaceSpec, parse_spec, preset
from ssam.spec.events import LaneResult, Result, Started
from ssam.spec.host import default_home
from tests.measure.machine import machine


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("preset")
    parser.add_argument("--seeds", type=int, default=5, help="seeds 0 to N-1 (default 5)")
    parser.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE", help="override a field")
    parser.add_argument("--as", dest="name", help="name of the file (default: the preset's)")
    options = parser.parse_args()
    spec = parse_spec(dict(text.split("=", 1) for text in options.set), base=preset(options.preset).spec)
    runs = [measure(parse_spec({"seed": seed}, base=spec)) for seed in range(options.seeds)]
    record = {"preset": options.preset, "set": options.set, **machine(), "summary": summarise(runs), "runs": runs}
    path = ASSETS / "measured" / f"{options.name or options.preset}.json"
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(table(record["summary"]))


def measure(spec: RaceSpec) -> dict:
    """One race: every lane's result, and the wall time from the start to the result."""
    begin, threads = time.perf_counter(), 0
    for event in Race(spec, home=default_home()).events():
        if isinstance(event, Started):
            threads = event.threads
        if isinstance(event, Result):
            wall = time.perf_counter() - begin
            shown = "  ".join(f"{lane.name} {lane.test_accuracy or 0:.2%}" for lane in event.lanes)
            print(f"seed {spec.seed}: {shown}  ({wall:.0f} s)", flush=True)
            lanes = [asdict(lane) for lane in event.lanes]
    return {"seed": spec.seed, "wall_seconds": round(wall, 1), "threads": threads, "lanes": lanes}


def summarise(runs: list[dict]) -> list[dict]:
    """Per lane: mean and standard deviation of the accuracy, and of its lead over SGD for the same seed."""
    rows = []
    for index, lane in enumerate(LaneResult(**lane) for lane in runs[0]["lanes"]):
        accuracies = [100 * run["lanes"][index]["test_accuracy"] for run in runs]
        leads = [a - 100 * run["lanes"][0]["test_accuracy"] for a, run in zip(accuracies, runs, strict=True)]
        rows.append(
            {
                "lane": lane.name,
                "sparsity": lane.sparsity,
                "rho": lane.rho,
                "accuracy_mean": round(statistics.fmean(accuracies), 2),
                "accuracy_sd": round(statistics.stdev(accuracies), 2) if len(runs) > 1 else None,
                "lead_mean": round(statistics.fmean(leads), 2),
                "lead_least": round(min(leads), 2),
                "step_ratio_to_sgd": round(statistics.median(r["lanes"][index]["step_ratio_to_sgd"] for r in runs), 2),
            }
        )
    return rows


def table(summary: list[dict]) -> str:
    head = "| lane | rho | test accuracy % | lead over SGD, mean | least | step ÷ SGD |\n|---|---|---|---|---|---|"
    rows = [
        f"| {r['lane']} | {r['rho']:g} | {r['accuracy_mean']:.2f} ± {r['accuracy_sd'] or 0:.2f} | {r['lead_mean']:+.2f} "
        f"| {r['lead_least']:+.2f} | {r['step_ratio_to_sgd']:.2f} |"
        for r in summary
    ]
    return "\n".join([head, *rows])


if __name__ == "__main__":
    main()
