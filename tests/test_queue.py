"""Whose turn it is, what the server allows, and what goes from a full disk: no process is started here."""

import shutil
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssam.config import Limits, read_limits
from ssam.experiment import LaneSpec, RaceSpec
from ssam.experiment.events import Result
from ssam.jobs import disk, queue_forecast
from ssam.jobs.client import Client
from ssam.jobs.hardware import DeviceInfo, describe, write_machine
from ssam.jobs.queue import after_death, forecast, pick, settled, suiting
from ssam.store import Job, Person, Store
from tests.counts import statements
from tests.fake_race import started, step
from tests.golden import assert_one_line_error

GPUS = ("cuda:0", "cuda:1", "cpu")
LANES = (LaneSpec(method="sgd"),)


def job(name: str, owner: str = "ada", created: float = 0.0, **changed: object) -> Job:
    plain = Job(name, owner, created, "queued", "run", None, None, False, False, "", "cpu", None, 0)
    return replace(plain, **changed)


# The pick


def test_the_device_decides_which_slots_suit():
    assert suiting("auto", GPUS) == ["cuda:0", "cuda:1"]  # it waits for a GPU rather than taking the CPU
    assert suiting("auto", ("cpu", "cpu")) == ["cpu", "cpu"]
    assert suiting("cuda", GPUS) == ["cuda:0", "cuda:1"]
    assert suiting("cuda:1", GPUS) == ["cuda:1"]
    assert suiting("cpu", GPUS) == ["cpu"]
    assert suiting("cuda", ("mps", "cpu")) == suiting("cuda:2", GPUS) == []
    assert [one.device for one in settled([job("a", device="auto"), job("b")], "cuda:1")] == ["cuda:1", "cpu"]


def test_the_turn_goes_to_who_runs_least_then_to_who_waited_longest():
    queued = [job("a1", "ada", 1), job("a2", "ada", 2), job("b1", "bob", 3), job("c1", "cyd", 4)]
    slots = ("cpu",) * 4

    def turn(running, served, cap=2):
        return pick(queued, running, slots, cap, served).job.id

    running = [job("r", "ada", slot="cpu")]
    assert turn([], {}) == "a1"
    assert turn(running, {}) == "b1"  # ada runs one already
    assert turn(running, {"bob": 20.0, "cyd": 10.0}) == "c1"
    assert turn([], {"ada": 5.0, "bob": 20.0, "cyd": 10.0}) == "a1"
    assert turn([*running, job("s", "bob", slot="cpu"), job("t", "cyd", slot="cpu")], {"ada": 1.0, "bob": 2.0}) == "c1"
    assert pick(queued[:2], running, slots, 1, {}) is None  # ada's cap
    assert pick(queued, running, ("cpu",), 2, {}) is None  # no room
    assert pick([], [], slots, 2, {}) is None


def test_a_race_that_waits_for_its_gpu_holds_nobody_up():
    queued = [job("a1", "ada", 1, device="cuda:0"), job("a2", "ada", 2, device="auto"), job("b1", "bob", 3)]
    running = [job("r", "cyd", slot="cuda:0")]
    turn = pick(queued, running, GPUS, 2, {"bob": 1.0})
    assert (turn.job.id, turn.slot) == ("a2", "cuda:1")


def test_an_exclusive_race_has_the_turn_even_where_its_device_is_busy():
    queued = [job("e", "eve", 1, exclusive=True), job("b", "bob", 2, device="cuda:0")]
    assert pick(queued, [job("r", "cyd", slot="cpu")], GPUS, 2, {}) is None
    assert pick(queued, [], GPUS, 2, {}).job.id == "e"
    assert pick([replace(queued[0], device="cuda:9"), queued[1]], [], GPUS, 2, {}).job.id == "b"


jobs_of_some_owners = st.lists(
    st.tuples(
        st.sampled_from("abcd"),
        st.sampled_from(["auto", "cpu", "cuda", "cuda:0", "cuda:1"]),
        st.booleans(),
        st.integers(1, 50),  # seconds that it takes
    ),
    max_size=12,
)


@given(
    drawn=jobs_of_some_owners,
    slots=st.sampled_from([("cpu",), ("cpu", "cpu", "cpu"), GPUS, ("cuda:0", "cpu", "cpu")]),
    cap=st.integers(1, 3),
)
def test_a_queue_played_to_its_end_keeps_every_promise(drawn, slots, cap):
    """Nobody is forgotten, no slot is given twice, caps hold, exclusive races are alone, and all was foretold."""
    seconds: dict[str, float | None] = {}
    queued = []
    for number, (owner, device, exclusive, takes) in enumerate(drawn):
        queued.append(job(f"{number}", owner, float(number), device=device, exclusive=exclusive))
        seconds[str(number)] = takes
    possible = {one.id for one in queued if suiting(one.device, slots)}
    foretold = forecast(queued, [], slots, cap, {}, seconds, now=1000.0)

    clock, running, served, starts, ends = 0.0, [], {}, {}, {}
    while True:
        while turn := pick(queued, running, slots, cap, served):
            assert turn.slot in suiting(turn.job.device, slots)
            queued.remove(turn.job)
            running.append(replace(turn.job, slot=turn.slot))
            assert not Counter(one.slot for one in running) - Counter(slots)
            assert max(Counter(one.owner for one in running).values()) <= cap
            assert len(running) == 1 or not any(one.exclusive for one in running)
            starts[turn.job.id], served[turn.job.owner] = clock, 1000.0 + clock + 1e-5 * len(starts)
            ends[turn.job.id] = clock + seconds[turn.job.id]
        if not running:
            break
        if not any(one.exclusive for one in [*queued, *running]):  # then who waits has a reason
            free = Counter(slots) - Counter(one.slot for one in running)
            counts = Counter(one.owner for one in running)
            for one in queued:
                assert counts[one.owner] == cap or not any(free[slot] for slot in suiting(one.device, slots))
        first = min(running, key=lambda one: ends[one.id])
        running.remove(first)
        clock = ends[first.id]
    assert starts.keys() == possible
    assert {run_id: turn.seconds for run_id, turn in foretold.items()} == starts
    assert [turn.position for turn in foretold.values()] == list(range(1, len(starts) + 1))


@given(counts=st.lists(st.integers(1, 6), min_size=2, max_size=4), length=st.sampled_from([10.0, None]))
def test_one_slot_goes_round(counts, length):
    """However many races each owner has queued, and whoever came first: as long as two wait, their starts differ by one."""
    queued = [job(f"{owner}{n}", str(owner), owner) for owner, many in enumerate(counts) for n in range(many)]
    seconds = dict.fromkeys((one.id for one in queued), length)
    order = [run_id[0] for run_id in forecast(queued, [], ("cpu",), 2, {}, seconds, now=1e9)]
    for done in range(len(order)):
        waiting = set(order[done:])
        so_far = [order[:done].count(owner) for owner in waiting]
        assert max(so_far) - min(so_far) <= 1


@given(
    others=st.integers(1, 4), slots=st.integers(1, 4), lengths=st.lists(st.integers(1, 30), min_size=40, max_size=40)
)
def test_an_exclusive_race_is_not_starved_and_starves_nobody(others, slots, lengths):
    """It starts after each other owner had at most one more turn, and its owner's next one lets each of them go first."""
    queued = [job(f"e{number}", "eve", 0.0, exclusive=True) for number in range(2)]
    queued += [job(f"{owner}-{n}", f"o{owner}", 1.0 + n) for n in range(8) for owner in range(others)]
    seconds = dict(zip((one.id for one in queued), map(float, lengths), strict=False))
    order = list(forecast(queued, [], ("cpu",) * slots, 2, {"eve": 10.0}, seconds, now=20.0))
    first, second = order.index("e0"), order.index("e1")
    assert first <= others
    between = {run_id.partition("-")[0] for run_id in order[first + 1 : second]}
    assert between == {str(owner) for owner in range(others)}


def test_what_is_unknown_is_not_foretold():
    queued = [job(name, name, float(number)) for number, name in enumerate("abc")]
    running = [job("r", "r", slot="cpu"), job("s", "s", slot="cpu")]
    slots = ("cpu",) * 3

    def told(**left):
        found = forecast(queued, running, slots, 2, {}, {"a": 5.0, "b": 5.0, "c": 5.0, **left}, 0.0)
        return [(found[one.id].position, found[one.id].seconds) for one in queued]

    assert told(r=2.0, s=9.0) == [(1, 0.0), (2, 2.0), (3, 5.0)]
    assert told(r=None, s=9.0) == [(1, 0.0), (2, None), (3, None)]
    assert told(r=2.0, s=9.0, b=None) == [(1, 0.0), (2, 2.0), (3, None)]
    assert told(r=None, s=None, a=None) == [(1, 0.0), (2, None), (3, None)]
    assert told(r=-3.0, s=9.0) == [(1, 0.0), (2, 0.0), (3, 5.0)]  # overdue: any moment now


def test_a_dead_process_does_what_was_wanted_else_starts_again_but_not_for_ever():
    assert after_death(job("a", want="stop", attempts=1)) == "stopped"
    assert after_death(job("a", want="pause", attempts=9)) == "paused"
    assert [after_death(job("a", attempts=n)) for n in (1, 2, 3, 4)] == [
        "queued",
        "queued",
        "interrupted",
        "interrupted",
    ]


# Limits


def test_limits_have_defaults_and_take_the_environment():
    assert read_limits({"SSAM_SLOTS": "3"}) == Limits(3, 2, 10, 200, 120.0, 20.0, 10.0)
    assert read_limits({"SSAM_DISK_GB": "0.5", "SSAM_OWNER_RUNNING": "", "SSAM_QUEUED": "7"}).disk_gb == 0.5
    assert 1 <= read_limits({}).slots <= 4


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("SSAM_SLOTS", "many", "a whole number from 1 to 64"),
        ("SSAM_SLOTS", "0", "a whole number from 1 to 64"),
        ("SSAM_OWNER_RUNNING", "-1", "a whole number from 1 to 64"),
        ("SSAM_OWNER_QUEUED", "1.5", "a whole number from 1 to 1000"),
        ("SSAM_QUEUED", "²", "a whole number from 1 to 1000"),
        ("SSAM_RACE_MINUTES", "nan", "a number from 0.01 to 100000"),
        ("SSAM_DISK_GB", "inf", "a number from 0.001 to 1000000"),
        ("SSAM_CHECKPOINT_SECONDS", "soon", "a number from 0.1 to 3600"),
    ],
)
def test_a_bad_limit_is_one_line(name, value, allowed):
    with pytest.raises(ValueError, match=name) as caught:
        read_limits({name: value})
    assert_one_line_error(str(caught.value), [f"{name} {value!r}", allowed])


# The client: what is queued, what is there already, what is foretold. Nothing runs: the store is told what happened.


@pytest.fixture
def client(store: Store, monkeypatch: pytest.MonkeyPatch) -> Client:
    monkeypatch.setenv("SSAM_OWNER_QUEUED", "2")
    monkeypatch.setenv("SSAM_QUEUED", "3")
    write_machine(store.home, 1, list)
    return Client(store)


ADA, BOB, CYD = Person("ada"), Person("bob"), Person("cyd")


def race(seed: int, **settings: object) -> RaceSpec:
    return RaceSpec(seed=seed, lanes=LANES, **settings)


def running(store: Store, spec: RaceSpec, owner: str = "zoe", request: str = "") -> str:
    run_id = store.runs.create(spec, request or f"of {owner}, {spec.seed}", owner)
    assert store.queue.assign(run_id, "cpu")
    assert store.queue.transition(run_id, ("starting",), "running")
    return run_id


def finished(store: Store, spec: RaceSpec, seconds: float = 40.0, steps: int = 100) -> str:
    """A race that was run to its end, ``steps`` steps in ``seconds`` of computing."""
    run_id = running(store, spec)
    with store.writer(run_id) as writer:
        writer.add(started(spec, steps))
        writer.add(step("sgd", steps, gradients=steps, seconds=seconds))
        writer.add(Result("cpu", ()))
    store.queue.transition(run_id, ("running",), "finished")
    return run_id


def test_the_same_request_is_the_same_race_even_where_the_queue_is_full(client: Client):
    first = client.races.submit(race(1), "one", ADA)
    client.races.submit(race(2), "two", ADA)
    assert client.races.submit(race(1), "one", ADA) == first
    with pytest.raises(ValueError, match=r"^.*2 races .*2; stop"):
        client.races.submit(race(3), "three", ADA)
    client.races.submit(race(3), "three", BOB)
    with pytest.raises(ValueError, match=r"full.* 3 races"):
        client.races.submit(race(4), "four", CYD)
    assert len(client.store.queue.jobs()) == 3


def test_an_owner_has_the_same_race_only_once_at_a_time(client: Client):
    first = client.races.submit(race(1), "one", ADA)
    again = client.races.submit(race(1), "two", ADA, again=True)
    assert (again.run_id, again.reused, first.reused) == (first.run_id, True, False)
    assert client.races.submit(race(1), "three", BOB).run_id != first.run_id  # someone else's is theirs
    alone = client.races.submit(race(1), "four", ADA, exclusive=True)  # not the same: its step times will be trusted
    assert not alone.reused
    client.races.stop(first.run_id, ADA)
    assert client.races.submit(race(1), "five", ADA).run_id not in (first.run_id, alone.run_id)
    client.races.stop(alone.run_id, ADA)
    ending = running(client.store, race(2), "bob")
    assert client.races.submit(race(2), "six", BOB).run_id == ending
    client.races.stop(ending, BOB)
    assert client.races.submit(race(2), "seven", BOB).run_id != ending


def test_a_finished_twin_is_shown_where_one_would_have_to_wait(client: Client):
    twin = finished(client.store, race(1))
    free = client.races.submit(race(1), "free", ADA)
    assert (free.run_id != twin, free.reused) == (True, False)  # there is room: it is run for real
    client.races.stop(free.run_id, ADA)
    running(client.store, race(9))
    shown = client.races.submit(race(1), "busy", ADA)
    assert (shown.run_id, shown.reused) == (twin, True)
    assert client.races.submit(race(2), "another", ADA).reused is False
    assert client.races.submit(race(1), "busy, really", ADA, again=True).reused is False
    client.store.queue.mark_shared([twin])
    assert (
        client.races.submit(race(1), "alone", BOB, exclusive=True).reused is False
    )  # the twin's step times are no good


def test_a_device_that_is_not_there_is_not_waited_for(client: Client):
    running(client.store, race(9))
    assert client.races.must_wait(race(1), ADA)
    assert not client.races.must_wait(race(1, device="cuda:3"), ADA)  # the runner says so at once
    write_machine(client.store.home, 1, lambda: [DeviceInfo("cuda:0", "Made-up GPU", 8.0)])
    assert not client.races.must_wait(race(1), ADA)
    assert client.races.must_wait(race(1), ADA, exclusive=True)


def test_the_forecast_is_measured_or_silent(client: Client):
    now = running(client.store, race(9))
    first, second = (client.races.submit(race(seed), f"{seed}", person).run_id for seed, person in ((1, ADA), (2, BOB)))
    assert client.races.forecast(first) == (1, None)
    assert client.races.forecast(now) is None
    client.store.queue.transition(now, ("running",), "stopped")
    finished(client.store, race(8))
    now = running(client.store, race(9), request="again")
    other = Client(client.store)  # it has not looked yet
    whole = other.races.forecast(second).seconds - other.races.forecast(first).seconds
    assert other.races.forecast(first).seconds == pytest.approx(
        whole
    )  # equal races: what runs takes as long as the first
    assert 1 < whole < 1000
    client.store.queue.set_desired_state(now, "stop")
    assert Client(client.store).races.forecast(first) == (1, 0.0)


def test_a_class_can_ask_all_the_time(client: Client, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(client.races, "limits", replace(client.limits, owner_queued=10, queued=200))
    finished(client.store, race(8))
    running(client.store, race(9))
    ids = [client.races.submit(race(seed), f"{seed}", Person(f"p{seed % 30}")).run_id for seed in range(100, 250)]
    clock = [100.0]
    monkeypatch.setattr(queue_forecast, "time", SimpleNamespace(monotonic=lambda: clock[0], time=time.time))
    client = Client(client.store)
    with statements() as first:
        client.races.forecast(ids[0])
    with statements() as rest:
        assert sorted(client.races.forecast(run_id).position for run_id in ids) == list(range(1, 151))
    assert len(first) < 20, "not one for each race"
    assert rest == [], "within a second all are told the same"
    clock[0] += queue_forecast.FORECAST_SECONDS
    with statements() as again:
        client.races.forecast(ids[0])
    assert again


# The disk


@pytest.fixture
def kept(store: Store) -> Store:
    """Four races of 3 MB each: two ended, the first earlier than the second; one paused, one running."""
    for seed, state in enumerate(["finished", "stopped", "paused", "running"]):
        run_id = running(store, race(seed), request=state)
        folder = store.run_folder(run_id)
        (folder / "masks").mkdir(parents=True)
        for name in ("checkpoint.pt", "checkpoint.old.pt", "masks/0-1.npz"):
            (folder / name).write_bytes(bytes(1_000_000))
        (folder / "log.txt").write_bytes(b"")
        store.queue.transition(run_id, ("running",), state)
    return store


def files(store: Store, request: str) -> list[str]:
    folder = store.run_folder(store.runs.find_by_request(request))
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


EVERYTHING = ["checkpoint.old.pt", "checkpoint.pt", "log.txt", "masks/0-1.npz"]


def test_what_ended_longest_ago_goes_first_and_checkpoints_before_masks(kept: Store):
    assert disk.make_room(kept, 0.0125).waits == ""
    assert files(kept, "finished") == EVERYTHING
    assert disk.make_room(kept, 0.0115).used == 11_000_000
    assert files(kept, "finished") == EVERYTHING[1:]
    assert disk.make_room(kept, 0.0085).used == 8_000_000
    assert files(kept, "finished") == ["log.txt", "masks/0-1.npz"]
    assert files(kept, "stopped") == ["log.txt", "masks/0-1.npz"]
    assert disk.make_room(kept, 0.0075).used == 7_000_000
    assert files(kept, "finished") == ["log.txt"]
    left = disk.make_room(kept, 0.001)
    assert files(kept, "stopped") == ["log.txt"]
    assert files(kept, "paused") == files(kept, "running") == EVERYTHING
    assert left.used == 6_000_000
    assert_one_line_error(left.waits, ["disk", "0.01 GB", "0.001 GB"])


def test_kept_weights_go_after_checkpoints_and_before_masks(kept: Store):
    weights = kept.run_folder(kept.runs.find_by_request("stopped")) / "weights"
    weights.mkdir()
    (weights / "0-10.npz").write_bytes(bytes(1_000_000))
    assert disk.make_room(kept, 0.0095).used == 9_000_000
    assert files(kept, "finished") == ["log.txt", "masks/0-1.npz"]
    assert files(kept, "stopped") == ["log.txt", "masks/0-1.npz", "weights/0-10.npz"]
    assert disk.make_room(kept, 0.0085).used == 8_000_000
    assert files(kept, "stopped") == ["log.txt", "masks/0-1.npz"]


def test_what_was_resumed_in_that_moment_stays(kept: Store, monkeypatch: pytest.MonkeyPatch):
    ended = kept.runs.ended()
    kept.queue.resume(kept.runs.find_by_request("stopped"))
    monkeypatch.setattr(kept.runs, "ended", lambda: ended)
    disk.make_room(kept, 0.001)
    assert files(kept, "finished") == ["log.txt"]
    assert files(kept, "stopped") == EVERYTHING


def test_uploads_and_downloads_count_and_stay(kept: Store):
    (kept.image_root / "mine.zip").write_bytes(bytes(2_000_000))
    (kept.home / "downloads").mkdir()
    (kept.home / "downloads" / "cifar").write_bytes(bytes(2_000_000))
    assert disk.make_room(kept, 0.001).used == 10_000_000
    assert (kept.image_root / "mine.zip").exists()


def test_a_disk_that_is_nearly_full_is_like_a_quota(kept: Store, monkeypatch: pytest.MonkeyPatch):
    usage = shutil.disk_usage(kept.home)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=100_000_000))
    left = disk.make_room(kept, 20.0)
    assert_one_line_error(left.waits, ["disk", "0.10 GB", "0.5 GB"])
    assert files(kept, "finished") == ["log.txt"]
    assert disk.measure(kept, 0.5).waits == ""  # a small quota needs less: a tenth


def test_a_picture_that_went_is_no_picture(store: Store):
    from tests.fake_race import mask

    spec = RaceSpec(lanes=(LaneSpec(method="ssam-f"),))
    run_id = running(store, spec)
    with store.writer(run_id) as writer:
        writer.add(started(spec, 10))
        writer.add(mask("ssam-f", 1))
    assert store.curves.heatmap(run_id, "ssam-f", "conv.weight") is not None
    shutil.rmtree(store.run_folder(run_id) / "masks")
    assert store.curves.heatmap(run_id, "ssam-f", "conv.weight") is None


def test_the_client_knows_why_races_wait(client: Client):
    write_machine(client.store.home, 2, list)
    run_id = client.races.submit(race(1), "one", ADA).run_id
    assert not client.races.must_wait(race(2), BOB)
    disk.write_disk(client.store.home, disk.Disk(used=2, quota=1.0, free=0))
    assert client.races.must_wait(race(2), BOB)
    assert Client(client.store).races.forecast(run_id) == (1, None)
    assert client.disk().waits


def test_slots_of_a_machine():
    machine = describe(2, [DeviceInfo("cuda:0", "", 1.0), DeviceInfo("cuda:1", "", 1.0)])
    assert machine.places == ("cuda:0", "cuda:1", "cpu", "cpu")
    assert machine.slots == 4


def test_the_home_is_created(tmp_path: Path):
    assert disk.measure(Store(tmp_path / "new"), 1.0).used == 0
