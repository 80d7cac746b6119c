"""The race process: runs one race, writes down what it tells, and does what is wanted. Started by the runner only."""

import faulthandler
import os
import sys
import time
import traceback
from collections.abc import Callable, Generator
from contextlib import closing
from pathlib import Path

from ssam.jobs.processes import start_time
from ssam.spec import RaceSpec
from ssam.spec.events import Event, Started
from ssam.store import Store, Writer
from ssam.store.views import ALIVE, State, Want

LOOK_SECONDS = 0.2  # how often a running race looks what is wanted
PAUSED_LOOK_SECONDS = 0.05

# (spec, home, image_root, threads) → the race's events; closing the generator stops the race
RaceFactory = Callable[[RaceSpec, Path, Path, int], Generator[Event, None, None]]


def engine_race(spec: RaceSpec, home: Path, image_root: Path, threads: int) -> Generator[Event, None, None]:
    """The real race. Imports torch."""
    from ssam.engine import Race

    yield from Race(spec, home=home, image_root=image_root, threads=threads).events()


def main(run_id: str, home: Path, url: str, threads: int, race: RaceFactory) -> None:
    """Runs the race from the claim to its last state. What it prints goes to ``runs/<id>/log.txt``."""
    os.setsid()  # a signal to the runner's group is not for us
    store = Store(home, url)
    _print_to(store.run_folder(run_id) / "log.txt")
    if not store.claim(run_id, os.getpid(), start_time(os.getpid())):
        return  # given up meanwhile by a runner that did not see us
    run = store.run(run_id)
    assert run is not None
    state: State
    message = None
    try:
        with store.writer(run_id) as writer, closing(race(run.spec, store.home, store.image_root, threads)) as events:
            state = _follow(store, writer, run_id, events)
    except Exception as error:  # the boundary of the race: whatever happened becomes the run's state and a line
        traceback.print_exc()
        state = "failed"
        said = " ".join(str(error).split())
        message = said if isinstance(error, ValueError) else f"{type(error).__name__}: {said}"
    store.move(run_id, ALIVE, state, **({} if message is None else {"message": message}))
    store.close()


def _follow(store: Store, writer: Writer, run_id: str, events: Generator[Event, None, None]) -> State:
    """Takes events until there are no more or the race is to stop; not asking for the next one is the pause."""
    state: State = "starting"
    looked = 0.0
    for event in events:
        writer.add(event)
        if isinstance(event, Started):
            store.move(run_id, (state,), "running")
            state = "running"
        if time.monotonic() - looked >= LOOK_SECONDS:
            want = store.heartbeat(run_id)
            if want == "pause":
                writer.flush()
                want = _pause(store, run_id, state)
            if want == "stop":
                return "stopped"
            looked = time.monotonic()
    return "finished"


def _pause(store: Store, run_id: str, state: State) -> Want:
    """Waits until something else is wanted, and returns that."""
    store.move(run_id, (state,), "paused")
    while (want := store.wanted(run_id)) == "pause":
        time.sleep(PAUSED_LOOK_SECONDS)
    if want == "run":
        store.move(run_id, ("paused",), state)
    return want


def _print_to(log: Path) -> None:
    log.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    os.close(handle)
    faulthandler.enable()
