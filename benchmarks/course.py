"""Capacity estimate for a course: ``python -m benchmarks.course``.

The disk space of a race of the preset noisy-labels is measured here, over its first epoch. The duration of the whole race is taken from
assets/measured. Everything else is arithmetic on assumptions about the course; docs/cluster.md shows the result.
"""

import json
import math
import tempfile
from pathlib import Path

from benchmarks.machine import machine
from ssam.engine import Race
from ssam.experiment import ASSETS, parse_spec, preset
from ssam.experiment.events import Checkpoint, LaneEnded, MaskEvent, StepEvent
from ssam.jobs import checkpoints
from ssam.store import Store

MEASURED = ASSETS / "measured"
ASSUMED = {
    "students": 1000,
    "races_a_student": 40,  # over the whole course
    "students_at_once": [30, 120, 400],  # one group, four groups, the evening before the deadline
    "minutes_between_races": 10,  # a student reads, thinks and changes something
    "sessions_a_server": 60,  # the maximum reported in docs/load.md
}


def main() -> None:
    left = footprint()
    seconds = json.loads((MEASURED / "page.json").read_text(encoding="utf-8"))["race_s"]["one race"]
    record = {
        "command": "python -m benchmarks.course",
        **machine(),
        "measured": left | {"race_seconds": seconds},
        "assumed": ASSUMED,
        "calculated": calculated(left, seconds),
    }
    (MEASURED / "course.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(record, indent=1))


def footprint() -> dict[str, float]:
    """Return bytes per lane step in the database, bytes per mask and per checkpoint in files, and the steps and masks of a whole race."""
    whole = preset("noisy-labels").spec
    counts = {"steps": 0, "masks": 0}
    with tempfile.TemporaryDirectory() as folder:
        Store(Path(folder)).close()
        empty = (Path(folder) / "ssam.db").stat().st_size
        store = Store(Path(folder))
        run_id = store.runs.create(whole, "course")
        race, ended = Race(parse_spec({"epochs": 1}, base=whole), home=store.home), 0
        with store.writer(run_id) as writer:
            for event in race.events():
                if isinstance(event, Checkpoint):
                    checkpoints.write(store.run_folder(run_id), checkpoints.Kept(event.state, writer.reached()))
                    continue
                writer.add(event)
                counts["steps"] += isinstance(event, StepEvent)
                counts["masks"] += isinstance(event, MaskEvent)
                ended += isinstance(event, LaneEnded)
                if ended == len(whole.lanes):
                    race.want_checkpoint()
        folder_of_run = store.run_folder(run_id)
        masks = sum(path.stat().st_size for path in (folder_of_run / "masks").iterdir())
        checkpoint = (folder_of_run / checkpoints.NEWEST).stat().st_size
        store.close()  # merges the write-ahead log into the file
        rows = (Path(folder) / "ssam.db").stat().st_size - empty
    return {
        "steps_a_race": counts["steps"] * whole.epochs,
        "masks_a_race": counts["masks"] * whole.epochs,
        "database_bytes_a_step": rows / counts["steps"],
        "bytes_a_mask": masks / counts["masks"],
        "bytes_a_checkpoint": checkpoint,
    }


def calculated(left: dict[str, float], seconds: float) -> dict:
    rows = left["steps_a_race"] * left["database_bytes_a_step"]
    files = (
        left["masks_a_race"] * left["bytes_a_mask"] + 2 * left["bytes_a_checkpoint"]
    )  # the latest and the previous one
    races = ASSUMED["students"] * ASSUMED["races_a_student"]
    return {
        "race_megabytes": {"database": rows / 1e6, "files": files / 1e6},
        "course_gigabytes": {"database": races * rows / 1e9, "files": races * files / 1e9},
        "core_hours": races * seconds / 3600,
        "at_once": [peak(students, seconds) for students in ASSUMED["students_at_once"]],
    }


def peak(students: int, seconds: float) -> dict[str, float]:
    """Return the cores needed so that the queue does not grow: each student waits for a race, then thinks."""
    busy = students * seconds / (seconds + 60 * ASSUMED["minutes_between_races"])
    return {
        "students": students,
        "cores_for_races": math.ceil(busy),
        "servers": math.ceil(students / ASSUMED["sessions_a_server"]),
    }


if __name__ == "__main__":
    main()
