"""The runner with real processes; only the races are made up (``fake_race``), so that no test waits for torch."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from ssam.jobs import processes
from ssam.jobs.client import Client, runner_file
from ssam.jobs.runner import pick_next
from ssam.spec import LaneSpec, RaceSpec
from ssam.store import Job, Run, Store
from tests.fake_race import BAD_INPUT, BUG, DEAF, ENDLESS, KILLED, SHORT, STEPS

PROJECT = Path(__file__).resolve().parents[1]
LANES = (LaneSpec(method="sgd"), LaneSpec(method="sam"))


def spec(behaviour: int) -> RaceSpec:
    return RaceSpec(seed=behaviour, lanes=LANES)


def wait_for(what: Callable[[], object], seconds: float = 15.0) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


class Site:
    """A home folder with its own runner processes."""

    def __init__(self, home: Path, url: str | None = None) -> None:
        self.store = Store(home, url)
        self.client = Client(self.store)
        self.started: list[subprocess.Popen] = []

    def start_runner(self) -> subprocess.Popen:
        """Returns when the runner is ready to start races: it writes ``machine.json`` last."""
        (self.store.home / "machine.json").unlink(missing_ok=True)
        with (self.store.home / "runner.log").open("ab") as log:
            runner = subprocess.Popen(
                [sys.executable, str(PROJECT / "tests" / "fake_race.py"), str(self.store.home)],
                env={**os.environ, "SSAM_DATABASE_URL": self.store.url, "SSAM_SLOTS": "1", "PYTHONPATH": str(PROJECT)},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.started.append(runner)
        wait_for(lambda: self.client.runner_alive() and self.client.machine())
        return runner

    def run(self, run_id: str) -> Run:
        run = self.store.run(run_id)
        assert run is not None
        return run

    def wait_state(self, run_id: str, *states: str, seconds: float = 15.0) -> Run:
        wait_for(lambda: self.run(run_id).state in states, seconds)
        return self.run(run_id)

    def pid(self, run_id: str) -> int:
        pid = next(job.pid for job in self.store.jobs() if job.id == run_id)
        assert pid is not None
        return pid

    def steps(self, run_id: str) -> int:
        window = self.store.window(run_id)
        assert window is not None
        return window.lanes[0].last_step

    def running(self, behaviour: int = ENDLESS) -> str:
        """Starts a race and waits until it has taken a step."""
        run_id = self.client.submit(spec(behaviour), f"request {time.monotonic()}")
        wait_for(lambda: self.steps(run_id))
        return run_id

    def close(self) -> None:
        for runner in self.started:
            runner.kill()
            runner.wait()
        for job in self.store.jobs():
            if job.pid is not None:
                processes.kill(job.pid, job.pid_started)
        self.store.close()


@pytest.fixture(scope="module")
def shared_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    site = Site(tmp_path_factory.mktemp("served"))
    site.start_runner()
    yield site
    site.close()


@pytest.fixture
def served(shared_site: Site) -> Iterator[Site]:
    """A home with a runner that has nothing to do; whatever a test leaves behind is stopped."""
    yield shared_site
    for job in shared_site.store.jobs():
        shared_site.client.stop(job.id)
    wait_for(lambda: not shared_site.store.jobs())


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path / "home")
    yield site
    site.close()


def test_a_race_runs_to_its_end(served: Site) -> None:
    run_id = served.client.submit(spec(SHORT), "one")
    run = served.wait_state(run_id, "finished")
    assert run.result is not None
    assert [lane["name"] for lane in run.result["lanes"]] == ["sgd", "sam"]
    assert run.progress == 1.0
    assert run.created <= run.started <= run.ended
    assert not run.shared
    window = served.store.window(run_id)
    assert [(lane.state, lane.last_step, lane.points) for lane in window.lanes] == [("finished", STEPS, STEPS)] * 2
    assert 0 < window.elapsed <= run.ended - run.started
    assert "seed 0" in (served.store.run_folder(run_id) / "log.txt").read_text()


def test_the_first_line_is_there_soon(served: Site) -> None:
    served.wait_state(served.client.submit(spec(SHORT), "warm"), "finished")
    took = []
    for number in range(3):
        begin = time.monotonic()
        run_id = served.client.submit(spec(SHORT), f"timed {number}")
        wait_for(lambda run_id=run_id: served.run(run_id).message or served.run(run_id).started_info)
        took.append(time.monotonic() - begin)
        served.wait_state(run_id, "finished")
    print(f"queued to first line: {[round(1e3 * seconds) for seconds in took]} ms")
    assert min(took) < 0.5  # about 0.1 on an idle machine


def test_pause_holds_the_race_and_resume_goes_on(served: Site) -> None:
    run_id = served.running()
    served.client.pause(run_id)
    served.wait_state(run_id, "paused", seconds=2)
    held, elapsed = served.steps(run_id), served.store.window(run_id).elapsed
    until = time.monotonic() + 0.5
    while time.monotonic() < until:
        assert served.steps(run_id) == held
        time.sleep(0.02)
    assert served.store.window(run_id).elapsed == elapsed
    served.client.resume(run_id)
    served.wait_state(run_id, "running", seconds=2)
    wait_for(lambda: served.steps(run_id) > held)


def test_stop_ends_a_running_and_a_paused_race(served: Site) -> None:
    run_id = served.running()
    begin = time.monotonic()
    served.client.stop(run_id)
    served.wait_state(run_id, "stopped", seconds=3)
    print(f"stop: {1e3 * (time.monotonic() - begin):.0f} ms")
    paused = served.running()
    served.client.pause(paused)
    served.wait_state(paused, "paused", seconds=2)
    served.client.stop(paused)
    assert served.wait_state(paused, "stopped", seconds=3).ended is not None


def test_a_queued_race_waits_its_turn_and_stops_at_once(served: Site) -> None:
    first = served.running()
    second, third = (served.client.submit(spec(SHORT), name) for name in ("second", "third"))
    assert [served.run(run_id).races_ahead for run_id in (first, second, third)] == [None, 1, 2]
    served.client.stop(second)
    assert served.run(second).state == "stopped"
    assert served.run(third).races_ahead == 1
    served.client.pause(third)  # held back: the free slot does not tempt it
    served.client.stop(first)
    served.wait_state(first, "stopped")
    fourth = served.client.submit(spec(SHORT), "fourth")
    served.wait_state(fourth, "finished")
    assert served.run(third).state == "queued"
    served.client.resume(third)
    served.wait_state(third, "finished")
    assert served.run(second).started is None


def test_a_race_beside_another_is_marked_shared(served: Site) -> None:
    first = served.running()
    served.client.pause(first)
    served.wait_state(first, "paused")
    second = served.running()  # a paused race leaves its slot
    assert not served.run(second).shared
    served.client.resume(first)
    wait_for(lambda: served.run(first).shared and served.run(second).shared)


def test_bad_input_fails_with_its_own_line(served: Site) -> None:
    run = served.wait_state(served.client.submit(spec(BAD_INPUT), "bad"), "failed")
    assert run.message == "the folder 'nowhere' does not exist; choose another"


def test_a_bug_fails_with_one_line_and_a_traceback_in_the_log(served: Site) -> None:
    run_id = served.client.submit(spec(BUG), "bug")
    assert served.wait_state(run_id, "failed").message == "RuntimeError: two lines"
    assert "Traceback" in (served.store.run_folder(run_id) / "log.txt").read_text()
    assert served.steps(run_id) == 1  # what came before is kept


def test_a_killed_race_is_noticed(served: Site) -> None:
    run_id = served.running()
    begin = time.monotonic()
    os.kill(served.pid(run_id), signal.SIGKILL)
    run = served.wait_state(run_id, "failed", seconds=2)
    print(f"killed, noticed: {1e3 * (time.monotonic() - begin):.0f} ms")
    assert run.message == "the race process was killed (signal 9)"
    run = served.wait_state(served.client.submit(spec(KILLED), "suicide"), "failed")
    assert run.message == "the race process was killed (signal 9)"
    served.wait_state(served.client.submit(spec(SHORT), "next"), "finished")


def test_a_race_that_does_not_listen_is_killed(served: Site) -> None:
    run_id = served.client.submit(spec(DEAF), "deaf")
    wait_for(lambda: served.run(run_id).message == "warming up")
    pid = served.pid(run_id)
    served.client.stop(run_id)
    served.wait_state(run_id, "stopped", seconds=10)
    assert processes.start_time(pid) is None


def test_races_outlive_their_runner_and_are_adopted(site: Site) -> None:
    runner = site.start_runner()
    run_id = site.running()
    pid = site.pid(run_id)
    runner.kill()
    runner.wait()
    assert not site.client.runner_alive()
    alone = site.steps(run_id)
    wait_for(lambda: site.steps(run_id) > alone + 50)

    runner = site.start_runner()
    went_on = site.steps(run_id)
    wait_for(lambda: site.steps(run_id) > went_on)
    assert (site.run(run_id).state, site.pid(run_id)) == ("running", pid)
    queued = site.client.submit(spec(SHORT), "queued")
    submitted, until = site.steps(run_id), time.monotonic() + 0.5
    while time.monotonic() < until:
        assert site.run(queued).state == "queued"  # the adopted race has its slot
        time.sleep(0.02)
    assert site.steps(run_id) > submitted
    os.kill(pid, signal.SIGKILL)
    run = site.wait_state(run_id, "failed", seconds=2)
    assert run.message == "the race process ended before the race did; see its log.txt and runner.log"
    site.wait_state(queued, "finished")

    run_id = site.running()
    runner.terminate()
    assert runner.wait(timeout=5) == 0
    assert site.run(run_id).state == "running"
    site.client.stop(run_id)  # heard by the race itself
    site.wait_state(run_id, "stopped")


def test_a_runner_leaves_the_races_of_other_homes_alone(tmp_path: Path) -> None:
    """Two homes with one database: what the other one runs is neither adopted nor given up."""
    url = f"sqlite:///{tmp_path / 'shared.db'}"
    here, there = (Site(tmp_path / name, url) for name in ("here", "there"))
    try:
        there.start_runner()
        run_id = there.running()
        lost = there.store.create_run(spec(SHORT), "taken, and not started yet")
        assert there.store.take(lost)
        here.start_runner()
        finished = here.client.submit(spec(SHORT), "here")
        here.wait_state(finished, "finished")  # so it has looked around, and its only slot was free
        assert [here.run(one).state for one in (run_id, lost)] == ["running", "starting"]
        assert there.pid(run_id)
    finally:
        here.close()
        there.close()


def test_a_race_process_leads_a_session_of_its_own(served: Site) -> None:
    """So a signal to the runner's group, Ctrl-C in its terminal for one, does not reach it."""
    pid = served.pid(served.running())
    assert os.getsid(pid) == os.getpgid(pid) == pid


def test_a_race_whose_process_is_gone_is_interrupted(site: Site) -> None:
    runner = site.start_runner()
    run_id = site.running()
    runner.kill()
    runner.wait()
    os.kill(site.pid(run_id), signal.SIGKILL)
    taken = site.store.create_run(spec(SHORT), "taken, then the machine went down")
    assert site.store.take(taken)
    site.start_runner()
    for interrupted in (run_id, taken):
        run = site.wait_state(interrupted, "interrupted", seconds=5)
        assert "restarted" in run.message
    assert not site.store.claim(taken, os.getpid(), time.time())  # a late race process gives up


def test_it_survives_the_death_of_the_fork_server(served: Site) -> None:
    run_id = served.running()
    fork_server = psutil.Process(served.pid(run_id)).parent()
    assert fork_server is not None
    fork_server.kill()
    went_on = served.steps(run_id)
    wait_for(lambda: served.steps(run_id) > went_on + 50)
    assert served.run(run_id).state == "running"
    served.client.stop(run_id)
    served.wait_state(run_id, "stopped")
    served.wait_state(served.client.submit(spec(SHORT), "after"), "finished")


def test_the_machine_is_described(served: Site) -> None:
    machine = served.client.machine()
    assert [device.id for device in machine.devices] == ["cpu", "cuda:0"]
    assert machine.cores >= 1
    assert machine.devices[0].name == machine.cpu
    assert machine.memory_gb > 0.5


def test_two_starts_end_with_one_runner(site: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The real runner, started by the client from anywhere, with torch preloading in the background."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    begin = time.monotonic()
    starts = [threading.Thread(target=Client(site.store).ensure_runner) for _ in range(2)]
    for start in starts:
        start.start()
    for start in starts:
        start.join()
    print(f"runner up: {1e3 * (time.monotonic() - begin):.0f} ms")
    assert site.client.runner_alive()
    runner = psutil.Process(json.loads(runner_file(site.store.home).read_text())["pid"])
    try:
        home = str(site.store.home)

        def serving() -> list[int]:
            return [
                process.pid
                for process in psutil.process_iter(["cmdline"])
                if "ssam.jobs.runner" in (process.info["cmdline"] or ())
                and process.status() != psutil.STATUS_ZOMBIE
                and process.environ().get("SSAM_HOME") == home
            ]

        wait_for(lambda: serving() == [runner.pid])
        Client(site.store).ensure_runner()
        assert serving() == [runner.pid]
    finally:
        for process in [*runner.children(recursive=True), runner]:
            process.kill()


def test_a_runner_that_cannot_start_says_why(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSAM_SLOTS", "many")
    with pytest.raises(RuntimeError, match="SSAM_SLOTS 'many' must be a whole number"):
        site.client.ensure_runner()


def test_pick_next_takes_the_oldest_that_is_not_held_back() -> None:
    def job(name: str, created: float, want: str = "run") -> Job:
        return Job(name, "", created, "queued", want, None, None, False)

    assert pick_next([], []) is None
    assert pick_next([job("a", 2), job("b", 1), job("c", 0, "pause")], []).id == "b"
    assert pick_next([job("c", 0, "pause")], []) is None


def test_another_process_with_the_same_pid_is_not_ours() -> None:
    me = os.getpid()
    started = processes.start_time(me)
    assert processes.is_alive(me, started)
    assert not processes.is_alive(me, started - 60)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        processes.kill(other.pid, processes.start_time(other.pid) - 60)
        with pytest.raises(subprocess.TimeoutExpired):
            other.wait(0.3)
        processes.kill(other.pid, processes.start_time(other.pid))
        assert other.wait(5) == -signal.SIGKILL


def test_killing_what_ends_in_that_moment_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    monkeypatch.setattr(processes, "is_alive", lambda pid, started: True)
    processes.kill(gone.pid, time.time())


def test_the_client_never_imports_torch() -> None:
    code = "import sys, ssam.store, ssam.jobs.client, ssam.spec.estimate; assert not {'torch', 'pandas'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=PROJECT)
