"""The common actions and counts of all drills."""

import contextlib
import os
import random
import signal
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.drills.lab import Lab, wait_for

LONGEST = 0.25  # of an undisturbed race's time: longest wait for a disruption once a race exists or trains


@dataclass
class Drill:
    """One running drill in ``lab``; ``draw`` determines its moments.

    ``rounds`` counts the disruptions, ``noticed`` has the seconds until each one was noticed.
    """

    lab: Lab
    draw: random.Random
    rounds: int = 0
    races: int = 0
    differing: int = 0
    resumed_by_hand: int = 0
    noticed: list[float] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)

    def kill(self, pid: int) -> bool:
        """Send SIGKILL. Return False if the process has already ended."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            return True
        return False

    def paused(self, rounds: int) -> Iterator[str]:
        """Yield ``rounds`` times the id of a race that has just been paused at a random moment of its training. Resume it afterwards,
        and finish it before starting another."""
        lab = self.lab
        while self.rounds < rounds:
            run_id = lab.race()
            while self.rounds < rounds and lab.wait_training(run_id):
                time.sleep(self.draw.uniform(0, 2))
                lab.store.queue.set_desired_state(run_id, "pause")
                if lab.wait_state(run_id, "paused", "finished").state == "finished":
                    break
                lab.look(run_id)
                yield run_id
                lab.store.queue.resume(run_id)
                self.rounds += 1
            self.finish(run_id)

    def wait_alive(self, run_id: str) -> int | None:
        """Wait for the race's process. Return its pid; None once the race has ended. Resume the race, as its owner would, if it was given up."""
        lab = self.lab

        def settled() -> bool:
            return lab.run(run_id).state in ("finished", "failed", "interrupted") or lab.pid(run_id) is not None

        wait_for(settled, "a race process", lambda: str(lab.run(run_id)))
        if lab.run(run_id).state == "interrupted":
            self.resumed_by_hand += 1
            lab.store.queue.resume(run_id)
            return self.wait_alive(run_id)
        return lab.pid(run_id)

    def wait(self, run_id: str) -> int | None:
        """Wait until a random moment: usually while the race trains, sometimes while it prepares. Return the pid of its process; None
        once it has ended."""
        if self.draw.random() < 0.7:
            self.lab.wait_training(run_id)
        pid = self.wait_alive(run_id)
        if pid is not None:
            time.sleep(self.draw.uniform(0, LONGEST * undisturbed().seconds))
        self.lab.look(run_id)
        return pid

    def finish(self, run_id: str) -> None:
        """Let a race finish and compare it with an undisturbed one."""
        while (pid := self.wait_alive(run_id)) is not None:
            self.lab.wait_gone(run_id, pid)
        run = self.lab.run(run_id)
        self.lab.look(run_id)
        self.races += 1
        if run.state != "finished" or self.lab.kept(run_id) != undisturbed().kept:
            self.differing += 1
            self.facts.setdefault("differences", []).append(f"{run.state}: {run.message}")

    def report(self, orphans: int) -> dict[str, Any]:
        found = {
            "rounds": self.rounds,
            "races": self.races,
            "points_read": self.lab.read,
            "points_lost": self.lab.lost,
            "races_that_differ": self.differing,
            "orphans": orphans,
            "resumed_by_hand": self.resumed_by_hand,
        }
        if self.noticed:
            found["noticed_s"] = median_and_worst(self.noticed)
        return found | self.facts


def median_and_worst(seconds: list[float]) -> dict[str, float]:
    return {"median": round(statistics.median(seconds), 3), "worst": round(max(seconds), 3)}


class Undisturbed(NamedTuple):
    """The stored data of the lesson when nothing disturbs it, and how long it trains on this machine."""

    kept: dict[str, Any]
    seconds: float


@cache
def undisturbed() -> Undisturbed:
    with lab_in_a_folder() as lab:
        lab.start_runner()
        run_id = lab.race()
        run = lab.wait_state(run_id, "finished", "failed", "interrupted")
        assert run.state == "finished", f"{run.message}\n{lab.store.runs.log_tail(run_id)}"
        kept, window = lab.kept(run_id), lab.store.curves.window(run_id, points=1)
        assert window is not None
        assert lab.close() == 0
    assert all(len(kept[name]) > 10 for name in ("steps", "bins", "epochs", "masks", "pictures"))
    return Undisturbed(kept, window.elapsed)


@contextlib.contextmanager
def lab_in_a_folder(folder: Path | None = None, **settings: str) -> Iterator[Lab]:
    """Open a lab in ``folder``, or in a temporary folder; its settings are in this process's environment inside the block."""
    before = dict(os.environ)
    with contextlib.ExitStack() as stack:
        home = folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ssam-drill-")))
        stack.callback(lambda: (os.environ.clear(), os.environ.update(before)))
        lab = Lab(home / "home", **settings)
        stack.callback(lab.close)
        yield lab


def perform(
    act: Callable[[Drill, int], None], rounds: int, seed: int, folder: Path | None = None, **settings: str
) -> dict[str, Any]:
    """Run a drill. Return its counts, including what it leaves behind."""
    undisturbed()
    with lab_in_a_folder(folder, **settings) as lab:
        lab.start_runner()
        drill = Drill(lab, random.Random(seed))
        act(drill, rounds)
        orphans = lab.orphans() + lab.close()
    return drill.report(orphans)
