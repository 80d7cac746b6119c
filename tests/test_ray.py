"""Races on a Ray cluster of several nodes, on one machine: real runner, real actors, a node that is killed."""

import os
import subprocess
import sys

import pytest

from ssam.experiment import parse_spec
from ssam.experiment.events import EpochEvent
from ssam.jobs.client import Client
from ssam.jobs.ray import engine as ray_engine
from ssam.store import Person, Store
from tests.fake_race import BAD_INPUT, BUG, ENDLESS, LONG, STEPS
from tests.patience import SECONDS, wait_until
from tests.ray_cluster import LOOPBACK, PROJECT, Cluster, missing

ADA = Person("ada")


def on_a_cluster(test):
    skip = pytest.mark.skipif(missing, reason="Ray is not installed: pip install -r requirements-cluster.txt")
    return pytest.mark.slow(skip(test))


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    cluster = Cluster(tmp_path_factory.mktemp("node"))
    yield cluster
    assert cluster.close() == []


class Lab:
    """A home folder with a runner whose races compute on the cluster."""

    def __init__(self, home, cluster, module, *arguments, **settings):
        self.store = Store(home)
        self.client = Client(self.store)
        place = {"SSAM_HOME": str(home), "SSAM_ENGINE": f"ray://{cluster.address}", "PYTHONPATH": str(PROJECT)}
        limits = {"SSAM_SLOTS": "1", "SSAM_CHECKPOINT_SECONDS": "0.5"}
        self.runner = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            env={**os.environ, **LOOPBACK, **place, **limits, **settings},
            cwd=PROJECT,
            start_new_session=True,
        )
        wait_until(lambda: self.client.runner.is_alive() and self.client.machine())

    def submit(self, **values):
        spec = parse_spec(values)
        return self.client.races.submit(spec, spec.digest, ADA).run_id

    def state(self, run_id):
        return self.store.runs.get(run_id).state

    def steps(self, run_id):
        """How far the lane is that has got furthest."""
        return max((lane.last_step for lane in self.store.curves.window(run_id).lanes), default=0)

    def close(self):
        self.runner.terminate()
        self.runner.wait(SECONDS)
        self.store.close()


@pytest.fixture
def lab(tmp_path, cluster):
    lab = Lab(tmp_path, cluster, "tests.ray_lab", str(tmp_path))
    yield lab
    lab.close()


@on_a_cluster
def test_pause_resume_and_stop_reach_the_node(lab, cluster):
    run_id = lab.submit(lanes="sgd,sam", seed=LONG)
    wait_until(lambda: lab.steps(run_id) > 5)
    assert cluster.races() == 1
    lab.client.races.pause(run_id, ADA)
    wait_until(lambda: lab.state(run_id) == "paused")
    reached = lab.steps(run_id)
    wait_until(lambda: cluster.races() == 0)  # its place is free
    lab.client.races.resume(run_id, ADA)
    wait_until(lambda: lab.state(run_id) == "finished")
    assert lab.steps(run_id) == STEPS[LONG] > reached
    assert "from a checkpoint" in lab.store.runs.log_tail(run_id, lines=100)

    stopped = lab.submit(lanes="sgd", seed=ENDLESS)
    wait_until(lambda: lab.steps(stopped) > 5)
    lab.client.races.stop(stopped, ADA)
    wait_until(lambda: lab.state(stopped) == "stopped")
    wait_until(lambda: cluster.races() == 0)


@on_a_cluster
@pytest.mark.parametrize(
    ("behaviour", "message"),
    [(BAD_INPUT, "the folder 'nowhere' does not exist; choose another"), (BUG, "RuntimeError: two lines")],
)
def test_what_goes_wrong_on_a_node_is_said_in_one_line(lab, behaviour, message):
    run_id = lab.submit(lanes="sgd", seed=behaviour)
    wait_until(lambda: lab.state(run_id) == "failed")
    assert lab.store.runs.get(run_id).message == message
    if behaviour == BUG:
        assert lab.steps(run_id) == 1  # what came before is kept
        assert "Traceback" in lab.store.runs.log_tail(run_id, lines=100)


@on_a_cluster
def test_a_race_shared_by_two_nodes_is_paused_and_resumed_like_any_other(tmp_path, cluster):
    lab = Lab(tmp_path, cluster, "ssam.jobs.runner", SSAM_RACE_PROCESSES="2")
    try:
        run_id = lab.submit(lanes="sgd,ssam-d", image_size=8, train_size=512, batch_size=16, epochs=5)
        wait_until(lambda: lab.steps(run_id) > 32)
        lab.client.races.pause(run_id, ADA)
        wait_until(lambda: lab.state(run_id) == "paused")
        reached = lab.steps(run_id)
        lab.client.races.resume(run_id, ADA)
        wait_until(lambda: lab.state(run_id) == "finished")
        run = lab.store.runs.get(run_id)
        assert run.started_info["device_name"].startswith("2 × ")
        assert all(0 < lane["test_accuracy"] <= 1 for lane in run.result["lanes"])
        assert lab.steps(run_id) == 160 > reached
        assert "from a checkpoint" in lab.store.runs.log_tail(run_id, lines=1000)
    finally:
        lab.close()


@on_a_cluster
def test_a_race_whose_node_is_lost_ends_as_if_nothing_had_happened(tmp_path, cluster):
    """The real engine: what is told in the end is bit for bit what one process tells."""
    settings = {"lanes": "sgd,ssam-d", "image_size": 8, "train_size": 1024, "batch_size": 16, "epochs": 8}
    lab = Lab(tmp_path, cluster, "ssam.jobs.runner")
    try:
        run_id = lab.submit(**settings)
        wait_until(lambda: lab.store.runs.get(run_id).checkpointed and lab.steps(run_id) > 64)
        cluster.lose_the_node_of_the_race()
        wait_until(lambda: lab.state(run_id) != "running")
        wait_until(lambda: lab.state(run_id) == "finished")
        table = lab.store.curves.epochs_table(run_id)
        assert "from a checkpoint" in lab.store.runs.log_tail(run_id, lines=1000)
    finally:
        lab.close()
    from ssam.engine import Race

    undisturbed = [
        e for e in Race(parse_spec(settings), home=tmp_path, threads=1).events() if isinstance(e, EpochEvent)
    ]
    told = {(row.lane, row.step, row.final): row for row in table.itertuples()}
    assert len(told) == len(undisturbed) == 16
    for event in undisturbed:
        row = told[event.lane, event.step, event.final]
        assert (row.train_loss, row.test_loss, row.test_accuracy) == (
            event.train_loss,
            event.test_loss,
            event.test_accuracy,
        )


@pytest.mark.parametrize(
    ("text", "address"),
    [("", None), ("local", None), ("ray://auto", "auto"), ("ray://10.0.0.5:6379", "10.0.0.5:6379")],
)
def test_the_engine_is_chosen_by_one_setting(text, address):
    assert ray_engine.cluster_address({"SSAM_ENGINE": text}) == address


@pytest.mark.parametrize(
    "text", ["ray", "ray://", "ray://host", "ray://host:port", "ray://a b:1", "celery", "ray://h:1/x"]
)
def test_a_bad_engine_is_refused_in_one_line(text):
    with pytest.raises(ValueError, match=r"^SSAM_ENGINE '.*' .*local, ray://auto .*ray://HOST:PORT$"):
        ray_engine.cluster_address({"SSAM_ENGINE": text})


def test_races_share_the_cpus_of_the_cluster(monkeypatch):
    monkeypatch.setenv("SSAM_SLOTS", "3")
    assert ray_engine.cpus_a_process([0, 4, 8]) == 4
    assert ray_engine.cpus_a_process([0, 2, 16]) == 6
    assert ray_engine.cpus_a_process([0, 2, 2]) == 1
    monkeypatch.setenv("SSAM_SLOTS", "1")
    assert ray_engine.cpus_a_process([4, 4]) == 4  # it must fit on one node
    assert ray_engine.cpus_a_process([4, 4], processes=4) == 2
