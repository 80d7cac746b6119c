"""``python -m benchmarks.gpu.record FOLDER``: put what ``python -m benchmarks.gpu`` found into ``assets/``: the numbers, and the race in the form of a recording."""

import argparse
import json
import tempfile
from pathlib import Path

from benchmarks.gpu import event_file
from benchmarks.gpu.__main__ import EVENTS, RESULTS
from ssam.experiment import ASSETS, parse_spec
from ssam.store import Store
from ssam.store.race_file import save


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu.record", description=__doc__)
    parser.add_argument("folder", type=Path)
    record(parser.parse_args().folder, ASSETS)


def record(folder: Path, assets: Path) -> None:
    """Write ``measured/gpu.json``, and ``measured/gpu-race.json.gz`` unless the race failed. The app plays back races of presets only."""
    results = json.loads((folder / RESULTS).read_text(encoding="utf-8"))
    (assets / "measured").mkdir(exist_ok=True)
    (assets / "measured" / RESULTS).write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    if "error" in results["race"]:
        return
    with tempfile.TemporaryDirectory() as home:
        store = Store(Path(home), url=f"sqlite:///{home}/ssam.db")
        run_id = store.runs.create(parse_spec(results["race"]["settings"]), "gpu")
        store.queue.assign(run_id, results["machine"]["device"])
        with store.writer(run_id) as writer:
            for event in event_file.read(folder / EVENTS):
                writer.add(event)
        store.queue.transition(run_id, ("starting",), "finished")
        about = {name: results[name] for name in ("command", "date", "machine")}
        save(store, run_id, about, assets / "measured" / "gpu-race.json.gz")
        store.close()


if __name__ == "__main__":
    main()
