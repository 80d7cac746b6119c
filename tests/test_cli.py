"""The command line as a user meets it: exit status, standard output, standard error."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ssam import cli
from tests.patience import SECONDS

ROOT = Path(__file__).resolve().parents[1]
QUICK = ["race", "--train-size", "256", "--batch-size", "64", "--epochs", "2", "--fisher-samples", "16"]


def ssam(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "ssam", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


@pytest.fixture(scope="module")
def finished():
    return ssam(*QUICK, "--json", "--lanes", "sgd,sam,ssam-f,ssam-f:sparsity=0.8")


@pytest.mark.slow
def test_json_lines_end_with_the_result(finished):
    assert finished.returncode == 0, finished.stderr
    lines = [json.loads(line) for line in finished.stdout.splitlines()]
    assert {line["event"] for line in lines} == {"epoch", "mask", "result"}
    result = lines[-1]
    assert result["event"] == "result"
    assert result["device"] == "cpu"
    assert [lane["name"] for lane in result["lanes"]] == ["sgd", "sam", "ssam-f", "ssam-f:sparsity=0.8"]
    for lane in result["lanes"]:
        assert {
            "method",
            "sparsity",
            "test_accuracy",
            "test_loss",
            "step_ms_median",
            "step_ratio_to_sgd",
            "seconds",
        } <= set(lane)
        assert 0 <= lane["test_accuracy"] <= 1
    masks = [line for line in lines if line["event"] == "mask"]
    assert len(masks) == 4
    assert all({"lane", "step", "density", "changed"} <= set(mask) for mask in masks)
    assert sum(line["event"] == "epoch" for line in lines) == 8


@pytest.mark.slow
def test_progress_goes_to_standard_error(finished):
    assert "73,890 parameters" in finished.stderr
    assert "\x1b" not in finished.stderr  # no bar where there is no terminal


@pytest.mark.slow
def test_without_json_a_table_is_printed():
    done = ssam(*QUICK, "--lanes", "sgd", "--epochs", "1")
    assert done.returncode == 0
    header, row = done.stdout.splitlines()
    assert header.split()[:3] == ["lane", "sparsity", "rho"]
    assert row.startswith("sgd")
    assert "%" in row
    assert "10,000 test images" in done.stderr
    assert "interval" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["race", "--sparsity", "1.5"], "ssam race: sparsity '1.5' must be a number from 0 to 1"),
        (["race", "--sparsity", "nan"], "ssam race: sparsity 'nan' must be a number from 0 to 1"),
        (["race", "--sparsity=-1"], "ssam race: sparsity '-1' must be a number from 0 to 1"),
        (["race", "--epochs", "1000000000"], "ssam race: epochs '1000000000' must be a whole number from 1 to 1000"),
        (["race", "--model", "alexnet"], "ssam race: 'alexnet' is not a model; allowed: cnn8, "),
        (["race", "--model", "resnet50"], "ssam race: model 'resnet50' needs images of at least 64×64"),
        (["race", "--preset", "none"], "ssam race: 'none' is not a preset; allowed: noisy-labels, demo"),
        (["race", "--dataset", "images", "--data", "/no/such/folder"], "ssam race: "),
        (["race", "--colour", "red"], "unrecognized arguments: --colour red"),
        (["race", "--device", "cuda:42"], "device 'cuda:42' is not on this machine"),
        ([], "required: COMMAND"),
    ],
)
def test_bad_input_exits_2_with_one_line(arguments, says, capsys):
    try:
        status = cli.main(arguments)
    except SystemExit as stop:
        status = stop.code
    out, err = capsys.readouterr()
    assert status == 2
    assert out == ""
    assert says in err.splitlines()[-1]
    assert "Traceback" not in err


@pytest.mark.slow
def test_a_reader_that_leaves_is_no_error():
    command = f"{sys.executable} -m ssam {' '.join(QUICK)} --json --lanes sgd | head -n 1"
    done = subprocess.run(command, shell=True, cwd=ROOT, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 0
    assert json.loads(done.stdout)["event"] == "epoch"
    assert "Error" not in done.stderr
