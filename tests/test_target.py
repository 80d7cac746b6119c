"""Cost to reach an accuracy: the first evaluation at or above it, by hand."""

import json

import pytest

from ssam import cli
from ssam.store.target import Reached, reached, usual_target


def course(*accuracies):
    return [
        {"epoch": float(n), "gradients": 100 * n, "seconds": 2.0 * n, "test_accuracy": accuracy}
        for n, accuracy in enumerate(accuracies, 1)
    ]


@pytest.mark.parametrize(("target", "epoch"), [(0.5, 1), (0.6, 2), (0.61, 4), (0.9, 4), (0.901, None)])
def test_the_first_evaluation_at_or_above_it_counts(target, epoch):
    found = reached(course(0.5, 0.6, None, 0.9, 0.7), target)
    assert found == (None if epoch is None else Reached(float(epoch), 100 * epoch, 2.0 * epoch))


def test_the_usual_target_is_one_that_two_lanes_reach():
    assert usual_target([course(0.813, 0.7), course(0.2, 0.795), course(0.4)]) == 0.79
    assert usual_target([course(0.29)]) == 0.29
    assert usual_target([]) is usual_target([[], []]) is None


def test_the_command_line_tells_it_before_the_result(capsys):
    flags = "--train-size 256 --batch-size 64 --epochs 2 --lanes sgd,sam --device cpu --json"
    cli.main(["race", *flags.split(), "--target", "0.01"])
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert told[-1]["event"] == "result"
    assert told[-2]["event"] == "target"
    first = {event["lane"]: event for event in reversed(told) if event["event"] == "epoch"}
    for lane, found in told[-2]["lanes"].items():
        assert found == {name: first[lane][name] for name in ("epoch", "gradients", "seconds")}


@pytest.mark.parametrize("text", ["0", "80", "high", "nan"])
def test_a_target_that_is_none_is_refused_in_one_line(text, capsys):
    assert cli.main(["race", "--target", text]) == 2
    said = capsys.readouterr().err.strip()
    assert "target" in said
    assert "\n" not in said
