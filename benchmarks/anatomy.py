"""One step of a real race in detail, for the page *Anatomy of a step*: ``python -m benchmarks.anatomy``.

The race is the preset noisy-labels, seed 0, one thread, stopped in the middle of its ninth epoch with a checkpoint. The next step of each
lane is analysed, and saved with the milliseconds that the race's own steps took in each phase. The race then continues for one step:
``difference`` is the largest relative difference between its events of that step and the results of the analysis.
"""

import json
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from app.anatomy import data
from benchmarks.inside import _rounded
from benchmarks.machine import machine
from ssam.analysis.anatomy import with_rates
from ssam.analysis.context import of_checkpoint
from ssam.analysis.runner import analyse
from ssam.engine import Race
from ssam.experiment import preset
from ssam.experiment.analysis import AnalysisSpec, Found
from ssam.experiment.events import Checkpoint, Started, StepEvent
from ssam.store import Store
from ssam.training.schedule import step_rate

PRESET, EPOCHS = "noisy-labels", 8.5  # where the race is stopped
SAME = {"loss": "loss", "grad_norm": "gradient_norm", "radius": "radius", "perturbed_norm": "second_norm"}


def main() -> None:
    spec = preset(PRESET).spec
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder))
        started, checkpoint, then, phase_ms = race(spec, store)
        layers = [asdict(layer) for layer in started.layers]
        moments = [
            of_checkpoint(lane, checkpoint.state["lanes"][name], layers) for lane, name in enumerate(spec.lane_names)
        ]
        assert len({moment.step for moment in moments}) == 1
        steps = {lane.name: lane.total_steps for lane in started.lanes}
        moments = with_rates(
            moments,
            lambda m: step_rate(spec.lr, m.step, steps[spec.lane_names[m.lane]] or 1, started.steps_per_epoch),
        )
        asked = AnalysisSpec(kind="anatomy", images=16)
        *_, found = analyse(
            spec, asked, moments, home=Path(folder), device=torch.device("cpu"), device_name=started.device_name
        )
        store.close()
    record = {
        "command": "python -m benchmarks.anatomy",
        **machine(),
        "preset": PRESET,
        "seed": spec.seed,
        "threads": started.threads,
        "step": moments[0].step,
        "epoch": moments[0].step / started.steps_per_epoch,
        "difference": difference(spec.lane_names, found, then),
        "spec": spec.model_dump(mode="json"),
        "about": found.about,
        "phase_ms": phase_ms,
        "rows": found.rows,
    }
    record = _rounded(record) | {"pictures": data.packed(found.arrays)}
    data.RECORDED.parent.mkdir(exist_ok=True)
    data.RECORDED.write_text(json.dumps(record, separators=(",", ":")) + "\n", encoding="utf-8")
    shown: dict[str, Any] = {
        name: value for name, value in record.items() if name not in ("rows", "pictures", "about", "spec")
    }
    print(json.dumps(shown | {"steps": [row for row in record["rows"] if row["what"] == "step"]}, indent=1))


def race(spec: Any, store: Store) -> tuple[Started, Checkpoint, dict[str, StepEvent], list[dict[str, float]]]:
    """Run the race. Return its start and checkpoint, the events of the step after it, and the milliseconds of each lane's phases until then."""
    made = Race(spec, home=store.home, threads=1)
    run_id = store.runs.create(spec, "anatomy")
    then: dict[str, StepEvent] = {}
    with store.writer(run_id) as writer:
        for event in made.events():
            if isinstance(event, Started):
                started, last = event, round(EPOCHS * event.steps_per_epoch)
            elif isinstance(event, Checkpoint):
                checkpoint = event
                writer.flush()
                window = store.curves.window(run_id)
                assert window is not None
                phase_ms = [lane.phase_ms for lane in window.lanes]
            elif isinstance(event, StepEvent) and event.step == last + 1:
                then[event.lane] = event
                if len(then) == len(spec.lanes):
                    break
            elif isinstance(event, StepEvent) and event.step == last and event.lane == spec.lane_names[-1]:
                made.want_checkpoint()
            if not isinstance(event, Checkpoint):
                writer.add(event)
    return started, checkpoint, then, phase_ms


def difference(names: list[str], found: Found, then: dict[str, StepEvent]) -> float:
    """Return the largest relative difference over all lanes and all numbers that both report."""
    worst = 0.0
    for row in found.rows:
        if row["what"] == "step":
            event = then[names[row["lane"]]]
            told = ((getattr(event, theirs), row.get(ours)) for theirs, ours in SAME.items())
            worst = max(worst, *(abs(here / there - 1) for there, here in told if there is not None))
    return worst


if __name__ == "__main__":
    main()
