"""A small lab of real processes that may be killed at any moment, with methods to inspect it afterwards."""

import contextlib
import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from PIL import Image

from benchmarks.drills.kept import kept, points
from ssam.experiment import RaceSpec, parse_spec
from ssam.jobs.client import Client
from ssam.jobs.processes import still_runs
from ssam.jobs.runner_process import runner_file
from ssam.store import Run, Store

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = {  # one core; checkpoints as often as allowed, every few steps of a race of about ten seconds
    "OMP_NUM_THREADS": "1",
    "SSAM_SLOTS": "1",
    "SSAM_CHECKPOINT_SECONDS": "0.3",
    "SSAM_DISK_GB": "0.05",
    "SSAM_DEVICE": "cpu",
    "PYTHONPATH": str(ROOT),
}
PATIENCE = 180.0  # seconds; everything here should be much faster


class Lab:
    """A home folder with a runner, races, and a server if one is started. ``lost`` counts points that were readable and no longer
    are, or that have changed; ``read`` counts the points that were checked."""

    def __init__(self, home: Path, **settings: str) -> None:
        self.settings = {**SETTINGS, "SSAM_HOME": str(home), **settings}
        os.environ.update(self.settings)
        self.home = home
        self.open()
        self.spec = lesson(self.store)
        self.server: subprocess.Popen | None = None
        self.port = free_port()
        self.read, self.lost = 0, 0
        self.compares_times = True
        self._seen: dict[str, dict] = {}

    # Starting and ending

    def open(self) -> None:
        """Open the database, or reopen it if it was closed."""
        self.store = Store(self.home)
        self.client = Client(self.store)

    def start_runner(self) -> None:
        self.client.runner.ensure()

    def start_server(self) -> None:
        """Start the server and wait until it answers."""
        assert self.try_server() == "", "it does not start"

    def try_server(self) -> str:
        """Start the server. Return an empty string once it answers, or its last message if it refused to start."""
        with (self.home / "server.log").open("ab") as log:
            self.server = subprocess.Popen(
                [sys.executable, "-m", "streamlit", "run", "app/main.py", f"--server.port={self.port}"],
                cwd=ROOT,
                stdout=log,
                stderr=log,
            )
        wait_for(lambda: self.answer("/_stcore/health") == 200 or self.server.poll() is not None)
        return "" if self.server.poll() is None else (self.home / "server.log").read_text().strip().splitlines()[-1]

    def answer(self, path: str) -> int | None:
        """Return the HTTP status of the server's answer; None if it does not answer."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return None

    def kill_server(self) -> None:
        assert self.server is not None
        self.server.kill()
        self.server.wait()
        self.server = None

    def runner(self) -> psutil.Process:
        return psutil.Process(json.loads(runner_file(self.home).read_text(encoding="utf-8"))["pid"])

    def processes(self) -> list[psutil.Process]:
        """Return all processes that run for this home folder, except the server and this process."""
        own = {os.getpid(), *([self.server.pid] if self.server else [])}
        found = []
        for process in psutil.process_iter():
            try:
                mine = process.environ().get("SSAM_HOME") == str(self.home)
                if mine and process.pid not in own and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
        return found

    def kill_everything(self) -> None:
        """Kill all processes and wait until none is left: a process takes a moment to die, and until then others see it alive."""
        everything = self.processes()
        for process in everything:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        wait_for(lambda: not any(map(still_runs, everything)), "the end of all processes")

    def orphans(self) -> int:
        """Return the number of processes that nothing owns. Call this when all races have ended: the runner and its warm processes may
        exist; anything else may take a few seconds to end."""

        def others() -> list[psutil.Process]:
            runner = self.runner()
            family = {runner.pid, *(child.pid for child in runner.children(recursive=True))}
            return [process for process in self.processes() if process.pid not in family]

        deadline = time.monotonic() + 15
        while others() and time.monotonic() < deadline:
            time.sleep(0.2)
        return len(others())

    def close(self) -> int:
        """Shut the lab down as its owner would. Return the number of processes left."""
        if self.server:
            self.kill_server()
        if self.client.runner.is_alive():
            self.runner().send_signal(signal.SIGTERM)
        deadline = time.monotonic() + 15
        while (left := self.processes()) and time.monotonic() < deadline:
            time.sleep(0.2)
        for process in left:
            process.kill()
        self.store.close()
        return len(left)

    # Races

    def race(self) -> str:
        """Queue the lesson again, whether or not it has been run before. Return its id."""
        return self.store.runs.create(self.spec, f"request {time.monotonic()}", "driller")

    def run(self, run_id: str) -> Run:
        run = self.store.runs.get(run_id)
        assert run is not None
        return run

    def pid(self, run_id: str) -> int | None:
        """Return the pid of the race's process; None while it has none."""
        return next((job.pid for job in self.store.queue.jobs() if job.id == run_id and job.state != "queued"), None)

    def wait_state(self, run_id: str, *states: str) -> Run:
        wait_for(lambda: self.run(run_id).state in states, f"one of {states}", lambda: str(self.run(run_id)))
        return self.run(run_id)

    def wait_training(self, run_id: str) -> bool:
        """Wait until a process trains the race. Return False if the race has ended instead."""
        ended = ("finished", "failed", "interrupted", "stopped")
        wait_for(lambda: self.run(run_id).state in ("running", *ended), "a race that trains", self._log)
        return self.run(run_id).state == "running"

    def wait_gone(self, run_id: str, pid: int) -> float:
        """Wait until the process no longer belongs to the race. Return the seconds that took."""
        return wait_for(lambda: self.pid(run_id) != pid, "the end of a race process", self._log)

    def wait_more(self, run_id: str, than: int) -> float:
        """Wait until there are more than ``than`` points, or the race has finished. Return the seconds that took."""
        return wait_for(lambda: self.look(run_id) > than or self.run(run_id).state == "finished", "a point", self._log)

    def wait_runner(self, other_than: int) -> tuple[float, float]:
        """Wait until another runner has been started, and until it serves. Return the seconds that each took."""

        def started() -> bool:
            found = (process for process in psutil.process_iter() if process.pid != other_than)
            return any(_is_runner_of(process, self.home) for process in found)

        begun = wait_for(started, "somebody to start a runner")
        return begun, begun + wait_for(
            lambda: self.client.runner.is_alive() and self.runner().pid != other_than, "a runner"
        )

    def look(self, run_id: str) -> int:
        """Read all points of a race, as a page would, and compare them with those read before. Return their number."""
        now, before = points(self.store, run_id, self.compares_times), self._seen.get(run_id, {})
        self.lost += sum(now.get(key) != point for key, point in before.items())
        self.read += len(before)
        self._seen[run_id] = now
        return len(now)

    def kept(self, run_id: str) -> dict[str, Any]:
        return kept(self.store, run_id)

    def _log(self) -> str:
        return (self.home / "runner.log").read_text()[-2000:]


def _is_runner_of(process: psutil.Process, home: Path) -> bool:
    try:
        return "ssam.jobs.runner" in process.cmdline() and process.environ().get("SSAM_HOME") == str(home)
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def wait_for(
    what: Callable[[], object], name: str = "it", more: Callable[[], str] = str, seconds: float = PATIENCE
) -> float:
    """Poll until ``what`` returns true. Return the seconds that took."""
    begin = time.monotonic()
    while not what():
        assert time.monotonic() < begin + seconds, f"waited in vain for {name} {more()}"
        time.sleep(0.01)
    return time.monotonic() - begin


def lesson(store: Store) -> RaceSpec:
    """Return a race of four lanes of a small network on a few images, 40% with wrong labels; ten seconds on an idle machine."""
    images = store.image_root / "drill.zip"
    images.write_bytes(_images())
    return parse_spec(
        {
            "dataset": "images",
            "data": images.name,
            "model": "cnn8",
            "image_size": 8,
            "batch_size": 8,
            "epochs": 8,
            "label_noise": 0.4,
            "fisher_samples": 16,
            "lanes": "sgd,sam,ssam-f,ssam-d",
        }
    )


def _images() -> bytes:
    """Return a zip of noisy images with stripes along and across: 40 for training and 10 for testing, of each kind."""
    draw, file = np.random.default_rng(0), io.BytesIO()
    ramp = np.arange(8)[:, None, None] * 16
    with zipfile.ZipFile(file, "w") as archive:
        for split, count in (("train", 40), ("test", 10)):
            for number in range(count):
                for name, stripes in (("across", ramp), ("along", ramp.transpose(1, 0, 2))):
                    pixels = (draw.integers(0, 128, (8, 8, 3)) + stripes).astype(np.uint8)
                    picture = io.BytesIO()
                    Image.fromarray(pixels).save(picture, "PNG")
                    archive.writestr(zipfile.ZipInfo(f"{split}/{name}/{number}.png"), picture.getvalue())
    return file.getvalue()
