"""The cost of a checkpoint of the first preset: four lanes of CNN-8, with momentum and masks."""

import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from ssam.experiment import preset
from ssam.experiment.events import Checkpoint, StepEvent
from ssam.jobs import checkpoints

EVERY = 25  # steps, summed over all lanes
WANTED = 20


def checkpoint_cost() -> dict[str, Any]:
    """Return the milliseconds to copy the state (which pauses the race) and to write it to disk, and the size of the file."""
    from ssam.engine import Race

    spec = preset("noisy-labels").spec.model_copy(update={"device": "cpu"})
    took: list[tuple[float, float]] = []
    steps = 0
    with tempfile.TemporaryDirectory(prefix="ssam-cost-") as folder:
        race = Race(spec, home=Path(folder), threads=1)
        events, asked = race.events(), 0.0
        while len(took) < WANTED:
            asked = time.perf_counter()
            event = next(events)
            if isinstance(event, Checkpoint):
                taken = time.perf_counter()
                checkpoints.write(Path(folder), checkpoints.Kept(event.state, {}))
                took.append((taken - asked, time.perf_counter() - taken))
            steps += isinstance(event, StepEvent)
            if isinstance(event, StepEvent) and steps % EVERY == 0:
                race.want_checkpoint()
        events.close()
        size = (Path(folder) / checkpoints.NEWEST).stat().st_size
    state, disk = (1e3 * statistics.median(part) for part in zip(*took, strict=True))
    return {"race": "noisy-labels", "state_ms": round(state, 1), "disk_ms": round(disk, 1), "mb": round(size / 1e6, 2)}
