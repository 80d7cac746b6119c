"""Analyses as work: queued, kept as they go, stopped, taken up again after a kill; with the real runner and a real small race."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from app.shell.url_state import read
from ssam.experiment import parse_spec
from ssam.experiment.analysis import AnalysisSpec, parse_analysis
from ssam.jobs import analysis_process
from ssam.jobs.client import Client
from ssam.planning.estimate import Rate, analysis_seconds
from ssam.store import Person, Store
from tests.golden import assert_one_line_error
from tests.leftovers import end_runner
from tests.patience import wait_until

ADA, BOB = Person("ada"), Person("bob")
pytestmark = pytest.mark.slow
RACE = parse_spec(
    {
        "train_size": 256,
        "batch_size": 64,
        "epochs": 2,
        "lanes": "sgd,ssam-f",
        "snapshot_interval": 1,
        "fisher_samples": 16,
    }
)
QUICK = parse_analysis({"kind": "sharpness", "images": 64})
LONG = parse_analysis({"kind": "surface", "images": 2000, "points": 101})


class Lab:
    def __init__(self, home: Path) -> None:
        self.store = Store(home, f"sqlite:///{home / 'ssam.db'}")
        self.client = Client(self.store)
        self.asked = 0
        self.client.runner.ensure()
        wait_until(self.client.machine)
        self.race = self.client.races.submit(RACE, "the race", ADA).run_id
        assert self.ended(self.race).state == "finished", self.store.runs.get(self.race)

    def analyse(self, analysis: AnalysisSpec, person: Person = ADA) -> str:
        self.asked += 1
        return self.client.analyses.submit(self.race, analysis, f"request {self.asked}", person).run_id

    def ended(self, run_id: str):
        wait_until(lambda: self.store.runs.get(run_id).state in ("finished", "failed", "stopped", "interrupted"))
        return self.store.runs.get(run_id)

    def pid(self, run_id: str) -> int | None:
        return next((job.pid for job in self.store.queue.jobs() if job.id == run_id and job.state == "running"), None)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    lab = Lab(tmp_path_factory.mktemp("home"))
    yield lab
    end_runner(lab.store.home)
    lab.store.close()


def test_an_analysis_is_measured_kept_and_not_measured_again(lab: Lab) -> None:
    first = lab.analyse(QUICK)
    run = lab.ended(first)
    assert (run.state, run.progress, run.parent, run.analysis) == ("finished", 1.0, lab.race, QUICK)
    estimators = {(row["lane"], row["estimator"]) for row in run.result["rows"]}
    assert (1, "masked_ascent_gap") in estimators
    assert (0, "masked_ascent_gap") not in estimators  # SGD has no mask
    assert run.result["about"]["images"] == 64
    again = lab.client.analyses.submit(lab.race, QUICK, "another request", BOB)
    assert (again.run_id, again.reused) == (first, True)
    assert first in {analysis.id for analysis in lab.store.analyses.of_race(lab.race)}
    assert first not in {race.id for race in lab.store.runs.newest()}


def test_the_surface_of_all_lanes_has_their_paths(lab: Lab) -> None:
    run = lab.ended(lab.analyse(parse_analysis({"kind": "surface", "plane": "lanes", "points": 5, "images": 64})))
    assert run.state == "finished", run.message
    arrays = lab.store.analyses.arrays(run.id)
    assert arrays["loss"].shape == (5, 5)
    assert np.isfinite(arrays["loss"]).all()
    assert arrays["path/1"][:, 2].tolist() == [0.0, 1.0, 2.0]
    ends = {row["lane"]: (row["x"], row["y"]) for row in run.result["rows"]}
    assert arrays["path/1"][-1, :2].tolist() == pytest.approx(ends[1], abs=1e-6)


def test_kept_epochs_can_be_looked_at_one_by_one(lab: Lab) -> None:
    run = lab.ended(lab.analyse(QUICK.model_copy(update={"epochs": (0, 2)})))
    assert {row["epoch"] for row in run.result["rows"]} == {0.0, 2.0}
    with pytest.raises(ValueError, match=r"epochs 7 .*0, 1, 2$"):
        lab.analyse(QUICK.model_copy(update={"epochs": (7,)}))


def test_a_step_is_taken_apart_from_the_newest_and_from_kept_weights(lab: Lab) -> None:
    asked = AnalysisSpec(kind="anatomy", images=16)
    for epochs, has_momentum in (((), True), ((1,), False)):
        run = lab.ended(lab.analyse(asked.model_copy(update={"epochs": epochs})))
        assert run.state == "finished", run.message
        sgd, ssam = (row for row in run.result["rows"] if row["what"] == "step")
        assert ("radius" in sgd, ssam["off"], ssam["momentum"]) == (False, 0.0, has_momentum)
        assert ssam["radius"] < ssam["rho"]
        assert (ssam["rate"] < RACE.lr / 10) == (epochs == ()), "at its end the learning rate is nearly 0"
        arrays = lab.store.analyses.arrays(run.id)
        assert not arrays["epsilon/1"][arrays["mask/1"] == 0].any()
        assert "mask/0" not in arrays


def test_kept_weights_are_read_only_where_they_are_asked_for(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(analysis_process, "load_arrays", lambda path: pytest.fail(f"{path} was read"))
    moments = analysis_process.load_moments(lab.store, lab.race, RACE, QUICK)
    assert [(moment.lane, moment.step, moment.masks is None) for moment in moments] == [(0, 8, True), (1, 8, False)]


def test_a_kept_moment_has_the_mask_that_it_was_trained_with(lab: Lab) -> None:
    """The mask of epoch 2 is made at the weights that end epoch 1; those were trained with the one before."""
    assert [mask["step"] for mask in lab.store.curves.window(lab.race).lanes[1].masks] == [0, 4]
    for epoch, made in ((0, 0), (1, 0), (2, 4)):
        (sgd, ssam) = analysis_process.load_moments(
            lab.store, lab.race, RACE, QUICK.model_copy(update={"epochs": (epoch,)})
        )
        assert (sgd.masks, ssam.step) == (None, 4 * epoch)
        for name, mask in lab.store.curves.mask_bits(lab.race, "ssam-f", made).items():
            np.testing.assert_array_equal(ssam.masks[name].numpy(), mask)


def test_a_slot_of_a_cluster_that_is_not_here_means_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSAM_DEVICE", "cuda:63")
    assert analysis_process.device_here("auto").type == "cpu"
    with pytest.raises(ValueError, match=r"^device 'cuda:63' "):
        analysis_process.device_here("cuda:63")


def test_stop_ends_it_before_its_end_and_keeps_what_was_found(lab: Lab) -> None:
    run_id = lab.analyse(LONG)
    wait_until(lambda: lab.store.analyses.arrays(run_id))
    with pytest.raises(PermissionError):
        lab.client.races.stop(run_id, BOB)
    lab.client.races.stop(run_id, ADA)
    assert lab.ended(run_id).state == "stopped"
    loss = lab.store.analyses.arrays(run_id)["loss/0"]
    assert 0 < np.isfinite(loss).sum() < loss.size
    assert lab.store.analyses.find(LONG.digest(lab.race, lab.store.runs.get(lab.race).checkpointed)) is None


def test_a_killed_process_is_replaced_and_finds_the_same(lab: Lab) -> None:
    asked = parse_analysis({"kind": "surface", "images": 2000, "points": 13})
    run_id = lab.analyse(asked)
    wait_until(lambda: lab.pid(run_id) and lab.store.analyses.arrays(run_id))
    os.kill(lab.pid(run_id), signal.SIGKILL)
    assert lab.ended(run_id).state == "finished"
    again = lab.analyse(asked.model_copy(update={"span": 1.0 + 1e-12}))  # another one, the same numbers
    assert lab.ended(again).state == "finished"
    first, second = (lab.store.analyses.arrays(found)["loss/1"] for found in (run_id, again))
    np.testing.assert_allclose(first, second, rtol=1e-5)


def test_what_cannot_be_measured_is_refused_in_one_line(lab: Lab) -> None:
    with pytest.raises(ValueError, match=r"^.*'nowhere'.*$"):
        lab.client.analyses.submit("nowhere", QUICK, "a", ADA)
    waiting = lab.store.runs.create(RACE.model_copy(update={"seed": 9}), "held back", "ada")
    lab.store.queue.set_desired_state(waiting, "pause")
    with pytest.raises(ValueError, match="no checkpoint"):
        lab.client.analyses.submit(waiting, QUICK, "b", ADA)
    analysis = lab.analyse(QUICK)
    with pytest.raises(ValueError, match=rf"no race .*{analysis[:8]}"):
        lab.client.analyses.submit(analysis, QUICK, "c", ADA)


def test_weights_that_are_gone_fail_with_a_line(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "ssam.jobs.analysis_client.AnalysisClient.check_weights", lambda *_: None
    )  # they went after the question
    empty = lab.store.runs.create(RACE.model_copy(update={"seed": 8}), "never started", "ada")
    lab.store.queue.set_desired_state(empty, "pause")
    run = lab.ended(lab.client.analyses.submit(empty, QUICK, "d", ADA).run_id)
    assert run.state == "failed"
    assert_one_line_error(run.message, ["race", "deleted"])


def test_an_analysis_goes_with_its_race(tmp_path: Path) -> None:
    store = Store(tmp_path, f"sqlite:///{tmp_path / 'ssam.db'}")
    race = store.runs.create(RACE, "race", "ada")
    analysis = store.analyses.create(store.runs.get(race), QUICK, "analysis", "bob")
    store.queue.set_desired_state(race, "stop")
    assert store.queue.assign(analysis, "cpu")
    assert not store.runs.purge(race)  # it is being looked at
    store.queue.transition(analysis, ("starting",), "finished")
    assert store.runs.purge(race)
    assert store.runs.get(analysis) is None
    store.close()


def test_the_address_of_an_analysis_is_no_race(store: Store) -> None:
    import streamlit as st

    race = store.runs.create(RACE, "race", "ada")
    analysis = store.analyses.create(store.runs.get(race), QUICK, "analysis", "ada")
    st.query_params.from_dict({"run": analysis})
    run, problem = read(store)[1:]
    assert run is None
    assert_one_line_error(problem, [repr(analysis[:40])])


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"kind": "flat"}, "kind 'flat'"),
        ({"kind": "surface", "points": 20}, "20 must be odd"),
        ({"kind": "surface", "epochs": [1, 2]}, "kind 'surface' is of one moment: at most one of epochs"),
        ({"kind": "sharpness", "rho": 0}, "rho '0' must be a number above 0 to 10"),
        ({"kind": "sharpness", "epochs": [2, 1]}, "must be different whole numbers from 0, in ascending order"),
        ({"kind": "sharpness", "image": 3}, "'image' is not a setting; allowed: kind, epochs, images"),
    ],
)
def test_bad_questions_get_one_line(values: dict, line: str) -> None:
    with pytest.raises(ValueError, match=r".") as told:
        parse_analysis(values)
    assert line in str(told.value)
    assert "\n" not in str(told.value)


def test_the_estimate_grows_with_what_is_asked() -> None:
    rate = Rate(10.0, measured=True)
    seconds = {
        kind: analysis_seconds(RACE, parse_analysis({"kind": kind}), rate)
        for kind in ("sharpness", "curvature", "spectrum")
    }
    assert seconds["sharpness"] < seconds["curvature"] < seconds["spectrum"]
    surface = parse_analysis({"kind": "surface"})
    assert analysis_seconds(RACE, surface.model_copy(update={"plane": "lanes"}), rate) == pytest.approx(
        analysis_seconds(RACE, surface, rate) / 2
    )
