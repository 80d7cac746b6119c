"""Race processes on this machine: starting, watching and ending them."""

import multiprocessing
import multiprocessing.process
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext, SpawnContext
from typing import Any

import psutil  # type: ignore[import-untyped]

from ssam.jobs import processes
from ssam.jobs.runner_process import PROJECT
from ssam.store import Job

GRACE_SECONDS = 5.0  # seconds from a request to end to SIGKILL
LOST_CODE = 255  # multiprocessing's exit code for a process whose fork server is gone


@dataclass
class Worker:
    """A race process being watched. ``own`` is None for one started by another runner."""

    job: Job  # as it was started or found
    process: psutil.Process | None  # None if it ended at once
    until: float  # on the monotonic clock: the race's time limit
    own: multiprocessing.process.BaseProcess | None = None
    overdue: float | None = None  # when it gets SIGKILL
    killed: bool = False

    @property
    def pid(self) -> int | None:
        return self.own.pid if self.own is not None else self.process and self.process.pid

    @property
    def code(self) -> int | None:
        """Return the exit code; None if unknown: for another runner's process, and after the fork server died."""
        code = None if self.own is None else self.own.exitcode
        return None if code == LOST_CODE else code

    def is_gone(self) -> bool:
        if self.own is not None and self.own.exitcode != LOST_CODE:
            return self.own.exitcode is not None
        return self.process is None or not processes.still_runs(self.process)

    def end_soon(self) -> None:
        """Send SIGKILL to a process that should end by itself but exceeds the grace period."""
        now = time.monotonic()
        self.overdue = self.overdue or now + GRACE_SECONDS
        if now > self.overdue and self.process is not None and not self.killed:
            processes.kill(self.process)
            self.killed = True

    def last_words(self) -> str:
        if self.killed:
            return "the race process did not end by itself and was killed"
        if self.code is not None and self.code < 0:
            return f"the race process was killed (signal {-self.code})"
        exit_code = "" if self.code is None else f" with exit code {self.code}"
        return f"the race process ended{exit_code} before the race did"


class ForkServer:
    """Starts processes from a fork server that has imported ``preload``, so that races start at once."""

    def __init__(self, preload: Sequence[str]) -> None:
        self._context: ForkServerContext | SpawnContext
        if "forkserver" not in multiprocessing.get_all_start_methods():
            self._context = multiprocessing.get_context("spawn")
            return
        # The fork server is started as ``python -c``: only this lets it find our modules.
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(PROJECT), os.environ.get("PYTHONPATH")]))
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(list(preload))
        forkserver.ensure_running()

    def start(self, target: Callable[..., None], *args: Any) -> multiprocessing.process.BaseProcess:
        """Start a process. Raise OSError or EOFError if that is impossible."""
        process = self._context.Process(target=target, args=args)
        process.start()
        return process
