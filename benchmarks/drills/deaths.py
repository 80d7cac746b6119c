"""Drills with kill -9 at random moments: of a race process, the runner, the app server, and everything at once."""

import asyncio
import contextlib
import threading
import time
from collections.abc import Iterator

from benchmarks.drills.drill import Drill, median_and_worst
from benchmarks.load.session import Session


def race_process(drill: Drill, rounds: int) -> None:
    """Kill the race process. Noticed: the time until no race is assigned to the dead process any more."""
    lab = drill.lab
    while drill.rounds < rounds:
        run_id = lab.race()
        while drill.rounds < rounds and (pid := drill.wait(run_id)) is not None:
            if lab.pid(run_id) == pid and drill.kill(pid):
                drill.noticed.append(lab.wait_gone(run_id, pid))
                drill.rounds += 1
        drill.finish(run_id)


def runner(drill: Drill, rounds: int) -> None:
    """Kill the runner while a session is open on the race; every other time, kill the race process too. Noticed: the time until the
    page has started another runner; ``back_s`` is the time until that one serves. The race continues without help."""
    lab = drill.lab
    lab.start_server()
    back: list[float] = []
    while drill.rounds < rounds:
        run_id = lab.race()
        drill.wait_alive(run_id)
        with watching(drill, run_id):
            while drill.rounds < rounds and (pid := drill.wait(run_id)) is not None:
                before = lab.runner().pid
                drill.kill(before)
                if drill.draw.random() < 0.5 and lab.pid(run_id) == pid:
                    drill.kill(pid)
                noticed, up = lab.wait_runner(other_than=before)
                drill.noticed.append(noticed)
                back.append(up)
                drill.rounds += 1
        drill.finish(run_id)
    drill.facts["back_s"] = median_and_worst(back)


def server(drill: Drill, rounds: int) -> None:
    """Kill the app server while a session is open. The race must continue without it; ``back_s`` is the time until a new server has
    drawn the page."""
    lab = drill.lab
    lab.start_server()
    back: list[float] = []
    while drill.rounds < rounds:
        run_id = lab.race()
        while drill.rounds < rounds and drill.wait_alive(run_id) is not None:
            with watching(drill, run_id):
                drill.wait(run_id)
                lab.kill_server()
            lab.wait_more(run_id, than=lab.look(run_id))
            begin = time.monotonic()
            lab.start_server()
            with watching(drill, run_id):
                back.append(time.monotonic() - begin)
            drill.rounds += 1
        drill.finish(run_id)
    drill.facts["back_s"] = median_and_worst(back)


def everything(drill: Drill, rounds: int) -> None:
    """Kill everything, as at the end of a container, or at a power failure if all files had reached the disk. Noticed: the time from
    when a new runner serves until the race is queued again or has a new process; ``back_s`` is the same from the runner's start."""
    lab = drill.lab
    back: list[float] = []
    while drill.rounds < rounds:
        run_id = lab.race()
        while drill.rounds < rounds and (pid := drill.wait(run_id)) is not None:
            lab.kill_everything()
            begin = time.monotonic()
            lab.start_runner()
            drill.noticed.append(lab.wait_gone(run_id, pid))
            back.append(time.monotonic() - begin)
            drill.rounds += 1
        drill.finish(run_id)
    drill.facts["back_s"] = median_and_worst(back)


@contextlib.contextmanager
def watching(drill: Drill, run_id: str) -> Iterator[None]:
    """Keep a page open on the race that polls once a second. Enter the block once the page has been drawn."""
    drawn, enough = threading.Event(), threading.Event()
    problems: list[str] = []

    async def watch() -> None:
        session = Session(f"http://127.0.0.1:{drill.lab.port}", f"run={run_id}")
        try:
            await session.open()
            problems.extend(session.errors)
            drawn.set()
            while not enough.is_set():
                await session.tick(time.monotonic() + 1.5, 0.0)
            await session.close()
        finally:
            drawn.set()

    def run() -> None:
        with contextlib.suppress(OSError, asyncio.TimeoutError):  # the server may be killed meanwhile
            asyncio.run(watch())

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    drawn.wait()
    assert not problems, problems
    try:
        yield
    finally:
        enough.set()
        thread.join(90)
