"""kill -9, at random moments: of a race process, the runner, the app server, and of everything at once."""

import asyncio
import contextlib
import threading
import time
from collections.abc import Iterator

from benchmarks.drills.drill import Drill, median_and_worst
from benchmarks.load.session import Session


def race_process(drill: Drill, rounds: int) -> None:
    """Noticed: until the dead process is nobody's race any more."""
    lab = drill.lab
    while drill.rounds < rounds:
        run_id = lab.race()
        while drill.rounds < rounds and (pid := drill.wait(run_id)) is not None:
            if lab.pid(run_id) == pid and drill.kill(pid):
                drill.noticed.append(lab.wait_gone(run_id, pid))
                drill.rounds += 1
        drill.finish(run_id)


def runner(drill: Drill, rounds: int) -> None:
    """With a session open on the race, and the race process killed with the runner every other time. Noticed: until the page
    has another runner started; ``back_s`` is until that one serves. The race goes on by itself."""
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
    """With a session open. The race must go on without it; ``back_s`` is until a new server has drawn the page."""
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
    """As the end of a container, or of the power as far as files are concerned that had been brought to the disk. Noticed:
    from when a new runner serves until the race is queued again or has a new process; ``back_s`` is that from its start."""
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
    """Somebody's page on the race, which asks for news once a second; returns when it has been drawn."""
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
        with contextlib.suppress(OSError, asyncio.TimeoutError):  # the server may be killed under it
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
