"""The runner: one process per home folder that takes races from the queue and starts a process for each.

It keeps nothing that the store does not know. Killed, it leaves its races running; the next one adopts them.
"""

import multiprocessing
import multiprocessing.connection
import multiprocessing.process
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext, SpawnContext
from types import FrameType

from filelock import FileLock, Timeout

from ssam.jobs import child, processes
from ssam.jobs.client import PROJECT, runner_file
from ssam.jobs.machine import DeviceInfo, default_slots, torch_devices, write_json, write_machine
from ssam.spec.host import cores
from ssam.store import Job, Store
from ssam.store.views import ALIVE

LOOK_SECONDS = 0.04  # how often the queue is read
GRACE_SECONDS = 5.0  # from what should end the race process to SIGKILL
HANDOVER_SECONDS = 2.0  # a runner that is leaving still holds the lock for a moment
PRELOAD = ("torch", "torchvision", "ssam.engine", "ssam.data", "ssam.models", "ssam.jobs.child", "ssam.jobs.machine")


def pick_next(queued: Sequence[Job], running: Sequence[Job]) -> Job | None:
    """Which race starts next: the oldest that is not held back. ``running`` is for a fair share later."""
    ready = [job for job in queued if job.want == "run"]
    return min(ready, key=lambda job: job.created, default=None)


@dataclass
class _Watch:
    """A race process under our eyes. ``process`` is None for one that another runner started."""

    pid: int
    started: float | None
    process: multiprocessing.process.BaseProcess | None
    overdue: float | None = None  # when it gets SIGKILL
    killed: bool = False

    @property
    def code(self) -> int | None:
        """The exit code, where it can be known: not of another runner's process, nor once the fork server died (255)."""
        code = None if self.process is None else self.process.exitcode
        return None if code == 255 else code

    def is_gone(self) -> bool:
        return self.code is not None or not processes.is_alive(self.pid, self.started)

    def last_words(self) -> str:
        if self.code is not None and self.code < 0:
            return f"the race process was killed (signal {-self.code})"
        known = "" if self.code is None else f" with exit code {self.code}"
        return f"the race process ended{known} before the race did; see its log.txt and runner.log"


class Runner:
    """
    Args:
        store: whose queue to serve.
        race: makes the events of a race, called in the race process. Picklable, as is ``devices``.
        devices: finds the accelerators, called in a process of its own.
        preload: modules that the fork server imports once, so that a race starts at once.
    """

    def __init__(
        self,
        store: Store,
        race: child.RaceFactory = child.engine_race,
        devices: Callable[[], list[DeviceInfo]] = torch_devices,
        preload: Sequence[str] = PRELOAD,
    ) -> None:
        self._store, self._race, self._devices, self._preload = store, race, devices, list(preload)
        self._slots = default_slots()
        self._watched: dict[str, _Watch] = {}
        self._is_warm = threading.Event()
        self._leaving = False

    def serve(self) -> None:
        """Serves until SIGTERM; returns at once where another runner already does."""
        lock = FileLock(self._store.home / "runner.lock")
        try:
            lock.acquire(timeout=HANDOVER_SECONDS)
        except Timeout:
            print("another runner serves this home folder", file=sys.stderr)
            return
        signal.signal(signal.SIGTERM, self._leave)
        me = {"pid": os.getpid(), "started": processes.start_time(os.getpid())}
        write_json(runner_file(self._store.home), me)
        self._adopt()
        self._context = self._start_method()
        threading.Thread(target=self._warm_up, daemon=True).start()
        while not self._leaving:
            self._look()
            own = [watch.process for watch in self._watched.values() if watch.process is not None]
            ends = [process.sentinel for process in own if process.exitcode is None]
            multiprocessing.connection.wait(ends, LOOK_SECONDS) if ends else time.sleep(LOOK_SECONDS)
        runner_file(self._store.home).unlink()
        lock.release()

    def _leave(self, signal_number: int, frame: FrameType | None) -> None:
        self._leaving = True

    def _start_method(self) -> ForkServerContext | SpawnContext:
        if "forkserver" not in multiprocessing.get_all_start_methods():
            return multiprocessing.get_context("spawn")
        # The fork server is started as ``python -c``: it finds our modules by this only.
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(PROJECT), os.environ.get("PYTHONPATH")]))
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(self._preload)
        forkserver.ensure_running()
        return context

    def _warm_up(self) -> None:
        """The first process waits until the fork server has imported torch; nobody else is to wait for that."""
        try:
            self._context.Process(target=write_machine, args=(self._store.home, self._slots, self._devices)).start()
        finally:
            self._is_warm.set()

    def _adopt(self) -> None:
        """Races whose process outlived the last runner here are watched on; the others did not survive."""
        for job in self._store.jobs():
            if job.state == "queued":
                continue
            if processes.is_alive(job.pid, job.pid_started):
                assert job.pid is not None
                self._watched[job.id] = _Watch(job.pid, job.pid_started, process=None)
            else:
                message = "the race process is gone: the machine or the runner was restarted"
                self._store.move(job.id, ALIVE, "interrupted", message=message)

    def _look(self) -> None:
        """One round: who has ended, who must be killed, who is next."""
        jobs = {job.id: job for job in self._store.jobs()}
        for run_id, watch in list(self._watched.items()):
            self._check(run_id, watch, jobs.get(run_id))
        busy = [job for job in jobs.values() if job.id in self._watched and job.state in ("starting", "running")]
        running = [job for job in busy if job.state == "running"]
        if len(running) > 1 and not all(job.shared for job in running):
            self._store.mark_shared([job.id for job in running])
        if self._is_warm.is_set() and len(busy) < self._slots:
            job = pick_next([job for job in jobs.values() if job.state == "queued"], busy)
            if job is not None:
                self._start(job)

    def _check(self, run_id: str, watch: _Watch, job: Job | None) -> None:
        """``job`` is None once the race has reached its last state."""
        if watch.is_gone():
            del self._watched[run_id]
            if watch.killed and job is not None and job.want == "stop":
                self._store.move(run_id, ALIVE, "stopped", message="it did not stop by itself and was killed")
            else:
                self._store.move(run_id, ALIVE, "failed", message=watch.last_words())
        elif job is None or job.want == "stop":
            now = time.monotonic()
            watch.overdue = watch.overdue or now + GRACE_SECONDS
            if now > watch.overdue and not watch.killed:
                processes.kill(watch.pid, watch.started)
                watch.killed = True

    def _start(self, job: Job) -> None:
        if not self._store.take(job.id):
            return  # stopped or held back in this very moment
        store = self._store
        # One core stays with the app and the browser: threads that wait for each other on a core that somebody else
        # uses make a step several times slower than one thread alone.
        threads = max(1, (cores() - 1) // self._slots)
        process = self._context.Process(target=child.main, args=(job.id, store.home, store.url, threads, self._race))
        try:
            process.start()
        except (EOFError, OSError) as error:
            message = f"the race process could not be started ({type(error).__name__}: {error}); see runner.log"
            self._store.move(job.id, ALIVE, "failed", message=message)
            return
        assert process.pid is not None
        self._watched[job.id] = _Watch(process.pid, processes.start_time(process.pid), process)


def main(runner: Runner) -> None:
    """Serves, then leaves without what multiprocessing does at exit: waiting for the races, which are to go on."""
    runner.serve()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    main(Runner(Store()))
