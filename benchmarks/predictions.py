"""What recording predictions costs a race: ``python -m benchmarks.predictions``.

Two epochs of the default race run with and without predictions, each into a store of its own as in the app, every other pair in the
opposite order. The ratio of process times is that of each pair; the first pair is left out. Results go to assets/measured/predictions.json.
"""

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

from benchmarks.machine import machine
from ssam.config import default_home
from ssam.engine import Race, predictions
from ssam.experiment import ASSETS, RaceSpec, parse_spec, presets
from ssam.store import Store

FILE = ASSETS / "measured" / "predictions.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=6, help="pairs of races that count (default 6)")
    options = parser.parse_args()
    spec = parse_spec({"epochs": 2}, base=next(iter(presets().values())).spec)
    most, ratios, size = predictions.MOST_IMAGES, [], 0
    for pair in range(options.pairs + 1):
        seconds = {}
        for limit in (0, most) if pair % 2 else (most, 0):
            predictions.MOST_IMAGES = limit
            seconds[limit], written = raced(spec)
            size = max(size, written)
        if pair:
            ratios.append(seconds[most] / seconds[0])
            print(f"pair {pair}: {ratios[-1]:.4f}", flush=True)
    low, middle, high = statistics.quantiles(ratios, n=4)
    record = {
        **machine(),
        "command": "python -m benchmarks.predictions",
        "settings": spec.to_strings(),
        "ratios": ratios,
        "median": middle,
        "quartiles": [low, high],
        "bytes_per_evaluation": size / (len(spec.lanes) * spec.epochs),
    }
    FILE.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(
        f"with ÷ without: {middle:.4f} ({low:.4f} to {high:.4f}); {record['bytes_per_evaluation']:,.0f} bytes an evaluation"
    )


def raced(spec: RaceSpec) -> tuple[float, int]:
    """Return the process seconds of a race, and the bytes of its predictions."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder))
        run_id = store.runs.create(spec, "one")
        store.queue.assign(run_id, "cpu")
        begin = time.process_time()
        with store.writer(run_id) as writer:
            for event in Race(spec, home=default_home(), threads=1).events():
                writer.add(event)
        seconds = time.process_time() - begin
        files = list((store.run_folder(run_id) / "predictions").glob("*-*.npz"))
        store.close()
        return seconds, sum(file.stat().st_size for file in files)


if __name__ == "__main__":
    main()
