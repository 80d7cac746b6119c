"""The run store: what goes in comes out, curves do not wobble, and nothing that is not finite gets lost in silence."""

import io
import itertools
import json
import math
import shutil
import threading
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateTable

from ssam.catalogue import MODELS
from ssam.experiment import LaneSpec, RaceSpec, parse_spec
from ssam.experiment.analysis import Moment
from ssam.experiment.events import EpochEvent, LaneEnded, LaneResult, Layer, MaskEvent, Preparing, Result, Snapshot
from ssam.store import Store, curves
from ssam.store import writer as writing
from ssam.store.arrays import load_arrays, snapshot_file
from ssam.store.schema import metadata
from tests.counts import instructions, statements
from tests.fake_race import started, step

TWO = RaceSpec(lanes=(LaneSpec(method="sgd"), LaneSpec(method="ssam-f")))


@pytest.fixture
def store(tmp_path: Path, database_url: str) -> Iterator[Store]:
    store = Store(tmp_path / "home", database_url)
    yield store
    store.close()


NUMBERS = itertools.count(1)  # of the requests: no two are the same


def queue(store: Store, spec: RaceSpec = TWO, total_steps: int | None = 100) -> tuple:
    """A queued run and its writer, which knows the lanes already."""
    run_id = store.runs.create(spec, f"request {next(NUMBERS)}")
    writer = store.writer(run_id)
    writer.add(started(spec, total_steps))
    return run_id, writer


def epoch(lane: str, number: int, **changed: object) -> EpochEvent:
    values: dict = {
        "lane": lane, "step": 10 * number, "epoch": float(number), "gradients": 20 * number, "seconds": 1.5,
        "lr": 0.1, "train_loss": 1.0, "test_loss": 1.1, "test_accuracy": 0.5, "test_size": 2000, "final": False,
    }  # fmt: skip
    return EpochEvent(**{**values, **changed})


def mask(lane: str, number: int, picture: np.ndarray, **changed: object) -> MaskEvent:
    values: dict = {
        "lane": lane, "step": number, "epoch": number / 10, "density": 0.5, "changed": None, "overlap": None,
        "densities": {"conv.weight": 0.25, "file": 0.75}, "heatmaps": {"conv.weight": picture, "file": picture.T},
    }  # fmt: skip
    return MaskEvent(**{**values, **changed})


def test_the_same_request_makes_one_run(store: Store) -> None:
    first = store.runs.create(TWO, "click", owner="ada")
    assert store.runs.create(RaceSpec(), "click") == first
    with ThreadPoolExecutor(8) as pool:
        ids = set(pool.map(lambda _: store.runs.create(TWO, "double click"), range(16)))
    assert len(ids) == 1
    assert {run.id for run in store.runs.newest()} == {first, *ids}
    run = store.runs.get(first)
    assert (run.spec, run.owner, run.state, run.want, run.races_ahead) == (TWO, "ada", "queued", "run", 0)
    assert len(first) >= 20


def test_unknown_runs_are_none(store: Store) -> None:
    assert store.runs.get("nobody") is None
    assert store.curves.window("nobody") is None
    assert store.curves.heatmap("nobody", "sgd", "conv.weight") is None
    assert store.curves.epochs_table("nobody") is None
    store.queue.set_desired_state("nobody", "stop")
    with pytest.raises(ValueError, match="no run 'nobody'"):
        store.writer("nobody")


def test_a_queued_run_has_waiting_lanes(store: Store) -> None:
    window = store.curves.window(store.runs.create(TWO, "a"))
    assert [(lane.name, lane.method, lane.state, lane.points) for lane in window.lanes] == [
        ("sgd", "sgd", "waiting", 0),
        ("ssam-f", "ssam-f", "waiting", 0),
    ]
    assert (window.state, window.progress, window.eta_seconds, window.layers) == ("queued", 0.0, None, [])


def test_runs_are_found_by_the_beginning_of_their_id(store: Store) -> None:
    """However old, and 'Ab' is not 'aB' or '%b'."""
    ids = [store.runs.create(RaceSpec(), str(number)) for number in range(5)]
    first = ids[0]
    assert [run.id for run in store.runs.newest(begins=first[:8])] == [first]
    assert store.runs.newest(begins=first[:8].swapcase()) == []
    assert store.runs.newest(begins="%") == []
    assert len(store.runs.newest(2, begins="")) == 2


def test_runs_come_newest_first(store: Store) -> None:
    ids = [store.runs.create(TWO, str(number)) for number in range(5)]
    assert [run.id for run in store.runs.newest()] == ids[::-1]
    assert [run.id for run in store.runs.newest(limit=2)] == ids[:2:-1]
    assert [run.races_ahead for run in store.runs.newest()] == [4, 3, 2, 1, 0]


def test_every_event_comes_back(store: Store) -> None:
    run_id, writer = queue(store)
    writer.add(Preparing("downloading", 0.25))
    assert store.runs.get(run_id).message == "downloading (25%)"
    for number in range(1, 11):
        writer.add(step("sgd", number, radius=None, ascent_gap=None, ratio=1.0))
    writer.add(step("ssam-f", 6, ms={"forward1": 2.0, "mask": 30.0}, ratio=None))
    writer.add(step("ssam-f", 7, ms={"forward1": 4.0, "mask": 10.0}, ratio=None))
    told = epoch("sgd", 1)
    writer.add(told)
    writer.add(epoch("sgd", 1, final=True, test_size=10_000))
    writer.add(LaneEnded("sgd", 10, "finished"))
    writer.flush()
    under_way = store.curves.window(run_id).lanes[0]
    assert (under_way.step_ms, under_way.ratio, under_way.ratio_iqr) == (6.0, None, None)  # five pairs after settling
    result = Result("cpu", (LaneResult("sgd", "sgd", 1.0, 0.1, 0.5, math.nan, 7.0, 1.0, 1.5, False),))
    writer.add(result)

    window = store.curves.window(run_id)
    sgd, ssam = window.lanes
    assert sgd.steps["step"] == list(range(1, 11))
    assert sgd.steps["loss"] == [1 / number for number in range(1, 11)]
    assert sgd.steps["radius"] == [None] * 10
    assert sgd.steps["gradients"] == list(range(2, 21, 2))
    assert sgd.epochs == [asdict(told), asdict(told) | {"final": True, "test_size": 10_000}]
    assert sgd.phase_ms == {"data": 1.0, "forward1": 2.0, "backward1": 3.0, "update": 1.0}
    assert (sgd.step_ms, sgd.ratio, sgd.seconds) == (7.0, 1.0, 1.5)  # the result has the last word
    assert (sgd.state, sgd.last_step, sgd.total_steps, sgd.gradients) == ("finished", 10, 100, 20)
    assert ssam.phase_ms == {"forward1": 3.0, "mask": 20.0}
    assert (ssam.state, ssam.step_ms, ssam.ratio, ssam.ratio_iqr) == ("running", 3.0, None, None)
    assert window.layers == [{"name": "conv.weight", "stage": "conv", "shape": [2, 6]}]
    assert window.progress == pytest.approx((1 + 0.07) / 2)

    run = store.runs.get(run_id)
    assert run.started_info["classes"] == ["a", "b"]
    assert run.result["lanes"][0]["test_loss"] is None
    assert run.result["lanes"][0]["step_ms_median"] == 7.0
    assert run.progress == window.progress


def test_settling_steps_and_few_pairs_tell_nothing(store: Store) -> None:
    run_id, writer = queue(store)
    for number in range(1, 15):
        settling = number <= 5
        writer.add(step("sgd", number, ms={"forward1": 90.0 if settling else 3.0}, ratio=40.0 if settling else 2.0))
    writer.flush()
    few = store.curves.window(run_id).lanes[0]
    assert (few.step_ms, few.ratio) == (3.0, None)
    writer.add(step("sgd", 15, ms={"forward1": 3.0}, ratio=2.5))
    writer.flush()
    enough = store.curves.window(run_id).lanes[0]
    assert (enough.ratio, enough.ratio_iqr) == (2.0, (2.0, 2.0))


def test_where_only_every_kth_step_perturbs_times_are_means_over_k_steps(store: Store) -> None:
    """One perturbing step of 20 ms and three of 10 ms cost 12.5 ms a step, though the median step has 10."""
    spec = parse_spec({"lanes": "sgd,sam:ascent_interval=4"})
    run_id, writer = queue(store, spec)
    plain, perturbing = {"forward1": 4.0, "update": 6.0}, {"forward1": 4.0, "forward2": 10.0, "update": 6.0}
    for number in range(1, 41):
        perturbs = number % 4 == 1
        changed = {"ms": perturbing if perturbs else plain, "ratio": 2.0 if perturbs else 1.0}
        writer.add(step("sam", number, **changed))
    writer.close()
    sam = store.curves.window(run_id).lanes[1]
    assert (sam.step_ms, sam.ratio, sam.ratio_iqr) == (12.5, 1.25, (1.25, 1.25))
    assert sam.phase_ms == {"forward1": 4.0, "forward2": 2.5, "update": 6.0}


def test_masks_come_back_as_pictures(store: Store) -> None:
    run_id, writer = queue(store)
    first, second = (np.random.default_rng(seed).integers(0, 256, (3, 5), dtype=np.uint8) for seed in (0, 1))
    writer.add(mask("ssam-f", 1, first, densities={"conv.weight": 0.5, "file": 0.75}))
    writer.add(mask("ssam-f", 20, second, changed=0.25, overlap=0.6))
    newest = store.curves.heatmap(run_id, "ssam-f", "conv.weight")
    assert (newest.step, newest.epoch, newest.density, newest.shape) == (20, 2.0, 0.25, (3, 5))
    assert newest.pixels == second.tobytes()
    older = store.curves.heatmap(run_id, "ssam-f", "file", step=1)
    assert (older.shape, older.pixels, older.density) == ((5, 3), first.T.tobytes(), 0.75)
    assert store.curves.heatmap(run_id, "ssam-f", "conv.weight", step=2) is None
    assert store.curves.heatmap(run_id, "ssam-f", "no layer") is None
    assert store.curves.heatmap(run_id, "sgd", "conv.weight") is None
    assert [
        (told["step"], told["changed"], told["overlap"]) for told in store.curves.window(run_id).lanes[1].masks
    ] == [
        (1, None, None),
        (20, 0.25, 0.6),
    ]
    assert [lane.densities for lane in store.curves.window(run_id).lanes] == [{}, {"conv.weight": 0.25, "file": 0.75}]
    assert sorted(path.name for path in (store.run_folder(run_id) / "masks").iterdir()) == ["1-1.npz", "1-20.npz"]


def test_masks_come_back_to_the_bit_where_they_were_told(store: Store) -> None:
    spec = RaceSpec(lanes=(LaneSpec(method="sgd"), LaneSpec(method="ssam-f")))
    run_id = store.runs.create(spec, "a")
    shapes = {"conv.weight": (2, 3, 3), "file": (5,), "scale": ()}
    layers = tuple(Layer(name, "conv", shape) for name, shape in shapes.items())
    draws = np.random.default_rng(0)
    told = {name: draws.random(shape) < 0.5 for name, shape in shapes.items()}
    bits = {name: np.packbits(mask) for name, mask in told.items()}
    picture = np.zeros((3, 5), dtype=np.uint8)
    with store.writer(run_id) as writer:
        writer.add(replace(started(spec, 100), layers=layers))
        writer.add(mask("ssam-f", 1, picture, bits=bits))
        writer.add(mask("ssam-f", 20, picture))
    kept = store.curves.mask_bits(run_id, "ssam-f", 1)
    assert kept.keys() == told.keys()
    for name, exact in told.items():
        assert kept[name].dtype == bool
        assert np.array_equal(kept[name], exact), name
    assert store.curves.heatmap(run_id, "ssam-f", "conv.weight", 1).pixels == picture.tobytes()
    assert store.curves.mask_bits(run_id, "ssam-f", 20) is None  # only its pictures were told
    assert store.curves.mask_bits(run_id, "ssam-f") is None  # the newest
    assert store.curves.mask_bits(run_id, "ssam-f", 2) is None
    assert store.curves.mask_bits(run_id, "sgd", 1) is None
    assert store.curves.mask_bits("nobody", "sgd", 1) is None
    shutil.rmtree(store.run_folder(run_id) / "masks")  # old ones go where the disk is full
    assert store.curves.mask_bits(run_id, "ssam-f", 1) is None


def test_snapshots_come_back_and_what_is_told_again_changes_nothing(store: Store) -> None:
    run_id, writer = queue(store)
    first = {"file": np.arange(6, dtype=np.float32).reshape(2, 3), "count": np.array(7)}
    writer.add(Snapshot("ssam-f", 0, 0.0, first))
    writer.add(Snapshot("sgd", 10, 1.0, {"file": np.ones(2, dtype=np.float32)}))
    again = store.writer(run_id)
    again.add(Snapshot("ssam-f", 0, 0.0, {"file": np.zeros(2)}))
    assert store.analyses.snapshots(run_id) == [Moment(0, 10), Moment(1, 0)]
    kept = load_arrays(snapshot_file(store.run_folder(run_id), Moment(1, 0)))
    assert kept.keys() == first.keys()
    assert all(np.array_equal(kept[name], array) and kept[name].dtype == array.dtype for name, array in first.items())
    with pytest.raises(KeyError):
        writer.add(Snapshot("nobody", 0, 0.0, first))


def test_the_norm_at_the_perturbed_weights_and_the_eigenvalue_come_back(store: Store) -> None:
    run_id, writer = queue(store)
    for number in range(1, 21):
        writer.add(step("ssam-f", number, perturbed_norm=float(number)))
        writer.add(step("sgd", number))
    found = {"eigenvalue": 12.5, "eigenvalue_residual": math.nan, "eigenvalue_ms": 30.0}
    writer.add(epoch("ssam-f", 2, **found))
    sgd, ssam = store.curves.window(run_id, points=10).lanes
    assert ssam.steps["perturbed_norm"] == [1.5 + 2 * number for number in range(10)]
    assert sgd.steps["perturbed_norm"] == [None] * 10
    assert [ssam.epochs[0][name] for name in found] == [12.5, None, 30.0]
    row = store.curves.epochs_table(run_id).iloc[0]
    assert (row["eigenvalue"], row["eigenvalue_ms"]) == (12.5, 30.0)


def test_a_lane_that_diverges_is_flagged_and_its_gaps_show(store: Store) -> None:
    run_id, writer = queue(store)
    for number in range(1, 41):
        writer.add(step("sgd", number, loss=math.nan if number == 20 else math.inf if number > 38 else 1.0))
    writer.add(epoch("sgd", 1, test_loss=math.inf, train_loss=math.nan))
    writer.add(LaneEnded("sgd", 40, "diverged"))
    for points in (40, 20, 10, 3):  # single steps, then bins of 2, 4 and 16, the last from stored bins
        sgd = store.curves.window(run_id, points=points).lanes[0]
        width = 40 / sgd.points if sgd.points > 3 else 16
        gaps = [place for place, loss in enumerate(sgd.steps["loss"]) if loss is None]
        assert gaps == sorted({int(19 // width), int(38 // width), int(39 // width)})
        assert all(loss in (None, 1.0) for loss in sgd.steps["loss"])
        assert sgd.steps["grad_norm"] == [1.0] * sgd.points
    assert sgd.state == "diverged"
    assert (sgd.epochs[0]["test_loss"], sgd.epochs[0]["train_loss"]) == (None, None)
    json.dumps(asdict(store.curves.window(run_id)), allow_nan=False)  # a browser can read it


def test_curves_do_not_wobble(store: Store) -> None:
    """While the bins keep their width a finished one never changes; it never is more points than asked for."""
    spec = RaceSpec(lanes=(LaneSpec(method="sgd"),))
    run_id, writer = queue(store, spec, total_steps=2000)
    losses = np.random.default_rng(0).random(2000)
    before: list = []
    widths = set()
    for number in range(1, 2001):
        writer.add(step("sgd", number, loss=losses[number - 1]))
        if number % 37:
            continue
        writer.flush()
        lane = store.curves.window(run_id, points=50).lanes[0]
        width = 1
        while number / width > 50:
            width *= 2
        whole = [losses[start : min(start + width, number)].mean() for start in range(0, number, width)]
        assert lane.steps["loss"] == pytest.approx(whole, rel=1e-12)
        assert lane.points == len(lane.steps["loss"]) <= 50
        if width in widths:
            finished = before[:-1]
            assert lane.steps["loss"][: len(finished)] == finished
        widths.add(width)
        before = lane.steps["loss"]
    assert widths == {1, 2, 4, 8, 16, 32, 64}  # raw steps and both widths of stored bins were read


def test_progress_and_time_left(store: Store) -> None:
    spec = TWO.model_copy(update={"clock": "seconds", "seconds": 10.0})
    run_id, writer = queue(store, spec, total_steps=None)
    assert store.queue.assign(run_id, "cpu")
    assert store.queue.transition(run_id, ("starting",), "running")
    writer.add(step("sgd", 5, seconds=5.0))
    writer.add(step("ssam-f", 1, seconds=2.5))
    writer.flush()
    store.queue.heartbeat(run_id, trained=1e-9)
    window = store.curves.window(run_id)
    assert window.progress == pytest.approx(0.375)
    assert window.eta_seconds == pytest.approx(window.elapsed * 0.625 / 0.375)
    assert store.queue.transition(run_id, ("running",), "paused")
    held = store.curves.window(run_id).elapsed
    assert store.curves.window(run_id).elapsed == held > 0
    assert not store.queue.transition(run_id, ("running",), "finished")  # it is paused: nothing happens
    assert store.queue.transition(run_id, ("paused",), "running")
    assert store.queue.transition(run_id, ("running",), "finished")
    run, window = store.runs.get(run_id), store.curves.window(run_id)
    assert (run.state, window.eta_seconds) == ("finished", None)
    assert held <= window.elapsed <= run.ended - run.started


def test_a_run_without_a_process_is_paused_and_stopped_at_once(store: Store) -> None:
    run_id = store.runs.create(TWO, "a")
    store.queue.set_desired_state(run_id, "pause")
    assert (store.runs.get(run_id).state, store.runs.get(run_id).want) == ("paused", "run")
    assert not store.queue.assign(run_id, "cpu")
    store.queue.resume(run_id)
    assert store.runs.get(run_id).state == "queued"
    store.queue.set_desired_state(run_id, "stop")
    assert store.runs.get(run_id).state == "stopped"
    assert not store.queue.assign(run_id, "cpu")
    assert store.queue.jobs() == []
    store.queue.resume(run_id)
    assert [job.id for job in store.queue.jobs()] == [run_id]


def test_what_is_wanted_cannot_be_taken_back_from_the_dead(store: Store) -> None:
    run_id = store.runs.create(TWO, "a")
    assert store.queue.assign(run_id, "cpu")
    assert not store.queue.assign(run_id, "cpu")
    assert store.queue.acquire(run_id, 1, 2.0)
    assert not store.queue.acquire(run_id, 3, 4.0)
    store.queue.set_desired_state(run_id, "pause")
    assert store.queue.heartbeat(run_id) == "pause"
    store.queue.resume(run_id)
    assert store.queue.heartbeat(run_id) == "run"
    store.queue.set_desired_state(run_id, "stop")
    store.queue.set_desired_state(run_id, "pause")
    store.queue.resume(run_id)
    assert store.queue.heartbeat(run_id) == "stop"
    assert store.queue.transition(run_id, ("starting",), "stopped")
    assert store.runs.get(run_id).state == "stopped"


def test_owners_their_races_and_what_is_deleted(store: Store) -> None:
    first, second = (store.runs.create(TWO, name, owner="ada") for name in ("first", "second"))
    writer = store.writer(first)
    writer.add(started(TWO, 100))
    writer.add(mask("ssam-f", 1, np.zeros((2, 6), dtype=np.uint8)))
    store.runs.create(RaceSpec(), "another", owner="bob")
    assert [run.id for run in store.runs.newest(owner="ada")] == [second, first]
    assert store.queue.last_served(["ada", "bob"]) == {}
    assert store.queue.assign(first, "cpu")
    assert list(store.queue.last_served(["ada", "bob"])) == ["ada"]
    assert not store.runs.purge(first)  # its process may be alive
    assert store.queue.transition(first, ("starting",), "finished")
    assert store.runs.find_identical(TWO).id == first
    assert store.runs.purge(first)
    assert (store.runs.get(first), store.runs.find_identical(TWO), store.run_folder(first).exists()) == (
        None,
        None,
        False,
    )
    assert not store.runs.purge(first)
    again = store.runs.create(TWO, "first")  # nothing of it is left that a new one could meet
    store.writer(again).add(started(TWO, 100))
    assert not store.is_teacher("ada")
    for _ in range(2):
        store.make_teacher("ada")
    assert (store.is_teacher("ada"), store.is_teacher("bob")) == (True, False)


def test_any_text_can_be_the_last_words(store: Store) -> None:
    run_id = store.runs.create(TWO, "a")
    assert store.queue.transition(run_id, ("queued",), "failed", message="\0\0\0, name \udcff, ε → w")
    assert store.runs.get(run_id).message == ", name ?, ε → w"


def test_steps_are_written_in_batches_and_rare_events_at_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    run_id, writer = queue(store)

    def last_step() -> int:
        return store.curves.window(run_id).lanes[0].last_step

    clock = [100.0]
    monkeypatch.setattr(writing, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    writer.add(step("sgd", 1))
    assert last_step() == 1  # the first point is not kept waiting
    for number in range(2, 100):
        writer.add(step("sgd", number))
    assert last_step() == 1
    clock[0] += writing.FLUSH_SECONDS
    writer.add(step("sgd", 100))
    assert last_step() == 100
    writer.add(step("sgd", 101))
    assert last_step() == 100
    writer.add(epoch("sgd", 1))
    assert last_step() == 101
    writer.add(step("sgd", number + 2))
    writer.close()
    assert last_step() == number + 2


def test_the_table_has_a_row_per_lane_and_epoch(store: Store) -> None:
    run_id, writer = queue(store)
    assert list(store.curves.epochs_table(run_id)["lane"]) == []
    for number in (1, 2):
        for lane in ("sgd", "ssam-f"):
            writer.add(epoch(lane, number, final=number == 2))
    table = store.curves.epochs_table(run_id)
    assert list(table["lane"]) == ["sgd", "sgd", "ssam-f", "ssam-f"]
    assert table["sparsity"].isna().tolist() == [True, True, False, False]  # SGD has none
    assert table["rho"].isna().tolist() == [True, True, False, False]
    assert list(table["final"]) == [False, True, False, True]
    assert table.to_csv(index=False).startswith("lane,method,sparsity,rho,epoch,step,gradients,seconds,lr,train_loss")


def test_one_writes_while_another_reads(store: Store) -> None:
    run_id, writer = queue(store, total_steps=3000)
    errors: list[BaseException] = []

    def write() -> None:
        try:
            with writer:
                for number in range(1, 3001):
                    for lane in TWO.lane_names:
                        writer.add(step(lane, number))
                    if number % 20 == 0:
                        writer.flush()
        except BaseException as error:
            errors.append(error)

    other = Store(store.home, store.url)
    thread = threading.Thread(target=write)
    thread.start()
    seen = [0]
    while thread.is_alive():
        lane = other.curves.window(run_id, points=100).lanes[1]
        assert lane.points <= 100
        seen.append(lane.last_step)
        other.queue.heartbeat(run_id)
    thread.join()
    assert errors == []
    assert seen == sorted(seen)
    assert len(set(seen)) > 3
    assert other.curves.window(run_id).lanes[1].last_step == 3000
    other.close()


def test_reading_a_window_costs_no_more_in_a_longer_race(store: Store) -> None:
    """Of a race of many steps the bins are read, not the steps."""
    cost: dict[int, tuple[int, int]] = {}
    for steps in (1_000, 10_000):
        run_id, writer = queue(store, total_steps=steps)
        for number in range(1, steps + 1):
            writer.add(step("ssam-f", number))
        writer.close()
        store.curves.window(run_id)
        with statements() as sent, instructions() as done:
            window = store.curves.window(run_id)
        assert 100 <= window.lanes[1].points <= 300
        cost[steps] = len(sent), len(done)
    assert cost[10_000][0] == cost[1_000][0]
    assert cost[10_000][1] <= 2 * cost[1_000][1], (
        "in thousands of SQLite's instructions; none are counted in PostgreSQL"
    )


def test_rate_is_measured_or_says_that_it_is_a_guess(store: Store) -> None:
    assert not store.runs.rate("auto").measured
    assert store.runs.rate("cuda:0").gmacs > store.runs.rate("cpu").gmacs

    def race(model: str, seconds: float) -> None:
        spec = RaceSpec(model=model, lanes=(LaneSpec(method="sgd"),), batch_size=100)
        run_id, writer = queue(store, spec)
        assert store.queue.assign(run_id, "cpu")
        writer.add(step("sgd", 10, gradients=10, seconds=seconds))
        writer.close()

    race("cnn8", 0.5)  # too short to tell
    assert not store.runs.rate("auto").measured
    for seconds in (2.0, 4.0, 5.0):
        race("cnn8", seconds)
    assert store.runs.rate("auto").measured
    assert store.runs.rate("cpu", "cnn8").gmacs == pytest.approx(3000 * MODELS["cnn8"].mmacs / 1e3 / 4.0)
    race("resnet20", 1.0)
    assert store.runs.rate("auto", "resnet20").gmacs == pytest.approx(
        3000 * MODELS["resnet20"].mmacs / 1e3 * (28 / 32) ** 2 / 1.0
    )
    assert store.runs.rate("auto", "cnn8").gmacs == pytest.approx(3000 * MODELS["cnn8"].mmacs / 1e3 / 4.0)
    assert store.runs.rate("auto", "vgg11-bn").measured  # better another model's than a guess
    assert not store.runs.rate("cuda:0").measured
    elsewhere = Store(store.home.parent / "elsewhere", store.url)
    assert not elsewhere.runs.rate("auto").measured  # another machine, for all it knows
    elsewhere.close()


def archive(*members: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        for member in members:
            made.writestr(member, member)
    return file.getvalue()


def test_uploads_are_checked_and_named_by_content(store: Store) -> None:
    good = archive("train/cat/1.jpg", "train/dog/2.jpg", "test/cat/3.jpg", "test/dog/4.jpg")
    name = store.uploads.save("../My Photos!.zip", good)
    assert name.startswith("my-photos-")
    assert (store.image_root / name).read_bytes() == good
    assert store.uploads.save("My Photos!.zip", io.BytesIO(good)) == name
    other = store.uploads.save(
        "My Photos!.zip", archive("train/cat/1.jpg", "train/dog/5.jpg", "test/cat/3.jpg", "test/dog/4.jpg")
    )
    assert store.uploads.names() == sorted([name, other])
    assert store.uploads.sizes(name) == (2, 2)
    with pytest.raises(ValueError, match=r"uploaded images '\.\./x\.zip'"):
        store.uploads.sizes("../x.zip")
    for bad in (archive("../cat/1.jpg", "dog/2.jpg"), archive("train/cat/1.jpg"), b"no zip at all"):
        with pytest.raises(ValueError, match="holiday") as refused:
            store.uploads.save("holiday.zip", bad)
        assert "\n" not in str(refused.value)
    assert {path.name for path in store.image_root.iterdir()} == {name, other, ".owners"}


def test_home_and_database_come_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSAM_HOME", str(tmp_path / "here"))
    monkeypatch.setenv("SSAM_DATABASE_URL", f"sqlite:///{tmp_path / 'elsewhere.db'}")
    store = Store()
    store.close()
    assert store.home == tmp_path / "here"
    assert (tmp_path / "elsewhere.db").exists()
    assert store.run_folder("abc") == tmp_path / "here" / "runs" / "abc"


def test_a_home_that_is_no_home_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSAM_HOME", "~no-such-user/lab")
    with pytest.raises(ValueError, match=r"^SSAM_HOME '~no-such-user/lab'.*home folder"):
        Store()


@pytest.mark.parametrize("name", ["what?", "no#1", "a%20b", "a&b=c:d@e ü"])
def test_the_database_is_in_the_home_folder_whatever_that_is_called(tmp_path: Path, name: str) -> None:
    """Its URL goes to other processes as text, so both ways in must lead to the same file."""
    first = Store(tmp_path / name)
    second = Store(tmp_path / name, first.url)
    run_id = first.runs.create(TWO, "a")
    assert second.runs.get(run_id) is not None
    assert (tmp_path / name / "ssam.db").stat().st_size > 0
    assert [path.name for path in tmp_path.iterdir()] == [name]
    first.close()
    second.close()


def test_homes_that_share_a_database_share_the_queue_only(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'shared.db'}"
    here, there = (Store(tmp_path / name, url) for name in ("here", "there"))
    queued, taken = (here.runs.create(TWO, name) for name in ("queued", "taken"))
    assert [[job.id for job in store.queue.jobs()] for store in (here, there)] == [[queued, taken]] * 2
    assert there.queue.assign(taken, "cpu")  # any runner may
    assert [job.id for job in here.queue.jobs()] == [queued]
    assert [(job.id, job.state) for job in there.queue.jobs()] == [(queued, "queued"), (taken, "starting")]
    assert len(here.runs.newest()) == 2  # all are seen everywhere
    here.close()
    there.close()


def test_many_processes_may_open_a_new_home_at_once(tmp_path: Path) -> None:
    with ThreadPoolExecutor(6) as pool:
        for store in pool.map(lambda _: Store(tmp_path / "new"), range(6)):
            store.close()


def test_the_tables_and_the_curves_are_also_postgresql() -> None:
    dialect = postgresql.dialect()
    ddl = "\n".join(str(CreateTable(table).compile(dialect=dialect)) for table in metadata.sorted_tables)
    assert "DOUBLE PRECISION" in ddl
    assert "ROWID" not in ddl
    query = str(curves.curves_query(16).compile(dialect=dialect))
    assert query.count("BY bins.bin / 2") == 2
