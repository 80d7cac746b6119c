"""What the app uses to have races run. Never imports torch."""

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

from ssam.jobs.machine import Machine, read_machine
from ssam.jobs.processes import is_alive
from ssam.spec import RaceSpec
from ssam.store import Store

PROJECT = Path(__file__).resolve().parents[2]
START_SECONDS = 20.0  # a runner that has not come up by then will not


class Client:
    """Queues races and steers them. Everything goes through the store: the runner may be restarted at any time."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def submit(self, spec: RaceSpec, request_id: str, owner: str = "") -> str:
        """Queues a race and returns its id; the same ``request_id`` again returns the same run. Starts a runner if
        none lives."""
        run_id = self.store.create_run(spec, request_id, owner)
        self.ensure_runner()
        return run_id

    def pause(self, run_id: str) -> None:
        """Holds a race after its current step; a queued one is passed over until it is resumed."""
        self.store.want(run_id, "pause")

    def resume(self, run_id: str) -> None:
        self.store.want(run_id, "run")

    def stop(self, run_id: str) -> None:
        """Ends a race for good, a queued one at once."""
        self.store.want(run_id, "stop")

    def machine(self) -> Machine | None:
        """What races run on; None until a runner has found out."""
        return read_machine(self.store.home)

    def runner_alive(self) -> bool:
        path = runner_file(self.store.home)
        if not path.exists():
            return False
        runner = json.loads(path.read_text(encoding="utf-8"))
        return is_alive(runner["pid"], runner["started"])

    def ensure_runner(self) -> None:
        """Starts a runner of its own session unless one lives, and waits until it does (about half a second).

        Of several runners started at once one stays. Raises RuntimeError with the last words of ``runner.log``
        where none comes up.
        """
        if self.runner_alive():
            return
        log = self.store.home / "runner.log"
        path = os.pathsep.join(filter(None, [str(PROJECT), os.environ.get("PYTHONPATH")]))
        places = {"SSAM_HOME": str(self.store.home), "SSAM_DATABASE_URL": self.store.url, "PYTHONPATH": path}
        with log.open("ab") as output:
            runner = subprocess.Popen(
                [sys.executable, "-P", "-m", "ssam.jobs.runner"],
                cwd=self.store.home,
                env={**os.environ, **places},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # it outlives the app and its terminal
            )
        threading.Thread(target=runner.wait, daemon=True).start()  # so that it leaves no zombie when it ends
        deadline = time.monotonic() + START_SECONDS
        while not self.runner_alive():
            if runner.poll() or time.monotonic() > deadline:
                last = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
                raise RuntimeError(f"the runner did not start: {' '.join(last) or 'no message'} (see {log})")
            time.sleep(0.02)


def runner_file(home: Path) -> Path:
    """Holds pid and start time of the runner that has the lock."""
    return home / "runner.json"
