"""Drills of a paused race across a full restart, and of a clock that jumps."""

import os
import time
from pathlib import Path

from benchmarks.drills.drill import Drill
from benchmarks.drills.lab import ROOT, wait_for

JUMP = 3600  # seconds


def paused_across_a_restart(drill: Drill, rounds: int) -> None:
    lab = drill.lab
    for run_id in drill.paused(rounds):
        assert lab.close() == 0, "a paused race kept a process"
        lab.open()
        lab.start_runner()
        wait_for(lambda: lab.client.machine() is not None)
        assert lab.run(run_id).state == "paused"
        lab.look(run_id)


def wrong_clock(folder: Path) -> dict[str, str]:
    """Return settings that shift the time of day, for every process of a lab, by the offset given to ``set_clock``."""
    set_clock(folder, 0)
    path = os.pathsep.join([str(Path(__file__).parent / "wrong_clock"), str(ROOT)])
    return {"SSAM_DRILL_CLOCK": str(folder / "clock"), "PYTHONPATH": path}


def set_clock(folder: Path, seconds: int) -> None:
    draft = folder / "clock.new"
    draft.write_text(str(seconds), encoding="utf-8")
    draft.rename(folder / "clock")


def jumping_clock(drill: Drill, rounds: int) -> None:
    """Set the clock an hour forwards, then an hour backwards, while runner and race are running. Neither may consider the other dead,
    and the training time must stay correct."""
    lab, folder = drill.lab, drill.lab.home.parent
    longest = 0.0
    while drill.rounds < rounds:
        begin = time.monotonic()
        run_id = lab.race()
        pid = drill.wait_alive(run_id)
        while drill.rounds < rounds and lab.wait_training(run_id):
            set_clock(folder, JUMP if drill.rounds % 2 == 0 else 0)
            time.sleep(drill.draw.uniform(0.5, 2))
            lab.look(run_id)
            assert lab.pid(run_id) in (pid, None), "the race was taken for dead"
            window = lab.store.curves.window(run_id)
            assert window is not None
            assert window.elapsed <= time.monotonic() - begin
            assert window.eta_seconds is None or 0 <= window.eta_seconds < JUMP
            longest = max(longest, window.elapsed)
            drill.rounds += 1
        drill.finish(run_id)
    drill.facts["clock"] = f"{JUMP} s forwards and backwards, in every process"
    drill.facts["longest_training_s"] = longest
