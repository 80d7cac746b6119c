"""The system under load: a server, a runner and one running race, and their use of the machine."""

import os
import secrets
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from ssam.experiment import preset
from ssam.jobs.client import Client
from ssam.store import Person, Store
from tests.browser import app_server, end_runner, wait_until

POINTS = 300  # of every lane before the measurement begins; a page never draws more
LONG = 1000  # epochs: the race outlasts the measurement


@dataclass
class Lab:
    address: str
    store: Store
    run_id: str

    def steps(self) -> int:
        """Return the steps of all lanes together, as stored."""
        window = self.store.curves.window(self.run_id, points=1)
        return sum(lane.last_step for lane in window.lanes) if window else 0

    def edge(self) -> tuple[float, int]:
        """Wait for new steps in the store. Return the time at which they arrived, and the number of steps."""
        before = self.steps()
        wait_until(lambda: self.steps() > before)
        return time.monotonic(), self.steps()

    def processes(self) -> dict[str, psutil.Process]:
        """Return the processes of the web server, the race and this client."""
        pids = {
            "race": next(job.pid for job in self.store.queue.jobs() if job.id == self.run_id),
            "client": os.getpid(),
        }
        port = urlsplit(self.address).port
        for connection in psutil.net_connections("tcp"):
            if connection.laddr.port == port and connection.status == psutil.CONN_LISTEN:
                pids["server"] = connection.pid
        return {name: psutil.Process(pid) for name, pid in pids.items()}


class Meter:
    """CPU use since its creation, in percent of one core; ``others`` is everything else on the machine."""

    def __init__(self, processes: dict[str, psutil.Process]) -> None:
        self._processes, self._begin, self._used = processes, time.monotonic(), _used(processes)

    def read(self) -> dict[str, float]:
        seconds = time.monotonic() - self._begin
        shares = {name: 100 * (now - self._used[name]) / seconds for name, now in _used(self._processes).items()}
        machine = shares.pop("machine")
        return shares | {"others": machine - sum(shares.values())}


def _used(processes: dict[str, psutil.Process]) -> dict[str, float]:
    used = {name: sum(process.cpu_times()[:2]) for name, process in processes.items()}
    machine = psutil.cpu_times()._asdict()
    idle = ("idle", "iowait", "guest", "guest_nice")  # guest time is already included in user time
    return used | {"machine": sum(seconds for name, seconds in machine.items() if name not in idle)}


def memory_mb(process: psutil.Process) -> float:
    return process.memory_info().rss / 1e6


@contextmanager
def own_lab() -> Iterator[Lab]:
    """Run a server, a runner and a race in a temporary home folder."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        try:
            with app_server(home) as address, racing(Store(home), address) as lab:
                yield lab
        finally:
            end_runner(home)


@contextmanager
def racing(store: Store, address: str) -> Iterator[Lab]:
    """Queue a long race of the first preset on the CPU and wait until its curves are full; stop it at the end."""
    client, teacher = Client(store), Person("load", teacher=True)
    spec = preset("noisy-labels").spec.model_copy(update={"epochs": LONG, "device": "cpu"})
    run_id = client.races.submit(spec, secrets.token_hex(8), teacher).run_id
    try:
        lab = Lab(address, store, run_id)
        wait_until(lambda: lab.steps() >= POINTS * len(spec.lanes), 600)
        yield lab
    finally:
        client.races.stop(run_id, teacher)
