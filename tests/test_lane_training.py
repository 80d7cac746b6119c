"""Lanes that are trained by settings of their own: each as a race of that lane alone, or as a plain loop would."""

import re

import pytest

from ssam.engine import Race
from ssam.experiment import LaneSpec, RaceSpec, parse_spec
from ssam.experiment.events import EpochEvent, LaneEnded, Result, StepEvent
from ssam.experiment.sweep import parse_sweep, read
from ssam.planning.estimate import Rate, estimate_seconds
from ssam.styles import lane_titles
from tests.small_races import few_images_each, of

STEPS = 4  # an epoch


@pytest.fixture(autouse=True)
def few_images(monkeypatch):
    few_images_each(monkeypatch)


def run(tmp_path, **values):
    spec = parse_spec({"batch_size": 16, "epochs": 2, "fisher_samples": 8, "device": "cpu"} | values)
    return list(Race(spec, home=tmp_path, threads=1).events())


def told(events, lane):
    """What a lane's steps and evaluations say, times left out."""
    steps = [(e.step, e.loss, e.grad_norm, e.radius, e.gradients) for e in of(events, StepEvent, lane)]
    return steps, [(e.step, e.lr, e.test_loss, e.test_accuracy, e.final) for e in of(events, EpochEvent, lane)]


# The specification


@pytest.mark.parametrize("lane", ["sgd:epochs=6", "sam:lr=0.05:weight_decay=0.02", "ssam-f:rho=0.2:epochs=3:lr=1.0"])
def test_it_survives_being_written_as_text(lane):
    assert str(LaneSpec.parse(lane)) == lane
    spec = parse_spec({"lanes": f"{lane},sgd", "epochs": "9"})
    assert parse_spec(spec.to_strings()) == spec


@pytest.mark.parametrize(
    ("values", "names"),
    [
        ({"lanes": "sgd:epochs=6"}, ("epochs", "6", "5")),
        ({"lanes": "sgd:epochs=0"}, ("epochs", "0", "1000")),
        ({"lanes": "sgd:epochs=2", "clock": "seconds"}, ("epochs", "seconds", "gradients")),
        ({"lanes": "sam:lr=0"}, ("lr", "0", "100")),
        ({"lanes": "sam:weight_decay=2"}, ("weight_decay", "2", "1")),
    ],
)
def test_a_bad_one_is_refused_in_one_line(values, names):
    with pytest.raises(ValueError, match=re.escape(names[0])) as error:
        parse_spec(values)
    assert "\n" not in str(error.value)
    assert all(name in str(error.value) for name in names)


@pytest.mark.parametrize(
    ("values", "digest"),
    [
        ({}, "44136fa355b3678a1146ad16f7e8649e"),
        (
            {"lanes": "sgd,sam:rho=0.2:region=late:norm=masked", "epochs": 9, "label_noise": 0.4},
            "9ed38f8b198b9460926c90a49e4fbb98",
        ),
    ],
)
def test_older_specifications_keep_their_digest(values, digest):
    assert parse_spec(values).digest == digest


def test_titles_name_what_differs():
    assert lane_titles(RaceSpec(lanes="sgd:epochs=4,sam")) == ["SGD, 4 epochs", "SAM"]
    titles = lane_titles(RaceSpec(lanes="sgd,sgd:epochs=1,sgd:lr=0.02:weight_decay=0.01,sam"))
    assert titles == ["SGD", "SGD, 1 epoch", "SGD, lr 0.02, weight decay 0.01", "SAM"]


def test_a_sweep_can_vary_it():
    sweep = parse_sweep({"base": parse_spec({"lanes": "sgd,sam", "epochs": 8}), "vary": ["lane1.epochs=2..8"]})
    assert [sweep.race(point).lanes[0].epochs for point in sweep.points] == [2, 4, 5, 6, 8]
    assert sweep.standard == {"lane1.epochs": 8}
    assert read(parse_spec({"lanes": "sgd:lr=0.3"}), "lane1.lr") == 0.3
    with pytest.raises(ValueError, match=r"lane1\.lr"):
        parse_sweep({"base": parse_spec({"lanes": "sgd:lr=0.3"}), "vary": ["lr=0.1,0.2"]})
    with pytest.raises(ValueError, match="epochs 9"):
        parse_sweep({"base": parse_spec({"lanes": "sgd", "epochs": 8}), "vary": ["lane1.epochs=2,9"]})


def test_an_estimate_counts_the_epochs_of_each_lane():
    rate = Rate(10.0, measured=True)
    short, long = ({"lanes": "sgd", "epochs": epochs} for epochs in (2, 6))
    both = estimate_seconds(parse_spec({"lanes": "sgd:epochs=2,sgd", "epochs": 6}), rate)
    assert both == pytest.approx(sum(estimate_seconds(parse_spec(values), rate) for values in (short, long)))
    spec = parse_spec({"lanes": "sgd:epochs=2,sam", "epochs": 6})
    assert spec.gradients == (2 + 6 * 2) * spec.steps_per_epoch


# The race


@pytest.mark.parametrize("method", ["sgd", "sam", "ssam-f", "ssam-d"])
def test_own_epochs_train_as_a_race_of_so_many_epochs(tmp_path, method):
    """Learning rate, masks and weights: to the bit, while another lane goes on."""
    events = run(tmp_path, lanes=f"{method}:epochs=2,sgd", epochs=3)
    name = events[-1].lanes[0].name
    assert told(events, name) == told(run(tmp_path, lanes=method, epochs=2), method)
    assert [(e.step, e.reason) for e in of(events, LaneEnded)] == [(2 * STEPS, "finished"), (3 * STEPS, "finished")]
    assert [lane.test_accuracy is not None for lane in events[-1].lanes] == [True, True]


def test_own_epochs_hold_on_the_gradients_clock(tmp_path):
    events = run(tmp_path, lanes="sgd:epochs=1,sam", epochs=2, clock="gradients")
    assert [of(events, EpochEvent, lane)[-1].gradients for lane in ("sgd", "sam")] == [STEPS, 2 * 2 * STEPS]


@pytest.mark.parametrize("method", ["sgd", "sam"])
def test_own_rate_and_decay_train_as_a_race_with_them(tmp_path, method):
    events = run(tmp_path, lanes=f"{method}:lr=0.03:weight_decay=0.02,sgd")
    twin = run(tmp_path, lanes=method, lr=0.03, weight_decay=0.02)
    assert told(events, events[-1].lanes[0].name) == told(twin, method)


def test_step_times_are_compared_with_the_longest_sgd(tmp_path):
    events = run(tmp_path, lanes="sgd:epochs=1,sgd:lr=0.2,sam")
    result = events[-1]
    assert isinstance(result, Result)
    short, long, _ = (lane.name for lane in result.lanes)
    assert {e.ratio for e in of(events, StepEvent, long)} == {1.0}
    assert {e.ratio for e in of(events, StepEvent, short)} != {1.0}
