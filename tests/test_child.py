"""The race process without a process: what it writes, what it leaves when it dies, and what it makes of that afterwards."""

import contextlib
import errno
import hashlib
import io
import itertools
import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from sqlalchemy import Connection, Engine, select
from sqlalchemy import event as engine_events
from sqlalchemy.exc import OperationalError

from ssam.experiment import LaneSpec, RaceSpec
from ssam.experiment.events import Event
from ssam.jobs import checkpoints, race_process, retry
from ssam.jobs.race_process import run_race, use_slot
from ssam.jobs.run_handle import RunHandle
from ssam.store import Run, Store, files, writer
from ssam.store.schema import bins, epochs, lanes, masks, steps
from ssam.store.views import Want
from tests import fake_race
from tests.fake_race import BUG, LONG, FakeRace
from tests.golden import assert_one_line_error
from tests.postgres import Server

SPEC = RaceSpec(seed=LONG, lanes=(LaneSpec(method="sgd"), LaneSpec(method="ssam-f")))
EVENTS = 2 * 560  # more than that many, of a race of SPEC


class Died(BaseException):
    """The process is gone: nothing after this line is written."""


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """A race of 560 steps a lane in a second or two, with many checkpoints, looks and flushes."""
    monkeypatch.setenv("SSAM_CHECKPOINT_SECONDS", "0.1")
    monkeypatch.setitem(fake_race.STEPS, LONG, 560)
    monkeypatch.setattr(fake_race, "EPOCH", 50)
    monkeypatch.setattr(fake_race, "PACE", 0.0005)
    monkeypatch.setattr(writer, "FLUSH_SECONDS", 0.03)
    monkeypatch.setattr(race_process, "LOOK_SECONDS", 0.03)
    monkeypatch.setattr(race_process, "CHECKPOINT_SHARE", 1.0)
    monkeypatch.setattr(retry, "RETRY_SECONDS", 0.1)
    for name in ("CUDA_VISIBLE_DEVICES", "SSAM_DEVICE", "SSAM_RACE_MINUTES"):
        monkeypatch.setenv(name, "")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "home")
    yield store
    store.close()


NUMBERS = itertools.count(1)  # of the requests: no two are the same


class Site:
    """Runs one race of a store, in one or several goes."""

    def __init__(self, store: Store, spec: RaceSpec = SPEC) -> None:
        self.store = store
        self.id = store.runs.create(spec, f"request {next(NUMBERS)}")
        self.folder = store.run_folder(self.id)
        self.folder.mkdir(parents=True)
        self.begins: list[int] = []  # of each go, the steps that its checkpoint had
        self.at: dict[int, Callable[[], object]] = {}  # what happens right after that many events of the next go

    @property
    def run(self) -> Run:
        run = self.store.runs.get(self.id)
        assert run is not None
        return run

    def go(self) -> Run:
        """A runner and a race process: what it took is there afterwards, whether it ended or died."""
        self.store.queue.transition(self.id, ("starting", "running"), "queued")  # what a runner does where one has died
        assert self.store.queue.assign(self.id, "cpu")
        handle = RunHandle(self.store, self.id)
        run_race(handle, self.store.home, self.store.image_root, 1, "cpu", self._race)
        return self.run

    def die(self, after: int) -> None:
        self.at = {after: _die}
        with pytest.raises(Died):
            self.go()
        self.at = {}

    def wish(self, after: int, want: Want) -> Run:
        self.at = {after: lambda: self.store.queue.set_desired_state(self.id, want)}
        run = self.go()
        self.at = {}
        return run

    def _race(self, spec: RaceSpec, home: Path, image_root: Path, threads: int, state: dict | None) -> FakeRace:
        site = self

        class Race(FakeRace):
            def events(self) -> Iterator[Event]:
                if 0 in site.at:
                    site.at[0]()
                for number, event in enumerate(super().events(), start=1):
                    yield event
                    if number in site.at:
                        site.at[number]()

        race = Race(spec, home, image_root, threads, state)
        self.begins.append(race.taken)
        return race

    def kept(self) -> dict[str, object]:
        """Everything that is stored of the race, times of this machine excepted."""
        with self.store.engine.connect() as connection:
            rows = {
                table.name: [
                    tuple(row[1:]) for row in connection.execute(select(table).order_by(*table.primary_key.columns))
                ]
                for table in (lanes, steps, bins, epochs, masks)
            }
        pictures = {path.name: path.read_bytes() for path in sorted((self.folder / "masks").glob("*"))}
        return {**rows, "pictures": pictures, "result": self.run.result, "about": self.run.started_info}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setitem(fake_race.STEPS, LONG, 560)
        patched.setattr(fake_race, "EPOCH", 50)
        patched.setattr(fake_race, "PACE", 0.0)
        for name in ("CUDA_VISIBLE_DEVICES", "SSAM_DEVICE"):  # which a race process sets for itself, and this is none
            patched.setenv(name, "")
        store = Store(tmp_path_factory.mktemp("undisturbed"))
        site = Site(store)
        assert site.go().state == "finished"
        kept = site.kept()
        store.close()
    assert [len(kept[name]) for name in ("lanes", "steps", "epochs", "masks")] == [2, 1120, 24, 12]
    return kept


@pytest.mark.parametrize("seed", range(3))
def test_a_race_that_dies_again_and_again_ends_as_if_nothing_had_happened(
    store: Store, undisturbed: dict, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw, site = random.Random(seed), Site(store)
    shown: dict[tuple, tuple] = {}
    for _ in range(4):
        with monkeypatch.context() as patched, contextlib.suppress(Died):
            if draw.random() < 0.5:
                site.at = {draw.randrange(1, EVENTS // 3): _die}
            else:  # amid writing: of a checkpoint, a picture, or the rows
                patched.setattr(os, "fsync", _dies_at(draw.randrange(1, 30), os.fsync))
            site.go()
        site.at = {}
        if site.run.state == "finished":  # it was nearly there, and a fast machine writes less often
            break
        rows = {(row[0], row[1]): row for row in site.kept()["steps"]}
        assert {key: rows.get(key) for key in shown} == shown, "a row that could be seen has changed or gone"
        shown = rows
    assert site.run.state == "finished" or site.go().state == "finished"
    assert site.kept() == undisturbed
    assert max(site.begins) > 0


def _die() -> None:
    raise Died


def _dies_at(number: int, real: Callable[[int], None]) -> Callable[[int], None]:
    left = [number]

    def fsync(handle: int) -> None:
        left[0] -= 1
        if left[0] == 0:
            raise Died
        real(handle)

    return fsync


def test_pause_and_stop_keep_a_checkpoint_and_end_the_process(store: Store, undisturbed: dict) -> None:
    site = Site(store)
    assert site.wish(300, "pause").state == "paused"
    told = len(site.kept()["steps"])
    store.queue.resume(site.id)
    assert site.run.state == "queued"
    assert site.wish(200, "stop").state == "stopped"
    assert site.begins == [0, told]
    store.queue.resume(site.id)
    assert site.go().state == "finished"
    assert site.begins[2] > told
    assert site.kept() == undisturbed


def test_before_its_first_step_a_race_just_ends(store: Store) -> None:
    site = Site(store)
    assert site.wish(0, "pause").state == "paused"
    assert not (site.folder / checkpoints.NEWEST).exists()


def test_a_wish_to_pause_that_is_taken_back_too_late_queues_the_race(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = Site(store)
    real = store.queue.transition

    def move(run_id: str, leave: object, state: str, **values: object) -> bool:
        if state == "paused":
            store.queue.resume(run_id)
        return real(run_id, leave, state, **values)

    monkeypatch.setattr(store.queue, "transition", move)
    assert (site.wish(50, "pause").state, site.run.want) == ("queued", "run")


def test_after_its_time_a_race_stops_and_can_go_on(
    store: Store, undisturbed: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = Site(store)
    monkeypatch.setenv("SSAM_RACE_MINUTES", "0.01")
    monkeypatch.setattr(fake_race, "PACE", 0.002)
    run = site.go()
    assert run.state == "stopped"
    assert_one_line_error(run.message, ["0.01 minutes", "Resume"])
    monkeypatch.setenv("SSAM_RACE_MINUTES", "")
    store.queue.resume(site.id)
    assert site.go().state == "finished"
    assert site.begins[1] > 0
    assert site.kept() == undisturbed


def cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


def flipped(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


def nothing(data: bytes) -> bytes:
    return b""


def hostile(data: bytes) -> bytes:
    """A pickle with the right digest that would make a folder."""

    class Order:
        def __reduce__(self) -> tuple:
            return os.mkdir, ("executed",)

    file = io.BytesIO()
    torch.save({"state": Order(), "reached": {}}, file)
    return file.getvalue() + hashlib.sha256(file.getvalue()).digest()


@pytest.mark.parametrize("damage", [cut, flipped, nothing, hostile])
def test_a_damaged_checkpoint_is_noticed_and_the_one_before_used(
    store: Store, undisturbed: dict, damage: Callable[[bytes], bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(fake_race, "PACE", 0.003)  # slow enough for two checkpoints on any machine
    site = Site(store)
    site.die(after=EVENTS // 2)
    older, newest = (site.folder / name for name in (checkpoints.OLDER, checkpoints.NEWEST))
    good, wanted = older.read_bytes(), checkpoints.read(older).state["taken"]
    newest.write_bytes(damage(newest.read_bytes()))
    site.die(after=50)
    assert site.begins[-1] == wanted > 0
    what = "not a checkpoint of a race" if damage is hostile else "damaged"
    assert_one_line_error(site.run.message, [f"checkpoint.pt is {what}"])
    for path in (older, newest):
        path.write_bytes(damage(good))
    run = site.go()
    assert (run.state, site.begins[-1]) == ("finished", 0)
    assert "from the beginning" in run.message
    assert site.kept() == undisturbed
    assert not (tmp_path / "executed").exists()


def test_a_checkpoint_that_is_ahead_of_the_database_is_not_used(store: Store, undisturbed: dict) -> None:
    """The database was put back from a copy, or the power took its last rows: going on would leave a gap."""
    site = Site(store)
    site.die(after=EVENTS // 3)
    with store.engine.begin() as connection:
        connection.execute(steps.delete().where(steps.c.step > 2))
        connection.execute(bins.delete())
        connection.execute(epochs.delete())
        connection.execute(masks.delete().where(masks.c.step > 2))
        connection.execute(lanes.update().values(last_step=2, gradients=4, seconds=0.02, state="running"))
    run = site.go()
    assert site.begins[-1] == 0
    assert_one_line_error(run.message, ["checkpoint.pt", "ahead", "database"])
    kept = site.kept()
    assert kept["steps"] == undisturbed["steps"]
    assert kept["epochs"] == undisturbed["epochs"]


def test_another_races_checkpoint_is_not_used(store: Store, undisturbed: dict) -> None:
    site = Site(store)
    checkpoints.write(site.folder, checkpoints.Kept({"spec": "another", "taken": 100}, {}))
    run = site.go()
    assert_one_line_error(run.message, ["checkpoint", "another race", "beginning"])
    assert site.kept() == undisturbed


class FullDisk:
    """For the database by SQLite's own limit, for files by what the system would say."""

    def __init__(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        self.pages = 1 << 30
        self.is_full = False
        real = files.os.fsync
        engine_events.listen(store.engine, "checkout", lambda connection, *_: self._limit(connection))

        def fsync(handle: int) -> None:
            if self.is_full:
                raise OSError(errno.ENOSPC, "No space left on device")
            real(handle)

        monkeypatch.setattr(files.os, "fsync", fsync)

    def _limit(self, connection) -> None:
        connection.execute(f"PRAGMA max_page_count = {self.pages}")

    def fill(self, database: bool, files: bool) -> None:
        self.pages, self.is_full = 1 if database else 1 << 30, files  # never below what there is

    def empty_after(self, seconds: float) -> None:
        threading.Timer(seconds, lambda: self.fill(False, False)).start()


@pytest.mark.parametrize(("database", "on_files"), [(True, False), (False, True)])
def test_a_full_disk_holds_the_race_until_there_is_room(
    store: Store, undisturbed: dict, monkeypatch: pytest.MonkeyPatch, database: bool, on_files: bool, capfd
) -> None:
    site, disk = Site(store), FullDisk(store, monkeypatch)

    def full() -> None:
        disk.fill(database, on_files)
        disk.empty_after(0.7)

    site.at = {600: full}
    run = site.go()
    assert run.state == "finished"
    assert_one_line_error(run.message, ["1 s", "disk"])
    assert site.kept() == undisturbed
    log = capfd.readouterr().err
    assert [line for line in log.splitlines() if "disk" in line][1:] == [
        line for line in log.splitlines() if "1 s" in line
    ]
    assert run.progress == 1.0
    assert list(site.folder.glob(".*.part")) == []


def test_a_race_that_holds_still_can_be_stopped(
    store: Store, undisturbed: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    site, disk = Site(store), FullDisk(store, monkeypatch)
    site.at = {
        600: lambda: (
            disk.fill(False, True),
            threading.Timer(0.4, store.queue.set_desired_state, (site.id, "stop")).start(),
        )
    }
    run = site.go()
    assert run.state == "stopped"
    disk.fill(False, False)
    store.queue.resume(site.id)
    site.at = {}
    assert site.go().state == "finished"
    assert site.kept() == undisturbed


def test_a_database_that_is_gone_for_a_moment_is_waited_for(
    store: Store, undisturbed: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when PostgreSQL is restarted: the answer to a transaction that did happen may be lost as well."""
    site, left = Site(store), [0]

    def refuse(connection) -> None:
        if left[0] > 1:
            left[0] -= 1
            raise OperationalError("BEGIN", {}, Exception("server closed the connection unexpectedly"))

    @contextmanager
    def begin(engine: Engine) -> Iterator[Connection]:
        with real(engine) as connection:
            yield connection
        if left[0] == 1:
            left[0] = 0
            raise OperationalError("COMMIT", {}, Exception("the answer was lost"))

    real = Engine.begin
    monkeypatch.setattr(Engine, "begin", begin)
    engine_events.listen(store.engine, "begin", refuse)
    site.at = {number: lambda: left.__setitem__(0, 3) for number in (200, 500, 900)}
    run = site.go()
    assert run.state == "finished"
    assert_one_line_error(run.message, ["0 s", "database"])
    assert site.kept() == undisturbed


@pytest.mark.slow
def test_postgresql_that_crashes_and_comes_back_is_waited_for(
    tmp_path: Path, undisturbed: dict, postgres: Server
) -> None:
    store = Store(tmp_path / "home", postgres.new_database())
    site = Site(store)
    site.die(after=500)
    site.at = {300: lambda: (postgres.stop(), threading.Timer(0.5, postgres.start).start())}
    run = site.go()
    assert run.state == "finished"
    assert_one_line_error(run.message, ["database"])
    assert site.begins[1] > 0
    assert site.kept() == undisturbed
    store.close()


def test_a_database_that_stays_away_fails_the_race(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "OUTAGE_SECONDS", 0.5)
    site = Site(store)
    down = [False]

    def lose(connection) -> None:
        if down[0]:
            raise OperationalError("BEGIN", {}, Exception("connection refused"))

    engine_events.listen(store.engine, "begin", lose)
    site.at = {100: lambda: (down.__setitem__(0, True), threading.Timer(0.9, down.__setitem__, (0, False)).start())}
    run = site.go()
    assert run.state == "failed"
    assert "connection refused" in run.message
    assert "\n" not in run.message


def test_an_error_fails_the_race_with_one_line(store: Store, capfd) -> None:
    site = Site(store, SPEC.model_copy(update={"seed": BUG}))
    run = site.go()
    assert (run.state, run.message) == ("failed", "RuntimeError: two lines")
    assert len(site.kept()["steps"]) == 1, "what came before is not kept"
    assert "Traceback" in capfd.readouterr().err


def test_the_logs_tail(store: Store) -> None:
    site = Site(store)
    assert store.runs.log_tail(site.id) == ""
    (site.folder / "log.txt").write_bytes(
        b"x" * 50_000 + b"\n" + "".join(f"line {n}\n" for n in range(50)).encode() + b"\xff"
    )
    assert store.runs.log_tail(site.id, lines=3) == "line 48\nline 49\n\N{REPLACEMENT CHARACTER}"


@pytest.mark.parametrize("jump", [3600.0, -3600.0])
def test_a_clock_that_jumps_changes_no_duration(
    store: Store, undisturbed: dict, monkeypatch: pytest.MonkeyPatch, jump: float
) -> None:
    offset, real = [0.0], time.time
    monkeypatch.setattr(time, "time", lambda: real() + offset[0])
    site, begin = Site(store), time.monotonic()
    times: list[float] = []

    def look() -> None:
        window = store.curves.window(site.id)
        assert window is not None
        times.append(window.elapsed)
        assert window.eta_seconds is not None
        assert 0 <= window.eta_seconds < abs(jump) / 2

    site.at = {400: lambda: offset.__setitem__(0, jump), **dict.fromkeys((390, 410, 600), look)}
    assert site.go().state == "finished"
    took = time.monotonic() - begin
    look_at = store.curves.window(site.id)
    assert look_at is not None
    assert times == sorted(times)
    assert 0 < times[0] <= look_at.elapsed <= took
    assert site.kept() == undisturbed


def test_checkpoints_take_a_small_share_of_the_time(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]

    def pass_by(seconds: float) -> None:
        clock[0] += seconds

    monkeypatch.setattr(race_process, "CHECKPOINT_SHARE", 0.02)
    monkeypatch.setattr(race_process, "time", SimpleNamespace(monotonic=lambda: clock[0], time=time.time))
    monkeypatch.setattr(fake_race, "time", SimpleNamespace(sleep=pass_by))
    monkeypatch.setattr(fake_race, "PACE", 0.002)  # about a second in all
    site, real, saved = Site(store), checkpoints.write, []

    def slow(folder: Path, kept: checkpoints.Kept) -> None:
        saved.append(kept.state["taken"])
        pass_by(0.1)
        real(folder, kept)

    monkeypatch.setattr(checkpoints, "write", slow)
    assert site.go().state == "finished"
    assert len(saved) == 2  # after 0.1 s, not before another 5 s; and at the end
    assert saved[-1] == 2 * 560


def test_a_slot_is_all_that_the_race_process_sees(monkeypatch: pytest.MonkeyPatch) -> None:
    def seen(slot: str, before: str = "") -> tuple[str, str]:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", before)
        assert use_slot(SPEC.model_copy(update={"device": "cuda:3"}), slot).digest == SPEC.digest
        return os.environ["CUDA_VISIBLE_DEVICES"], os.environ["SSAM_DEVICE"]

    assert seen("cuda:1") == ("1", "cuda:0")
    assert seen("cuda:1", before="4,7") == ("7", "cuda:0")
    assert seen("cpu", before="4,7") == ("", "cpu")
    assert seen("mps") == ("", "mps")
