"""The runner with real processes; only the races are made up (``fake_race``), so that no test waits for torch."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psutil
import pytest
from sqlalchemy import make_url

from ssam.config import read_limits
from ssam.jobs import processes
from ssam.jobs.client import Client
from ssam.jobs.queue import ATTEMPTS
from ssam.jobs.runner_process import runner_file
from ssam.jobs.sweep_driver import SweepDriver
from ssam.store import Person, Store
from tests.counts import statements
from tests.fake_race import BAD_INPUT, BUG, DEAF, ENDLESS, KILLED, LONG, SHORT, STEPS, UNFIT
from tests.fake_runner import PROJECT, TORCH, Site, kept, spec
from tests.golden import assert_one_line_error
from tests.patience import SECONDS, always, wait_until


def left(site: Site) -> Iterator[Site]:
    """Whatever a test leaves behind is stopped; where it failed pytest shows what is printed here."""
    yield site
    log = (site.store.home / "runner.log").read_text(encoding="utf-8")
    print(*site.store.queue.jobs(), log[-2000:], sep="\n")
    site.stop(*(job.id for job in site.store.queue.jobs()))


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def narrow_site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    url = request.getfixturevalue("postgres").new_database() if request.param == "postgresql" else None
    yield from kept(tmp_path_factory, "narrow", url, **TORCH)


@pytest.fixture(scope="module")
def wide_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    yield from kept(tmp_path_factory, "wide", SSAM_SLOTS="2", FAKE_GPUS="2", CUDA_VISIBLE_DEVICES="4,5", **TORCH)


@pytest.fixture
def served(narrow_site: Site) -> Iterator[Site]:
    """A home with one slot and a runner that has nothing to do."""
    yield from left(narrow_site)


@pytest.fixture
def wide(wide_site: Site) -> Iterator[Site]:
    """The same with two GPUs and room for two races on the CPU."""
    yield from left(wide_site)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path / "home")
    yield site
    site.close()


ADA = Person("ada")


def test_a_race_runs_to_its_end(served: Site) -> None:
    run_id = served.submit(SHORT)
    run = served.wait_state(run_id, "finished")
    assert run.result is not None
    assert [lane["name"] for lane in run.result["lanes"]] == ["sgd", "sam"]
    assert run.progress == 1.0
    assert run.created <= run.started <= run.ended
    assert not run.shared
    window, steps = served.store.curves.window(run_id), STEPS[SHORT]
    assert [(lane.state, lane.last_step, lane.points) for lane in window.lanes] == [("finished", steps, steps)] * 2
    assert 0 < window.elapsed <= run.ended - run.started
    assert f"seed {run.spec.seed}" in served.log(run_id)


def test_a_runner_with_nothing_to_do_asks_little(tmp_path: Path) -> None:
    """One statement a look at the queue, and one at the sweeps."""
    with closing(Store(tmp_path)) as store:
        with statements() as sent:
            store.queue.jobs()
        assert len(sent) == 1
        sweeper = SweepDriver(store, read_limits(), lambda: 1)
        with statements() as sent:
            assert not sweeper.look()
        assert len(sent) == 1


def test_pause_gives_the_place_up_and_resume_comes_back_to_it(served: Site) -> None:
    run_id = served.running()
    next_one = served.submit(SHORT, "bob")
    served.client.races.pause(run_id, ADA)
    served.wait_state(run_id, "paused")
    held, elapsed = served.steps(run_id), served.store.curves.window(run_id).elapsed
    assert served.run(run_id).checkpointed is not None
    served.wait_state(next_one, "finished")
    assert served.run(run_id).state == "paused"
    assert (served.steps(run_id), served.store.curves.window(run_id).elapsed) == (held, elapsed)
    served.client.races.resume(run_id, ADA)
    wait_until(lambda: served.steps(run_id) > held)
    taken = int(served.log(run_id).rpartition("from step ")[2].split()[0])
    assert 2 * held - 1 <= taken <= 2 * held  # of two lanes, of which the second may be one step behind


def test_stop_ends_a_running_and_a_paused_race(served: Site) -> None:
    run_id = served.running()
    served.client.races.stop(run_id, ADA)
    served.wait_state(run_id, "stopped")
    paused = served.running()
    served.client.races.pause(paused, ADA)
    served.wait_state(paused, "paused")
    served.client.races.stop(paused, ADA)
    assert served.run(paused).state == "stopped"
    assert served.run(paused).ended is not None


def test_a_queued_race_waits_its_turn_and_stops_at_once(served: Site) -> None:
    first = served.running()
    second, third = served.submit(SHORT), served.submit(SHORT)
    wait_until(lambda: served.places(first, second, third) == [None, 1, 2])
    served.client.races.stop(second, ADA)
    assert served.run(second).state == "stopped"
    served.client.races.pause(third, ADA)
    assert served.run(third).state == "paused"  # the free slot does not tempt it
    served.client.races.stop(first, ADA)
    served.wait_state(served.submit(SHORT), "finished")
    assert served.run(third).state == "paused"
    served.client.races.resume(third, ADA)
    served.wait_state(third, "finished")
    assert served.run(second).started is None


def test_only_the_owner_and_teachers_steer(served: Site) -> None:
    run_id = served.running()
    for action in (
        served.client.races.pause,
        served.client.races.resume,
        served.client.races.stop,
        served.client.races.purge,
    ):
        with pytest.raises(PermissionError, match="someone else"):
            action(run_id, Person("bob"))
    with pytest.raises(ValueError, match="still running"):
        served.client.races.purge(run_id, ADA)
    served.client.races.stop(run_id, Person("bob", teacher=True))
    served.wait_state(run_id, "stopped")
    served.client.races.purge(run_id, ADA)
    assert served.store.runs.get(run_id) is None
    with pytest.raises(ValueError, match="no race"):
        served.client.races.stop(run_id, ADA)


def test_bad_input_fails_with_its_own_line(served: Site) -> None:
    run = served.wait_state(served.submit(BAD_INPUT), "failed")
    assert run.message == UNFIT


def test_a_bug_fails_with_one_line_and_a_traceback_in_the_log(served: Site) -> None:
    run_id = served.submit(BUG)
    assert served.wait_state(run_id, "failed").message == "RuntimeError: two lines"
    assert "Traceback" in served.log(run_id)
    assert served.steps(run_id) == 1  # what came before is kept


def test_a_killed_race_is_noticed_and_goes_on_by_itself(served: Site) -> None:
    run_id = served.running(LONG)
    wait_until(lambda: served.run(run_id).checkpointed)
    pid, reached = served.pid(run_id), served.steps(run_id)
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: served.job(run_id).pid != pid)
    assert served.steps(run_id) >= reached
    served.wait_state(run_id, "finished")
    assert "from step 0" in served.log(run_id)
    assert served.log(run_id).count("from step") == 2
    window = served.store.curves.window(run_id, points=10_000)
    assert [lane.steps["step"] for lane in window.lanes] == [[float(n + 1) for n in range(STEPS[LONG])]] * 2


def test_a_race_that_keeps_dying_is_given_up(served: Site) -> None:
    run_id = served.submit(KILLED)
    run = served.wait_state(run_id, "interrupted")
    expected = f"the race process was killed (signal 9), {ATTEMPTS} times without progress: about to be killed"
    assert run.message == expected
    assert served.log(run_id).count("from step 0") == ATTEMPTS
    served.wait_state(served.submit(SHORT), "finished")
    served.client.races.resume(run_id, ADA)  # who insists may try again
    wait_until(lambda: served.log(run_id).count("from step 0") > ATTEMPTS)
    served.wait_state(run_id, "interrupted")


def suspend_between_writes(store: Store, process: psutil.Process) -> None:
    """Not amid a transaction: SQLite's only lock would be held for as long as the process stands still."""
    while True:
        process.suspend()
        if not store.url.startswith("sqlite"):
            return
        with closing(sqlite3.connect(str(make_url(store.url).database), timeout=0.0)) as probe:
            try:
                probe.execute("BEGIN IMMEDIATE")
                probe.rollback()
                return
            except sqlite3.OperationalError:
                process.resume()


def test_who_wished_for_something_before_the_death_gets_it(served: Site) -> None:
    """The wish and the death come so close together that the race cannot have heard of it."""
    for wish, state in (("stop", "stopped"), ("pause", "paused")):
        run_id = served.running()
        process = psutil.Process(served.pid(run_id))
        suspend_between_writes(served.store, process)
        served.store.queue.set_desired_state(run_id, wish)
        process.kill()
        run = served.wait_state(run_id, state)
        assert_one_line_error(run.message, ["killed", "signal 9"])
    served.client.races.resume(run_id, ADA)
    served.wait_state(run_id, "running")


def test_the_queue_is_fair_between_owners(served: Site) -> None:
    """ada was first with three races; bob and cyd have their turns between hers."""
    blocker = served.running(owner="zoe")
    order = [served.submit(SHORT, owner) for owner in ("f-ada", "f-ada", "f-ada", "f-bob", "f-bob", "f-cyd")]
    wait_until(lambda: served.places(*order) == [1, 4, 6, 2, 5, 3])
    served.stop(blocker)
    runs = [served.wait_state(run_id, "finished") for run_id in order]
    started = [run.owner[2:] for run in sorted(runs, key=lambda run: run.started)]
    assert started == ["ada", "bob", "cyd", "ada", "bob", "ada"]


def test_a_gpu_is_one_slot_and_all_that_a_race_sees(wide: Site) -> None:
    machine = wide.client.machine()
    assert [device.id for device in machine.devices] == ["cpu", "cuda:0", "cuda:1"]
    assert (machine.slots, machine.devices[0].name) == (4, machine.cpu)
    assert machine.memory_gb > 0.5
    first, second = (wide.running(owner=owner) for owner in ("ada", "bob"))
    third = wide.submit(ENDLESS, "cyd", device="cuda:1")
    fourth = wide.running(owner="dan", device="cpu")
    assert [wide.run(run_id).slot for run_id in (first, second, fourth)] == ["cuda:0", "cuda:1", "cpu"]
    for run_id, seen in ((first, "4"), (second, "5"), (fourth, "")):
        assert f"GPUs '{seen}'" in wide.log(run_id)
    always(lambda: wide.run(third).state == "queued")  # though there is room on the CPU
    wide.stop(second)
    assert wide.wait_state(third, "running").slot == "cuda:1"


def test_a_device_that_is_not_there_fails_at_once(wide: Site) -> None:
    run = wide.wait_state(wide.submit(SHORT, device="cuda:7"), "failed")
    assert_one_line_error(run.message, ["device 'cuda:7'", "allowed: auto, cuda:0, cuda:1, cpu"])


def test_one_owner_has_only_so_many_races_running(wide: Site) -> None:
    first, second = wide.running(device="cpu"), wide.running(device="auto")
    third = wide.submit(SHORT, device="auto")
    wide.wait_state(wide.submit(SHORT, "bob", device="auto"), "finished")  # there is room, only not for ada
    assert wide.run(third).state == "queued"
    assert wide.run(first).shared
    assert wide.run(second).shared
    wide.stop(first)
    wide.wait_state(third, "finished")


def test_an_exclusive_race_runs_alone(wide: Site) -> None:
    first = wide.running(owner="x-ada")
    alone = wide.submit(ENDLESS, "x-eve", exclusive=True)
    other = wide.submit(SHORT, "x-bob", device="cpu")
    always(lambda: {wide.run(alone).state, wide.run(other).state} == {"queued"})  # it has the turn: nobody overtakes it
    assert not wide.run(first).shared
    wide.stop(first)
    wide.wait_state(alone, "running")
    always(lambda: wide.run(other).state == "queued")
    wide.stop(alone)
    wide.wait_state(other, "finished")
    assert not wide.run(alone).shared


def test_a_race_that_does_not_listen_is_killed(wide: Site) -> None:
    stopped, paused = wide.submit(DEAF, "ada"), wide.submit(DEAF, "bob")
    for run_id in (stopped, paused):
        wait_until(lambda run_id=run_id: wide.run(run_id).message == "warming up")
    pids = [wide.pid(run_id) for run_id in (stopped, paused)]
    wide.client.races.stop(stopped, ADA)
    wide.client.races.pause(paused, Person("bob"))
    for run_id, state in ((stopped, "stopped"), (paused, "paused")):
        assert_one_line_error(wide.wait_state(run_id, state).message, ["killed"])
    assert [processes.start_time(pid) for pid in pids] == [None, None]


@pytest.mark.slow
def test_races_outlive_their_runner_and_are_adopted(site: Site) -> None:
    runner = site.start_runner(**TORCH)
    run_id = site.running()
    pid = site.pid(run_id)
    runner.kill()
    runner.wait()
    assert not site.client.runner.is_alive()
    alone = site.steps(run_id)
    wait_until(lambda: site.steps(run_id) > alone + 50)

    runner = site.start_runner(**TORCH)
    went_on = site.steps(run_id)
    wait_until(lambda: site.steps(run_id) > went_on)
    assert (site.run(run_id).state, site.pid(run_id)) == ("running", pid)
    queued = site.submit(SHORT)
    always(lambda: site.run(queued).state == "queued")  # the adopted race has its slot
    assert site.steps(run_id) > went_on
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: site.job(run_id).pid != pid)
    wait_until(lambda: site.log(run_id).count("from step") == 2)  # on from its checkpoint, before the younger one
    assert site.run(queued).state == "queued"

    runner.terminate()
    assert runner.wait(SECONDS) == 0
    site.wait_state(run_id, "running")
    site.client.races.stop(run_id, ADA)  # heard by the race itself
    site.wait_state(run_id, "stopped")


@pytest.mark.slow
def test_what_died_with_the_machine_goes_on(site: Site) -> None:
    """Runner and races are gone at once; the next runner finds only what the store says."""
    runner = site.start_runner(**TORCH)
    run_id = site.running()
    wait_until(lambda: site.run(run_id).checkpointed)
    runner.kill()
    runner.wait()
    os.kill(site.pid(run_id), signal.SIGKILL)
    reached = site.steps(run_id)
    taken = site.store.runs.create(spec(SHORT), "taken, then the machine went down", "bob")
    assert site.store.queue.assign(taken, "cpu")
    unheard = site.store.runs.create(spec(SHORT), "wished for, then the machine went down", "bob")
    assert site.store.queue.assign(unheard, "cpu")
    site.store.queue.set_desired_state(unheard, "stop")
    site.start_runner(**TORCH)
    assert "restarted" in site.wait_state(unheard, "stopped").message
    wait_until(lambda: site.steps(run_id) > reached)
    assert site.run(run_id).state == "running"
    assert site.run(taken).state == "queued"  # the only slot went to the older one
    assert not site.store.queue.acquire(taken, os.getpid(), time.time())  # a late race process gives up
    site.stop(run_id)
    site.wait_state(taken, "finished")


def test_a_runner_leaves_the_races_of_other_homes_alone(site: Site) -> None:
    """Two homes with one database: what the other one runs is neither adopted nor given up, and comes back only to it."""
    there = Store(site.store.home.with_name("there"), site.store.url)
    lost, back = (there.runs.create(spec(SHORT), name, "bob") for name in ("taken, and not started yet", "paused"))
    assert there.queue.assign(lost, "cpu")
    assert there.queue.assign(back, "cpu")
    assert there.queue.transition(back, ("starting",), "paused")
    there.queue.resume(back)
    site.start_runner()
    site.wait_state(site.submit(SHORT), "finished")  # so it has looked around, and its only slot was free
    assert [site.run(run_id).state for run_id in (lost, back)] == ["starting", "queued"]
    assert site.store.queue.jobs() == []
    assert [job.id for job in there.queue.jobs()] == [lost, back]
    there.close()


@pytest.mark.slow
def test_races_wait_while_there_is_no_room_on_the_disk(site: Site) -> None:
    big = site.store.image_root / "big.zip"
    with big.open("wb") as file:
        file.truncate(20_000_000)
    site.start_runner(SSAM_DISK_GB="0.01", SSAM_RACE_MINUTES="0.01")
    run_id = site.submit(DEAF)
    always(lambda: site.run(run_id).state == "queued")
    assert_one_line_error(site.client.disk().waits, ["disk", "0.02 GB", "0.01 GB"])
    big.unlink()
    wait_until(lambda: site.run(run_id).state == "starting")
    # And as the limit on its time is short, and it does not listen:
    wait_until(lambda: site.run(run_id).state == "stopped")
    assert_one_line_error(site.run(run_id).message, ["killed"])


def test_a_race_process_leads_a_session_of_its_own(served: Site) -> None:
    """So a signal to the runner's group, Ctrl-C in its terminal for one, does not reach it."""
    pid = served.pid(served.running())
    assert os.getsid(pid) == os.getpgid(pid) == pid


def test_it_survives_the_death_of_the_fork_server(served: Site) -> None:
    run_id = served.running()
    fork_server = psutil.Process(served.pid(run_id)).parent()
    assert fork_server is not None
    fork_server.kill()
    went_on = served.steps(run_id)
    wait_until(lambda: served.steps(run_id) > went_on + 50)
    assert served.run(run_id).state == "running"
    served.stop(run_id)
    served.wait_state(served.submit(SHORT), "finished")


def test_two_starts_end_with_one_runner(site: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The real runner, started by the client from anywhere, with torch preloading in the background."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    starts = [threading.Thread(target=Client(site.store).runner.ensure) for _ in range(2)]
    for start in starts:
        start.start()
    for start in starts:
        start.join()
    assert site.client.runner.is_alive()
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

        wait_until(lambda: serving() == [runner.pid])
        places = {"SSAM_HOME": home, "SSAM_DATABASE_URL": site.store.url, "PYTHONPATH": str(PROJECT)}
        subprocess.run([sys.executable, "-m", "ssam.jobs.runner"], env={**os.environ, **places}, check=True)
        Client(site.store).runner.ensure()
        assert serving() == [runner.pid]
    finally:
        for process in [*runner.children(recursive=True), runner]:
            process.kill()


def test_a_runner_that_cannot_start_says_why(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSAM_SLOTS", "many")
    with pytest.raises(RuntimeError, match=r"SSAM_SLOTS 'many' .*whole number"):
        site.client.runner.ensure()


def test_another_process_with_the_same_pid_is_not_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    me = os.getpid()
    started = processes.start_time(me)
    assert processes.is_alive(me, started)
    assert not processes.is_alive(me, started - 60)
    boot = psutil.boot_time()
    for module in (psutil, psutil._pslinux):
        monkeypatch.setattr(module, "boot_time", lambda: boot + 3600)
    assert processes.is_alive(me, started)  # the clock was set: a process is as old as before


@pytest.mark.parametrize("groups", [True, False], ids=["groups", "no groups"])
def test_a_process_is_killed_with_its_group(groups: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not groups:  # as on Windows
        monkeypatch.delattr(os, "killpg")
    code = "import os, subprocess; os.setsid(); print(subprocess.Popen(['sleep', '60']).pid, flush=True); input()"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", code], **pipes) as leader:
        sleeper = psutil.Process(int(leader.stdout.readline()))
        process = processes.find(leader.pid, processes.start_time(leader.pid))
        processes.kill(process)
        assert leader.wait(SECONDS) == -signal.SIGKILL
        wait_until(lambda: not processes.still_runs(sleeper))
        processes.kill(process)  # it is gone: nothing happens


def test_the_client_never_imports_torch() -> None:
    code = "import sys, ssam.store, ssam.jobs.client, ssam.planning.estimate; assert not {'torch', 'pandas'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=PROJECT)
