"""The slot utilisation of a sweep: ``python -m benchmarks.sweeps``.

A sweep of 60 short real races runs on two slots, in a separate home folder, with a runner started as the app does it. A slot counts as
busy from the moment a race is assigned to it until that race has ended. Utilisation is measured from the start of the first race to the
start of the last one, while there is work for every slot. Then a browser watches a running sweep, and its redraws are counted.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from contextlib import closing
from pathlib import Path

from benchmarks.machine import machine
from ssam.experiment import ASSETS, parse_spec
from ssam.experiment.choosing import new_sweep
from ssam.experiment.sweep import SweepSpec
from ssam.jobs.client import Client
from ssam.store import Person, Store, Trial
from tests.browser import app_server, chromium, end_runner

FILE = ASSETS / "measured" / "sweeps.json"
SLOTS, RACES = 2, 60
BASE = {"lanes": "ssam-f:sparsity=0.8", "epochs": 4, "train_size": 2000, "label_noise": 0.4}
VARY = ["lane1.rho=0.02..1:log", "lane1.sparsity=0.5..0.95"]


def sweep(races: int, method: str) -> SweepSpec:
    return new_sweep({"base": parse_spec(BASE), "vary": VARY, "method": method, "races": races})


def measure(home: Path, spec: SweepSpec) -> dict:
    with closing(Store(home, f"sqlite:///{home / 'ssam.db'}")) as store:
        client = Client(store)
        begun = time.monotonic()
        sweep_id = client.sweeps.start(spec, "measured", Person("measure"))
        while (found := store.sweeps.get(sweep_id)) is not None and found.state == "running":
            time.sleep(1)
            over = sum(trial.state != "open" for trial in store.sweeps.trials(sweep_id))
            print(f"\r{over} of {spec.most_races} races", end="", flush=True)
        print()
        whole = time.monotonic() - begun
        trials = store.sweeps.trials(sweep_id)
    return {"races": len(trials), "wall_seconds": round(whole, 1), **busy(trials)}


def busy(trials: list[Trial], slots: int = SLOTS) -> dict:
    """Return the share of the slots' time in which races held them, while there was work for every slot."""
    spans = [(trial.started, trial.ended) for trial in trials if trial.started and trial.ended]
    first, last = min(start for start, _ in spans), max(start for start, _ in spans)
    held = sum(min(end, last) - min(start, last) for start, end in spans)
    lengths = [end - start for start, end in spans]
    return {
        "busy": round(held / (slots * (last - first)), 4),
        "race_seconds_median": round(statistics.median(lengths), 2),
        "states": {state: sum(trial.state == state for trial in trials) for state in {trial.state for trial in trials}},
    }


# How often the chart of a running sweep is redrawn, as seen by its page.
DRAWN = """(seconds) => new Promise((done) => {
  let last = "", drawn = 0;
  const look = () => {
    const now = [...document.querySelectorAll(".js-plotly-plot .bars path")].map((bar) => bar.getAttribute("d")).join();
    drawn += now !== last;
    last = now;
  };
  const timer = setInterval(look, 50);
  setTimeout(() => { clearInterval(timer); done(drawn / seconds); }, 1000 * seconds);
})"""


def live(home: Path, seconds: float = 20.0) -> dict:
    """Measure the redraws per second of the timeline, whose bars grow continuously."""
    with closing(Store(home, f"sqlite:///{home / 'ssam.db'}")) as store:
        sweep_id = store.sweeps.create(sweep(RACES, "tpe"), "watched", "measure")
        with app_server(home, SSAM_SLOTS=str(SLOTS)) as address, chromium() as browser:
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            page.goto(f"{address}/sweeps?sweep={sweep_id}&figure=timeline")
            page.wait_for_selector(".js-plotly-plot .bars path", timeout=120_000)
            rate = page.evaluate(DRAWN, seconds)
        store.sweeps.transition(sweep_id, ("running",), "stopped")
    return {"pictures_a_second": round(rate, 2), "watched_seconds": seconds}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--races", type=int, default=RACES)
    parser.add_argument("--live", action="store_true", help="only how often the page's figure is drawn; keeps nothing")
    options = parser.parse_args()
    os.environ["SSAM_SLOTS"] = str(SLOTS)
    record: dict = {
        "command": "python -m benchmarks.sweeps",
        **machine(),
        "slots": SLOTS,
        "race": BASE,
        "vary": VARY,
    }
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        try:
            if not options.live:
                record["sweep"] = measure(home, sweep(options.races, "tpe"))
            record["live"] = live(home)
        finally:
            end_runner(home)
    print(json.dumps(record, indent=1))
    if options.races == RACES and not options.live:
        FILE.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
