"""The load of a class that watches its own wall: thirty races under one code, more arriving, and a tab for every student.

The races are written by the store's own writer, as race processes would do, so that no training runs during the measurement.
"""

import asyncio
import random
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from benchmarks.load.lab import Meter
from benchmarks.load.measure import AT_ONCE, STRAGGLERS, told
from benchmarks.load.session import Session
from ssam.store import Store
from tests import fake_class
from tests.browser import app_server

ARRIVES = 0.5  # seconds between two epochs, of any race


@dataclass
class Classroom:
    address: str
    store: Store
    under_way: list[str]

    def server(self) -> psutil.Process:
        port = urlsplit(self.address).port
        listening = (one for one in psutil.net_connections("tcp") if one.laddr.port == port)
        return psutil.Process(next(one.pid for one in listening if one.status == psutil.CONN_LISTEN))


@contextmanager
def classroom(students: int) -> Iterator[Classroom]:
    """Run a server whose class has one race per student: half of them finished, half running."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        store = Store(home)
        fake_class.furnish(store, students // 2)
        rest = [fake_class.begin(store, f"student {seed}", seed) for seed in range(students // 2, students)]
        for run_id in rest:
            fake_class.advance(store, run_id, range(1, 4))
        try:
            with app_server(home, races=False) as address:
                yield Classroom(address, store, rest)
        finally:
            store.close()


async def watch(room: Classroom, students: int, seconds: float) -> tuple[list[Session], dict]:
    """Let all students watch the wall for ``seconds``, while an epoch of some race arrives twice a second."""
    sessions = [Session(room.address, f"class={fake_class.CODE}", "wall") for _ in range(students)]
    door, chance = asyncio.Semaphore(AT_ONCE), random.Random(students)

    async def come(session: Session) -> None:
        async with door:
            await session.open()

    await asyncio.gather(*map(come, sessions))
    meter, until = Meter({"server": room.server()}), time.monotonic() + seconds
    received = sum(session.received for session in sessions)
    ticking = (session.tick(until, chance.random()) for session in sessions)
    await asyncio.gather(*ticking, asyncio.to_thread(_arrive, room, until))
    cpu = meter.read()
    await asyncio.gather(*(session.answered(STRAGGLERS) for session in sessions))
    ticks = [tick for session in sessions for tick in session.ticks]
    received = sum(session.received for session in sessions) - received
    errors = [error for session in sessions for error in session.errors]
    await asyncio.gather(*(session.close() for session in sessions))
    about = {"sessions": students, "seconds": seconds, **told(ticks, received), "errors": errors}
    shares = {name: round(share, 1) for name, share in cpu.items()}
    return sessions, about | {"cpu_percent": shares}


def _arrive(room: Classroom, until: float) -> None:
    """Advance the running races in turn, one epoch at a time, to their end."""
    epochs = fake_class.SPEC.epochs
    left = [(run_id, epoch) for epoch in range(4, epochs + 1) for run_id in room.under_way]
    for run_id, epoch in left:
        if time.monotonic() >= until:
            return
        fake_class.advance(room.store, run_id, range(epoch, epoch + 1))
        time.sleep(ARRIVES)


def measure(students: int, seconds: float) -> dict:
    with classroom(students) as room:
        return asyncio.run(watch(room, students, seconds))[1]
