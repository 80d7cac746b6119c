"""The runner: one process per home folder that takes races from the queue and starts a process for each.

It has no state that is not in the store. If it is killed, its races keep running; the next runner adopts them.
"""

import multiprocessing.connection
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from types import FrameType

from filelock import FileLock, Timeout
from sqlalchemy.exc import DBAPIError

from ssam.config import Limits, read_limits
from ssam.jobs import disk, processes, queue, race_process
from ssam.jobs.duel_driver import DuelDriver
from ssam.jobs.hardware import DeviceInfo, Machine, describe, read_machine, torch_devices, write_json, write_machine
from ssam.jobs.process_pool import ForkServer, Worker
from ssam.jobs.ray.engine import chosen_engine
from ssam.jobs.retry import log, outage_reason
from ssam.jobs.runner_process import runner_file
from ssam.jobs.sweep_driver import SweepDriver
from ssam.store import Job, Store
from ssam.store.views import ALIVE
from ssam.system import cores

LOOK_SECONDS = 0.04  # seconds between two reads of the queue
DISK_SECONDS = 60.0  # seconds between two looks at the disk
FULL_DISK_SECONDS = 2.0  # the same while races wait for disk space
SWEEP_SECONDS = 0.15  # seconds between two looks at the sweeps
IDLE_SWEEP_SECONDS = 0.5  # the same while there is none
RETRY_SECONDS = 1.0  # seconds after the database could not be reached
HANDOVER_SECONDS = 2.0  # a runner that is exiting still holds the lock for a moment
LATE_SECONDS = 10.0  # seconds after its time limit until a race that has not stopped is told to
PRELOAD = (
    "torch",
    "torchvision",
    "ssam.engine",
    "ssam.data",
    "ssam.models",
    "ssam.jobs.race_process",
    "ssam.jobs.hardware",
)


class Runner:
    """
    Args:
        store: whose queue to serve.
        race: makes the race, called in the race process. Picklable, as is ``devices``.
        devices: finds the accelerators, called in a separate process.
        preload: modules that the fork server imports once.

    Raises ValueError, one line, for a bad limit in the environment.
    """

    def __init__(
        self,
        store: Store,
        race: race_process.RaceFactory = race_process.engine_race,
        devices: Callable[[], list[DeviceInfo]] = torch_devices,
        preload: Sequence[str] = PRELOAD,
    ) -> None:
        self._store, self._race, self._devices = store, race, devices
        driver = () if store.url.startswith("sqlite") else ("psycopg",)
        self._preload = (*preload, *driver)
        self._limits: Limits = read_limits()
        self._machine: Machine | None = None  # until the devices are known, nothing starts
        self._disk: disk.Disk | None = None  # likewise
        self._workers: dict[str, Worker] = {}
        self._leaving = False

    def serve(self) -> None:
        """Serve until SIGTERM; return at once if another runner already does."""
        lock = FileLock(self._store.home / "runner.lock")
        try:
            lock.acquire(timeout=HANDOVER_SECONDS)
        except Timeout:
            log("another runner serves this home folder")
            return
        signal.signal(signal.SIGTERM, self._leave)
        me = {"pid": os.getpid(), "started": processes.start_time(os.getpid()), "since": time.time()}
        write_json(runner_file(self._store.home), me)
        self._fork_server = ForkServer(self._preload)
        for task in (self._warm_up, self._watch_disk, self._drive_sweeps):
            threading.Thread(target=task, daemon=True).start()
        while not self._leaving:
            try:
                self._poll()
            except DBAPIError as error:  # locked, full or unreachable: the races continue, and so does the runner
                if (why := outage_reason(error)) is None:
                    raise
                log(f"{why} ({error.orig})")
                time.sleep(RETRY_SECONDS)
            own = [worker.own for worker in self._workers.values() if worker.own is not None]
            ends = [process.sentinel for process in own if process.exitcode is None]
            multiprocessing.connection.wait(ends, LOOK_SECONDS) if ends else time.sleep(LOOK_SECONDS)
        runner_file(self._store.home).unlink()
        lock.release()

    def _leave(self, signal_number: int, frame: FrameType | None) -> None:
        self._leaving = True

    def _warm_up(self) -> None:
        """Start a first process, which waits until the fork server has imported torch, so that no race has to."""
        try:
            probe = self._fork_server.start(write_machine, self._store.home, self._limits.slots, self._devices)
            probe.join()
            if probe.exitcode != 0:  # disk full, or a driver that does not answer
                log(f"looking for GPUs ended with {probe.exitcode}; keeping the previous result")
        finally:
            self._machine = read_machine(self._store.home) or describe(self._limits.slots, [])

    def _watch_disk(self) -> None:
        while True:
            try:
                self._disk = disk.make_room(self._store, self._limits.disk_gb)
                disk.write_disk(self._store.home, self._disk)
            except (OSError, DBAPIError) as error:
                log(f"looking after the disk: {error}")
            time.sleep(FULL_DISK_SECONDS if self._disk is None or self._disk.waits else DISK_SECONDS)

    def _drive_sweeps(self) -> None:
        sweeper = SweepDriver(
            self._store, self._limits, lambda: self._machine.slots if self._machine else self._limits.slots
        )
        duels = DuelDriver(self._store)
        while True:
            try:
                some = any([duels.look(), sweeper.look()])
            except (OSError, DBAPIError) as error:
                log(f"driving sweeps and duels: {error}")
                time.sleep(RETRY_SECONDS)
            else:
                time.sleep(SWEEP_SECONDS if some else IDLE_SWEEP_SECONDS)

    def _poll(self) -> None:
        """Do one round: processes that have ended, processes to kill, races to start."""
        jobs = {job.id: job for job in self._store.queue.jobs()}
        dead = [self._check(run_id, worker, jobs.get(run_id)) for run_id, worker in list(self._workers.items())]
        dead += [self._attach(job) for job in jobs.values() if job.state in ALIVE and job.id not in self._workers]
        if any(dead):
            return  # the queue has changed
        training = [job for job in jobs.values() if job.state == "running"]
        if len(training) > 1 and not all(job.shared for job in training):
            self._store.queue.mark_shared([job.id for job in training])
        if self._machine is not None and self._disk is not None:
            queued = [job for job in jobs.values() if job.state == "queued" and job.id not in self._workers]
            possible = self._possible(queue.settled(queued, self._machine.auto), self._machine)
            if possible and not self._disk.waits:
                self._start_next(possible, self._machine)

    def _check(self, run_id: str, worker: Worker, job: Job | None) -> bool:
        """Return whether the process died. ``job`` is None once the race has reached a state that needs no process."""
        if worker.is_gone():
            died = job is not None and job.state in ALIVE and job.pid in (None, worker.pid)
            if job is not None and died:
                self._handle_dead(job, worker.last_words())
            del self._workers[run_id]
            return died
        if job is None or job.state == "queued" or job.want != "run":
            worker.end_soon()
        elif time.monotonic() > worker.until:
            self._store.queue.set_desired_state(run_id, "stop")
        else:
            worker.overdue = None  # the request was withdrawn in time
        return False

    def _attach(self, job: Job) -> bool:
        """Adopt a race process that another runner started; return whether it is gone."""
        process = processes.find(job.pid, job.pid_started)
        if process is None:
            self._handle_dead(job, "the race process is gone: the machine or the runner was restarted")
            return True
        self._workers[job.id] = Worker(job, process, self._until())
        return False

    def _handle_dead(self, job: Job, cause: str) -> None:
        """Set the new state of a race whose process died before the race had ended."""
        state = queue.after_death(job)
        if state == "queued":
            cause += "; the race continues automatically"
        elif state == "interrupted":
            last_line = self._store.runs.log_tail(job.id, lines=1).strip()
            cause += f", {job.attempts} times without progress" + (f": {last_line[:200]}" if last_line else "")
        self._store.queue.abandon(job, state, cause)

    def _possible(self, queued: Sequence[Job], machine: Machine) -> list[Job]:
        """Return the jobs whose device exists on this machine; the others fail now, so that they block nobody."""
        devices = {job.device: queue.suiting(job.device, machine.places) for job in queued}
        allowed = ", ".join(["auto", *dict.fromkeys(machine.places)])
        for job in queued:
            if not devices[job.device]:
                message = f"device {job.device!r} is not on this machine; allowed: {allowed}"
                self._store.queue.transition(job.id, ("queued",), "failed", message=message)
        return [job for job in queued if devices[job.device]]

    def _start_next(self, queued: Sequence[Job], machine: Machine) -> None:
        busy = [worker.job for worker in self._workers.values()]  # those about to exit still occupy their slot
        if len(busy) >= machine.slots:
            return
        owners = {job.owner for job in queued}
        served = self._store.queue.last_served(list(owners)) if len(owners) > 1 else {}
        turn = queue.pick(queued, busy, machine.places, self._limits.owner_running, served)
        if turn is not None and self._store.queue.assign(turn.job.id, turn.slot):
            self._start(turn, machine)

    def _start(self, turn: queue.Turn, machine: Machine) -> None:
        # Leave one core to the app and the browser: threads that wait for each other on a core in use by others
        # make a step several times slower than a single thread.
        threads = max(1, (cores() - 1) // machine.slots)
        run_id, store = turn.job.id, self._store
        try:
            own = self._fork_server.start(
                race_process.main, run_id, store.home, store.url, threads, turn.slot, self._race
            )
        except (EOFError, OSError) as error:
            message = f"the race process could not be started ({type(error).__name__}: {error}); see runner.log"
            store.queue.transition(run_id, ALIVE, "failed", message=message)
            return
        assert own.pid is not None
        job = replace(turn.job, slot=turn.slot)
        self._workers[run_id] = Worker(job, processes.look_up(own.pid), self._until(), own)

    def _until(self) -> float:
        return time.monotonic() + 60 * self._limits.race_minutes + LATE_SECONDS


def main(runner: Runner) -> None:
    """Serve, then exit without multiprocessing's exit handler, which would wait for the races: they must continue."""
    runner.serve()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    try:
        lab = Runner(Store(), *chosen_engine())
    except ValueError as error:
        sys.exit(str(error))
    main(lab)
