"""The examples of docs/examples run, are short, and train the same network to the same bit, whatever is around the loop."""

import functools
import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "examples"


def loaded(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def trained(name: str, *settings: str) -> dict[str, torch.Tensor]:
    module = loaded(name)
    state: dict[str, torch.Tensor] = module.main(*settings).state_dict()
    return state


@pytest.fixture(scope="module")
def plain() -> dict[str, torch.Tensor]:
    """What the plain loop has trained."""
    return trained("plain_pytorch")


def test_they_are_short() -> None:
    files = sorted(FOLDER.glob("*.py"))
    names = ["accelerate_loop", "accumulation", "compiled", "fp16_scaler", "hugging_face_trainer"]
    assert [path.stem for path in files] == [*names, "lightning_manual", "plain_pytorch", "several_processes"]
    for path in files:
        assert len(path.read_text(encoding="utf-8").splitlines()) < 60, path


@pytest.mark.training
@pytest.mark.parametrize(
    "example", [("plain_pytorch",), ("accumulation",), ("fp16_scaler",), ("compiled", "aot_eager")], ids=lambda e: e[0]
)
@pytest.mark.filterwarnings("ignore:Using .torch.compile")
def test_the_loop_learns(example: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    trained(*example)
    assert_learns(capsys.readouterr().out)


@pytest.mark.training
@pytest.mark.filterwarnings("ignore")  # those of the libraries
def test_the_hugging_face_trainer_learns(capsys: pytest.CaptureFixture[str]) -> None:
    trained("hugging_face_trainer")
    assert_learns(capsys.readouterr().out)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_the_hugging_face_trainer_refuses_to_accumulate() -> None:
    module = loaded("hugging_face_trainer")
    module.TrainingArguments = functools.partial(module.TrainingArguments, gradient_accumulation_steps=2)
    with pytest.raises(RuntimeError, match="micro-batches"):
        module.main()


@pytest.mark.service
@pytest.mark.parametrize("wrapper", ["ddp", "fsdp"])
def test_several_processes_learn(wrapper: str) -> None:
    command = [sys.executable, "-W", "ignore", "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    root = FOLDER.parents[1]
    ended = subprocess.run(
        [*command, str(FOLDER / "several_processes.py"), wrapper],
        cwd=root,
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"},
    )
    assert_learns(ended.stdout)


def assert_learns(told: str) -> None:
    losses = [float(line.rpartition(" ")[2]) for line in told.splitlines() if line.startswith("epoch ")]
    assert len(losses) == 5
    assert losses[-1] < losses[0] < 1.4


@pytest.mark.slow
@pytest.mark.parametrize("name", ["lightning_manual", "accelerate_loop"])
@pytest.mark.filterwarnings("ignore")  # those of the libraries
def test_the_same_network_comes_out_of_every_loop(name: str, plain: dict[str, torch.Tensor]) -> None:
    other = trained(name)
    assert plain.keys() == other.keys()
    for key, value in plain.items():
        assert torch.equal(value, other[key]), key
