"""The race process: runs one race, saves its events, and obeys pause and stop. Started only by the runner."""

import contextlib
import faulthandler
import math
import os
import sys
import time
import traceback
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from ssam.config import Limits, default_device, read_limits, set_default_device
from ssam.experiment import RaceSpec
from ssam.experiment.events import Checkpoint, Event, LaneEnded, Started
from ssam.jobs import analysis_process
from ssam.jobs.retry import RETRY_SECONDS, Cancelled, log, retry_while_unavailable
from ssam.jobs.run_handle import RunHandle
from ssam.store import Store
from ssam.store.views import State, Want

LOOK_SECONDS = 0.2  # seconds between two checks of the desired state
CHECKPOINT_SHARE = 0.02  # maximal share of a race's time spent on checkpoints

Answer = TypeVar("Answer")


class Race(Protocol):
    """``ssam.engine.Race``, or a substitute for it."""

    def events(self) -> Generator[Event, None, None]: ...

    def want_checkpoint(self) -> None: ...


# (spec, home, image_root, threads, state of a checkpoint or None) → race
RaceFactory = Callable[[RaceSpec, Path, Path, int, dict[str, Any] | None], Race]


def engine_race(spec: RaceSpec, home: Path, image_root: Path, threads: int, state: dict[str, Any] | None) -> Race:
    """Return the real race. Import torch."""
    from ssam.engine import Race

    return Race(spec, home=home, image_root=image_root, threads=threads, state=state)


def main(run_id: str, home: Path, url: str, threads: int, slot: str, race: RaceFactory) -> None:
    """Run the race from the claim to the end of this process. Its output goes to ``runs/<id>/log.txt``."""
    if hasattr(os, "setsid"):  # not on Windows
        os.setsid()  # ignore signals to the runner's process group
    store = Store(home, url)
    _print_to(store.run_folder(run_id) / "log.txt")
    run_race(RunHandle(store, run_id), store.home, store.image_root, threads, slot, race)
    store.close()


def run_race(handle: RunHandle, home: Path, image_root: Path, threads: int, slot: str, race: RaceFactory) -> None:
    """Run the race of a handle; the streams are already redirected."""
    run = retry_while_unavailable(handle, handle.acquire)
    if run is None:
        return  # abandoned meanwhile by a runner that did not see this process
    try:
        spec = use_slot(run.spec, slot)
        if run.analysis is not None and run.parent is not None:
            end = End(*analysis_process.run(handle, spec, run.analysis, run.parent, home, image_root, threads))
        else:
            end = _run(handle, spec, home, image_root, threads, race)
    except Exception as error:  # the race's outermost boundary: any error becomes the run's state and one line
        end = _failure(handle, error)
    log(f"{end.state}: {end.message}" if end.message else end.state)
    retry_while_unavailable(handle, lambda: handle.transition(end.state, end.message))


def use_slot(spec: RaceSpec, slot: str) -> RaceSpec:
    """Make only the slot's GPU visible to this process, and return the race for it. Call this before CUDA starts."""
    kind, _, number = slot.partition(":")
    seen = os.environ.get("CUDA_VISIBLE_DEVICES")  # slots are numbered within these
    given = (seen.split(",")[int(number or 0)] if seen else number or "0") if kind == "cuda" else ""
    os.environ["CUDA_VISIBLE_DEVICES"] = given
    set_default_device("cuda:0" if kind == "cuda" else slot)
    # The specification is the same on every slot: a checkpoint fits no other.
    return spec.model_copy(update={"device": "auto"})


@dataclass(frozen=True)
class End:
    """The end of a race process. ``message`` is None to keep the last one."""

    state: State
    message: str | None = None


def _run(handle: RunHandle, spec: RaceSpec, home: Path, image_root: Path, threads: int, race: RaceFactory) -> End:
    """Start from the latest usable checkpoint, or from the beginning."""
    loaded = retry_while_unavailable(handle, handle.load)
    assert loaded is not None
    kept, unusable = loaded
    try:
        the_race = race(spec, home, image_root, threads, None if kept is None else kept.state)
    except ValueError as error:
        if kept is None:
            raise
        kept, unusable = None, [*unusable, str(error)]
        the_race = race(spec, home, image_root, threads, None)
    where = "from the beginning" if kept is None else "from a checkpoint"
    log(f"{spec.digest} on {default_device()}, {where} {unusable or ''}")
    message = f"{'; '.join(unusable)}: it continued {'from the beginning' if kept is None else 'from the one before'}"
    ended = {lane for lane, rows in kept.reached.items() if rows[-1]} if kept else set()
    return _RaceLoop(handle, the_race, read_limits(), kept is None, ended, message if unusable else "").run()


class _RaceLoop:
    """One process's part of a race: from the start or a checkpoint to the end or the next pause."""

    def __init__(
        self, handle: RunHandle, race: Race, limits: Limits, is_new: bool, ended_lanes: set[str], message: str
    ) -> None:
        self._handle, self._race, self._limits = handle, race, limits
        self._is_new, self._ended_lanes, self._message = is_new, ended_lanes, message
        self._lanes: set[str] | None = None  # None until the race has started
        self._end: End | None = None  # what happens at the next checkpoint
        self._begin = time.monotonic()
        self._told = 0.0  # time up to which training has been counted
        self._looked = -math.inf
        self._asked = 0.0  # when the race was last asked for an event
        self._due = math.inf  # the next checkpoint

    def run(self) -> End:
        try:
            with closing(self._race.events()) as events:
                for event in events:
                    if (end := self._take(event)) is not None:
                        return end
                    self._asked = time.monotonic()
            self._write(self._handle.flush)
        except Cancelled as wish:
            return End("stopped" if wish.want == "stop" else "paused")
        return End("finished")

    def _take(self, event: Event) -> End | None:
        if isinstance(event, Checkpoint):
            self._keep(event)
            self._look()
            return self._end
        self._write(lambda: self._handle.add(event), again=self._handle.flush)
        if isinstance(event, Started):
            self._start(event)
        if isinstance(event, LaneEnded):
            self._ended_lanes.add(event.lane)
            if self._ended_lanes == self._lanes:
                self._race.want_checkpoint()  # the weights of the results
        if time.monotonic() - self._looked >= LOOK_SECONDS:
            self._look()
        return self._end if self._lanes is None else None  # before the first step there is nothing to save

    def _start(self, event: Started) -> None:
        self._write(lambda: self._handle.transition("running"))
        self._lanes = {lane.name for lane in event.lanes}
        self._told = time.monotonic()
        self._due = self._told + self._limits.checkpoint_seconds
        if self._message:
            self._handle.say(self._message)
            self._write(self._handle.flush)
        if self._is_new and event.threads > 1:
            self._race.want_checkpoint()  # a new start might choose another number of threads, and round differently

    def _look(self) -> None:
        """Record a heartbeat, and determine what happens at the next checkpoint, and when."""
        if self._lanes is not None:
            lap = time.monotonic() - self._told
            self._told += lap
        else:
            lap = 0.0
        want = self._write(lambda: self._handle.heartbeat(lap))
        self._end = self._ending(want)
        self._looked = time.monotonic()
        if self._end is not None or self._looked >= self._due:
            self._race.want_checkpoint()

    def _ending(self, want: Want | None) -> End | None:
        if want == "stop":
            return End("stopped")
        if want == "pause":
            return End("paused")
        minutes = self._limits.race_minutes
        if time.monotonic() - self._begin > 60 * minutes:
            return End("stopped", f"time limit of {minutes:g} minutes reached; Resume continues from here")
        return None

    def _keep(self, event: Checkpoint) -> None:
        """Write the rows so far, then a checkpoint, and schedule the next one."""
        cost = time.monotonic() - self._asked  # seconds for taking the state
        self._write(self._handle.flush)
        began: list[float] = []

        def save() -> None:
            began.append(time.monotonic())
            self._handle.save(event.state)

        self._write(save)
        now = time.monotonic()
        cost += now - began[-1]
        self._due = now + max(self._limits.checkpoint_seconds, cost / CHECKPOINT_SHARE)

    def _write(self, action: Callable[[], Answer], again: Callable[[], object] | None = None) -> Answer | None:
        begin = time.monotonic()
        answer = retry_while_unavailable(self._handle, action, again, cancellable=True)
        if (held := time.monotonic() - begin) >= RETRY_SECONDS:
            self._told += held  # not training
        return answer


def _failure(handle: RunHandle, error: Exception) -> End:
    """Save the rows so far, and return the error in one line; the traceback is in the log."""
    with contextlib.suppress(OSError):
        traceback.print_exc()
    try:
        handle.flush()
    except Exception as another:
        log(f"and its last rows could not be written: {another}")
    message = " ".join(str(error).split())
    return End("failed", message if isinstance(error, ValueError) else f"{type(error).__name__}: {message}")


def _print_to(log_file: Path) -> None:
    log_file.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    os.close(handle)
    faulthandler.enable()
