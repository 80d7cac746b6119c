"""The examples of docs/examples run, are short, and train the same network to the same bit, whatever is around the loop."""

import importlib.util
from pathlib import Path

import pytest
import torch

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "examples"


def trained(name: str) -> dict[str, torch.Tensor]:
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    state: dict[str, torch.Tensor] = module.main().state_dict()
    return state


@pytest.fixture(scope="module")
def plain() -> dict[str, torch.Tensor]:
    """What the plain loop has trained."""
    return trained("plain_pytorch")


def test_they_are_short() -> None:
    files = sorted(FOLDER.glob("*.py"))
    assert [path.stem for path in files] == ["accelerate_loop", "lightning_manual", "plain_pytorch"]
    for path in files:
        assert len(path.read_text(encoding="utf-8").splitlines()) < 60, path


@pytest.mark.slow
def test_the_plain_loop_learns(capsys: pytest.CaptureFixture[str]) -> None:
    trained("plain_pytorch")
    losses = [float(line.rpartition(" ")[2]) for line in capsys.readouterr().out.splitlines()]
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
