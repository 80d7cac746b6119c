"""The GPU command, rehearsed on a CPU: where almost nothing is installed, and to the recorded race."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.gpu import checks, event_file, record, steps
from benchmarks.gpu.__main__ import EVENTS, MINIATURE, RESULTS, run
from ssam.engine import Race
from ssam.experiment import parse_spec
from ssam.experiment.events import Started
from ssam.store import race_file
from tests.own_zip import pets

ROOT = Path(__file__).resolve().parents[1]
ABSENT = ("sqlalchemy", "streamlit", "plotly", "pandas", "psutil", "scipy", "pyarrow", "matplotlib")
ABSENT += ("safetensors", "torchvision", "curvlinops", "optuna", "psycopg", "pytest")
CPU = torch.device("cpu")
pytestmark = [pytest.mark.slow, pytest.mark.training]


@pytest.fixture(scope="module")
def rehearsed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a rehearsal leaves, run where only torch, numpy, pydantic and Pillow can be imported."""
    folder = tmp_path_factory.mktemp("gpu")
    (images := folder / "images.zip").write_bytes(pets(discs=300))
    code = f"import sys, runpy; sys.modules |= dict.fromkeys({ABSENT!r}); sys.argv[0] = 'gpu'"
    code += "; runpy.run_module('benchmarks.gpu', run_name='__main__')"
    ended = subprocess.run(
        [
            sys.executable,
            "-c",
            code,
            "--rehearse",
            "--minutes",
            "1000",
            "--data",
            str(images),
            "--out",
            str(folder / "out"),
        ],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", "SSAM_HOME": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return folder / "out"


def test_a_rehearsal_leaves_everything(rehearsed: Path) -> None:
    results = json.loads((rehearsed / RESULTS).read_text(encoding="utf-8"))
    assert set(results["checks"]) == {check.__name__ for check in checks.CHECKS}
    assert {lane["name"] for lane in results["race"]["lanes"]} == {"sgd", "sam", "ssam-f", "ssam-d"}
    timed = {(row["how"], row["lane"]) for row in results["steps"]}
    assert timed == {(how.name, lane) for how in steps.ON_CPU for lane in steps.LANES}
    assert "/" not in results["race"]["settings"]["data"]


def test_the_race_of_another_machine_can_be_played_back(rehearsed: Path, tmp_path: Path) -> None:
    record.record(rehearsed, tmp_path)
    recording = race_file.load(tmp_path / "measured" / "gpu-race.json.gz")
    results = json.loads((rehearsed / RESULTS).read_text(encoding="utf-8"))
    assert json.loads((tmp_path / "measured" / RESULTS).read_text(encoding="utf-8")) == results
    assert recording.run.result
    told = [lane["test_accuracy"] for lane in recording.run.result["lanes"]]
    assert told == pytest.approx([lane["test_accuracy"] for lane in results["race"]["lanes"]], abs=1e-4)
    assert recording.pictures


def test_events_survive_their_file(tmp_path: Path) -> None:
    spec = parse_spec({"lanes": "sgd,ssam-f", "epochs": 1, "train_size": 128, "batch_size": 64, "fisher_samples": 16})
    told = list(event_file.write(Race(spec, home=tmp_path, threads=1).events(), tmp_path / EVENTS))
    back = list(event_file.read(tmp_path / EVENTS))
    assert [type(event) for event in back] == [type(event) for event in told]
    for one, other in zip(told, back, strict=True):
        assert_same(one, other)
    assert any(isinstance(event, Started) for event in back)


def assert_same(one: Any, other: Any) -> None:
    for field in one.__slots__:
        a, b = getattr(one, field), getattr(other, field)
        if isinstance(a, dict) and any(isinstance(value, np.ndarray) for value in a.values()):
            assert a.keys() == b.keys()
            assert all(np.array_equal(a[key], b[key]) and a[key].dtype == b[key].dtype for key in a)
        elif isinstance(a, np.ndarray):
            assert np.array_equal(a, b), field
            assert a.dtype == b.dtype, field
        else:
            assert a == b or a != a, field  # a loss may be NaN


def test_a_part_that_fails_ends_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_: torch.device) -> dict[str, Any]:
        raise AssertionError("as asked")

    monkeypatch.setattr(checks, "CHECKS", (fails, checks.pinned_memory))
    monkeypatch.setattr(steps, "rows", fails)
    assert run(CPU, MINIATURE, None, tmp_path, until=math.inf) == ["fails", "cnn8 eager", "cnn8 compile"]
    results = json.loads((tmp_path / RESULTS).read_text(encoding="utf-8"))
    assert "as asked" in results["checks"]["fails"]["error"]
    assert "error" not in results["checks"]["pinned_memory"]
    assert results["race"]["lanes"]


def test_nothing_is_timed_once_the_time_is_up() -> None:
    rows = list(steps.measure(("cnn8",), CPU, repeats=5, seconds=1.0, until=0.0))
    assert [row["skipped"] for row in rows] == ["out of time"] * len(steps.ON_CPU)


@pytest.mark.filterwarnings("ignore:Using .torch.compile")
@pytest.mark.parametrize("check", [checks.fisher_mask, checks.prefix_reuse, checks.compiled])
def test_a_check_finds_a_fault(check: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """With an ascent step that differs each time, and with masks that differ."""
    calls: list[int] = []

    def ascent(self: Any, along: Any = None, original: Any = checks.ssam.SAM.ascent_step) -> None:
        original(self, along)
        calls.append(1)
        with torch.no_grad():
            self.param_groups[-1]["params"][-2].mul_(1 + len(calls))  # the last layer's weights

    monkeypatch.setattr(checks.ssam.SAM, "ascent_step", ascent)
    monkeypatch.setattr(checks.ssam, "fisher_mask", lambda model, *_: uneven(model, calls))
    with pytest.raises(AssertionError):
        check(CPU)


def uneven(model: torch.nn.Module, calls: list[int]) -> dict[torch.Tensor, torch.Tensor]:
    calls.append(1)
    return {p: torch.full_like(p, len(calls) == 1, dtype=torch.bool) for p in model.parameters()}
