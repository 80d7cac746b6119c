"""One race by several processes: equal replicas, and the mathematics of both kinds of perturbation."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.nn.functional import cross_entropy

from ssam import cli
from ssam.data import load_dataset
from ssam.engine import Race
from ssam.engine.distributed import Ranks
from ssam.experiment import parse_spec
from ssam.models import build_model
from ssam.training.schedule import learning_rate
from tests.patience import SECONDS
from tests.ranks import state_after

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[1]
STEPS = 210
METHODS = "sgd,sam,ssam-f,ssam-d,ssam:direction=momentum,sam:region=late:norm=masked,ssam-f:ascent_batch=4:sparsity=0.8"
SMALL = {"image_size": 8, "fisher_samples": 16}
BATCHNORM = {
    **SMALL,
    "train_size": 700,
    "validation": 0.2,
    "batch_size": 8,
    "epochs": 4,
    "lanes": METHODS,
    "eigenvalue_interval": 1,
}  # 70 steps an epoch, and 140 images held out
SMOOTH = {  # no BatchNorm: a batch can be shared without a trace
    **SMALL,
    "model": "vit-tiny",
    "train_size": 64,
    "batch_size": 16,
    "epochs": 4,
    "lr": 0.05,
    "lanes": "sgd,sam,ssam-f,ssam-d,ssam:direction=momentum,sam:region=late:norm=masked,sam:ascent_batch=8,gsam",
}
RIVALS = {
    **BATCHNORM,
    "lanes": "sgd:epochs=1,sgd:base=adamw,sgd:ema=0.9,sgd:label_smoothing=0.1,sgd:patience=1,sam:base=adamw,f-sam,looksam",
}
TWIN_STEPS = 3
JOBS = [
    {"name": "rivals", "spec": RIVALS, "perturbation": "worker", "step": 2 * STEPS // 3},
    {"name": "worker", "spec": BATCHNORM, "perturbation": "worker", "step": STEPS},
    {"name": "global", "spec": SMOOTH, "perturbation": "global", "step": 6},  # behind a refresh of the masks
    {"name": "shares", "spec": {**SMOOTH, "lanes": "sam"}, "perturbation": "worker", "step": TWIN_STEPS},
]


@pytest.fixture(scope="module")
def states(tmp_path_factory):
    """Of each job, the states that its two processes kept."""
    folder = tmp_path_factory.mktemp("ranks")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*command, "-m", "tests.ranks", json.dumps(JOBS), str(folder)],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    names = [job["name"] for job in JOBS]
    return {name: [torch.load(folder / f"{name}-{rank}.pt", weights_only=True) for rank in (0, 1)] for name in names}


def differences(a, b, where=""):
    """The places at which two states differ in a single bit."""
    if isinstance(a, torch.Tensor):
        return [] if torch.equal(a, b) and a.dtype == b.dtype else [where]
    if isinstance(a, dict):
        assert a.keys() == b.keys()
        return [place for key in a for place in differences(a[key], b[key], f"{where}/{key}")]
    if isinstance(a, list):
        assert len(a) == len(b)
        return [place for i in range(len(a)) for place in differences(a[i], b[i], f"{where}/{i}")]
    return [] if a == b else [where]


@pytest.mark.parametrize("name", [job["name"] for job in JOBS])
def test_replicas_are_equal_bit_for_bit(states, name):
    """Weights, BatchNorm statistics, momentum, masks, clocks, losses, the vector of λ₁: the whole state."""
    first, second = states[name]
    assert differences(first, second) in (
        [],
        ["/random/0"],
    )  # the global generator is each process's own; no step draws from it
    if name == "worker":
        assert {lane["step_count"] for lane in first["lanes"].values()} == {STEPS}
        assert not any(lane["diverged"] for lane in first["lanes"].values())
        assert all(lane["eigenvector"] and lane["last"]["eigenvalue"] for lane in first["lanes"].values())
        assert all(0 < lane["last"]["validation_accuracy"] < 1 for lane in first["lanes"].values())
        assert differences(first["lanes"]["sam"], first["lanes"]["ssam-d"])  # the comparison can see something


def test_rivals_end_at_their_own_epoch_on_every_process(states):
    """One schedule is shorter, one stops early, one averages its weights, two have another base optimizer."""
    for state in states["rivals"]:
        lanes = state["lanes"]
        assert lanes["sgd:epochs=1"]["step_count"] == STEPS // 3
        assert STEPS // 3 < lanes["sgd:patience=1"]["step_count"] <= 2 * STEPS // 3
        assert {lanes[name]["step_count"] for name in ("sgd:ema=0.9", "sgd:label_smoothing=0.1", "sam")} == {
            2 * STEPS // 3
        }
        average = {name.removeprefix("module."): tensor for name, tensor in lanes["sgd:ema=0.9"]["average"].items()}
        assert differences(
            {name: average[name] for name in lanes["sgd:ema=0.9"]["model"]}, lanes["sgd:ema=0.9"]["model"]
        )


def test_a_global_perturbation_is_that_of_one_process_with_the_whole_batch(states, tmp_path):
    race = Race(parse_spec(SMOOTH), home=tmp_path, threads=1)
    alone, together = state_after(race, 6)["lanes"], states["global"][0]["lanes"]
    for name, lane in alone.items():
        torch.testing.assert_close(together[name]["losses"], lane["losses"], rtol=1e-5, atol=0)
        for weight, tensor in lane["model"].items():
            scale = float(tensor.abs().max())
            torch.testing.assert_close(together[name]["model"][weight], tensor, rtol=1e-5, atol=1e-5 * scale)


def test_a_perturbation_by_worker_takes_each_share_to_its_own_worst_point(states, tmp_path):
    """Line by line: per share an ε from its own gradient, the mean of the gradients there, one step of SGD."""
    spec = parse_spec({**SMOOTH, "lanes": "sam"})
    batches = load_dataset(spec, tmp_path, progress=lambda *_: None).batches(spec, torch.device("cpu"), True)
    model = build_model(spec.model, channels=1, classes=10, size=8, seed=spec.seed).train()
    params = list(model.parameters())
    sgd = torch.optim.SGD(params, momentum=spec.momentum, weight_decay=spec.weight_decay)
    losses = []
    for step in range(TWIN_STEPS):
        x, y = batches.get(step)
        at_perturbed, seen = [], []
        for rank in (0, 1):
            loss = cross_entropy(model(x[rank::2]), y[rank::2])
            gradients = torch.autograd.grad(loss, params)
            norm = torch.sqrt(sum(g.double().square().sum() for g in gradients))
            epsilon = [(spec.rho * g.double() / norm).float() for g in gradients]
            torch._foreach_add_([p.data for p in params], epsilon)
            at_perturbed.append(torch.autograd.grad(cross_entropy(model(x[rank::2]), y[rank::2]), params))
            torch._foreach_sub_([p.data for p in params], epsilon)
            seen.append(loss.item())
        for p, first, second in zip(params, *at_perturbed, strict=True):
            p.grad = (first + second) / 2
        sgd.param_groups[0]["lr"] = learning_rate(spec.lr, (step + 0.5) / 16, 0.2)
        sgd.step()
        losses.append(sum(seen) / 2)
    lane = states["shares"][0]["lanes"]["sam"]
    assert lane["losses"].tolist() == pytest.approx(losses, rel=1e-5)
    for name, p in model.named_parameters():
        torch.testing.assert_close(lane["model"][name], p.data, rtol=1e-4, atol=1e-6)


def test_batches_must_be_shared_equally(tmp_path):
    with pytest.raises(ValueError, match=r"batch_size 128 .*multiple.* 3"):
        Race(parse_spec({}), home=tmp_path, ranks=Ranks(size=3))
    with pytest.raises(ValueError, match=r"ascent_batch 6 .*multiple.* 4"):
        Race(parse_spec({"lanes": "sam:ascent_batch=6"}), home=tmp_path, ranks=Ranks(size=4))


def test_a_process_that_dies_ends_the_others_with_one_line(tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "ssam", "race", "--json", "--train-size", "256", "--batch-size", "64"]
    place = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "SSAM_HOME": str(tmp_path)}
    first, second = (
        subprocess.Popen(
            [*command, "--lanes", "sgd", "--epochs", "1000", "--perturbation", "global"],
            cwd=ROOT,
            env={**os.environ, **place, "RANK": rank, "LOCAL_RANK": rank, "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in ("0", "1")
    )
    try:
        assert json.loads(first.stdout.readline())["event"] == "epoch"  # they train
        second.send_signal(signal.SIGKILL)
        _, errors = first.communicate(timeout=SECONDS)
        told, _ = second.communicate(timeout=SECONDS)
    finally:
        first.kill()
        second.kill()
    assert first.returncode == 2, errors
    last = "ssam race (process 0 of 2, counted from 0): another process of this race has ended or cannot be reached"
    assert errors.splitlines()[-1] == last
    assert "Traceback" not in errors
    assert told == ""  # one process tells what happens


def test_a_perturbation_needs_several_processes(capsys):
    assert cli.main(["race", "--perturbation", "global"]) == 2
    assert "torchrun" in capsys.readouterr().err
