"""The process that serves the queue of a home folder: whether it is alive, and how it is started."""

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

from filelock import FileLock

from ssam.config import lab_environment
from ssam.jobs.processes import is_alive
from ssam.store import Store
from ssam.store.places import without_folders

PROJECT = Path(__file__).resolve().parents[2]
START_SECONDS = 20.0  # seconds after which a runner that has not started will not


def runner_file(home: Path) -> Path:
    """Return the file with pid and start time of the runner that has the lock."""
    return home / "runner.json"


class RunnerProcess:
    """The runner of a store, as ``Client.runner``."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._starting = threading.Lock()  # held while a runner is started in the background

    def since(self) -> float | None:
        """Return when the runner started, in seconds since the epoch; None if none is alive."""
        try:
            runner = json.loads(runner_file(self._store.home).read_text(encoding="utf-8"))
        except FileNotFoundError:  # it never ran, or has just exited
            return None
        return runner["since"] if is_alive(runner["pid"], runner["started"]) else None

    def is_alive(self) -> bool:
        return self.since() is not None

    def ensure_in_background(self) -> None:
        """Start a runner in the background unless one is alive, for pages that only watch and should not wait."""

        def start() -> None:
            try:
                self.ensure()
            finally:
                self._starting.release()

        if not self.is_alive() and self._starting.acquire(blocking=False):  # one start at a time
            threading.Thread(target=start, daemon=True).start()

    def ensure(self) -> None:
        """Start a runner in its own session unless one is alive, and wait until it is (about half a second).

        Raise RuntimeError with the last line of ``runner.log`` if none starts.
        """
        if self.is_alive():
            return
        with FileLock(self._store.home / "start.lock"):  # all open pages notice at once that it is gone
            if not self.is_alive():
                self._start()

    def _start(self) -> None:
        log = self._store.home / "runner.log"
        path = os.pathsep.join(filter(None, [str(PROJECT), os.environ.get("PYTHONPATH")]))
        with log.open("ab") as output:
            runner = subprocess.Popen(
                [sys.executable, "-P", "-m", "ssam.jobs.runner"],
                cwd=self._store.home,
                env={**os.environ, **lab_environment(self._store.home, self._store.url), "PYTHONPATH": path},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # it outlives the app and its terminal
            )
        threading.Thread(target=runner.wait, daemon=True).start()  # so that it leaves no zombie when it ends
        deadline = time.monotonic() + START_SECONDS
        while not self.is_alive():
            if runner.poll() or time.monotonic() > deadline:
                last = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
                raise RuntimeError(
                    f"the runner did not start: {without_folders(' '.join(last)) or 'no message'} (see {log.name})"
                )
            time.sleep(0.02)
