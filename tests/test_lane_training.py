"""Lanes that are trained by settings of their own: each as a race of that lane alone, or as a plain loop would."""

import argparse
import re

import pytest
import torch
from torch.nn.functional import cross_entropy

import ssam
from ssam.cli import race as race_flags
from ssam.engine import Race
from ssam.engine.evaluate import evaluate
from ssam.experiment import LaneSpec, RaceSpec, parse_spec, preset
from ssam.experiment.events import EpochEvent, LaneEnded, Result, Snapshot, StepEvent
from ssam.experiment.sweep import parse_sweep, read
from ssam.models import build_model
from ssam.planning.estimate import Rate, estimate_seconds
from ssam.styles import lane_titles
from ssam.training.schedule import step_rate
from tests.small_races import dataset_of, few_images_each, of

STEPS = 4  # an epoch


@pytest.fixture(autouse=True)
def few_images(monkeypatch):
    few_images_each(monkeypatch)


def small_spec(**values):
    return parse_spec({"batch_size": 16, "epochs": 2, "fisher_samples": 8, "device": "cpu"} | values)


def run(tmp_path, **values):
    return list(Race(small_spec(**values), home=tmp_path, threads=1).events())


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
    assert [titles[place] for place in (0, 1, 3)] == ["SGD", "SGD, 1 epoch", "SAM"]
    assert re.findall(r"[\d.]+", titles[2]) == ["0.02", "0.01"]


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


# The base optimizer


def test_another_base_takes_the_races_rates_on_its_scale():
    spec = parse_spec({"lanes": "sgd,sgd:base=adamw,sam:base=adamw:lr=0.003", "lr": 0.2, "weight_decay": 0.001})
    assert [spec.lane_lr(lane) for lane in spec.lanes] == pytest.approx([0.2, 0.002, 0.003])
    assert [spec.lane_weight_decay(lane) for lane in spec.lanes] == pytest.approx([0.001, 0.1, 0.1])
    spec = parse_spec({"lanes": "sgd,sgd:base=sgd", "base": "adamw", "lr": 0.002, "weight_decay": 0.05})
    assert [spec.lane_lr(lane) for lane in spec.lanes] == [0.002, pytest.approx(0.2)]
    assert lane_titles(spec) == ["AdamW", "SGD"]


def test_titles_name_the_base():
    spec = RaceSpec(lanes="sgd,sgd:base=adamw:epochs=2,sam,sam:base=adamw")
    assert lane_titles(spec) == ["SGD", "AdamW, 2 epochs", "SAM", "SAM, AdamW"]


@pytest.mark.parametrize(
    "values",
    [
        {"lanes": "sam:base=adam"},
        {"base": "adam"},
        {"lanes": "sgd,sgd:base=sgd"},
        {"lanes": "sgd,sam:base=adamw:direction=momentum"},
        {"lanes": "sgd,sam:direction=momentum", "base": "adamw"},
    ],
)
def test_a_base_that_cannot_be_is_refused_in_one_line(values):
    with pytest.raises(ValueError, match=r"adamw|twice") as error:
        parse_spec(values)
    assert "\n" not in str(error.value)


def test_the_command_lines_base_brings_its_rates():
    parser = argparse.ArgumentParser()
    race_flags.settings(parser)
    specs = [
        race_flags.spec_of(parser.parse_args(text.split()))
        for text in ("--base adamw", "--base adamw --lr 0.1", "--preset quick --base adamw --weight-decay 0.2")
    ]
    assert [spec.lr for spec in specs] == [0.001, 0.1, pytest.approx(preset("demo").spec.lr / 100)]
    assert [spec.weight_decay for spec in specs] == [pytest.approx(0.05), pytest.approx(0.05), 0.2]


@pytest.mark.parametrize("method", ["sgd", "sam"])
def test_an_adamw_lane_is_the_plain_loop(tmp_path, method):
    events = run(tmp_path, lanes=f"{method}:base=adamw:lr=0.004:weight_decay=0.1,sgd", epochs=3)
    spec = parse_spec({"lanes": method, "batch_size": 16, "epochs": 3})
    batches = dataset_of().batches(spec, torch.device("cpu"), True)
    model = build_model("cnn8", channels=1, classes=4, size=16, seed=0).to(memory_format=torch.channels_last)
    base = torch.optim.AdamW(model.parameters(), lr=0.004, betas=(0.9, 0.999), weight_decay=0.1, fused=True)
    optimizer = ssam.SAM(base, rho=0.1) if method == "sam" else base
    seen = []
    for step in range(3 * STEPS):
        x, y = batches.get(step)
        base.param_groups[0]["lr"] = step_rate(0.004, step, 3 * STEPS, STEPS)

        def closure(x=x, y=y):
            optimizer.zero_grad()
            loss = cross_entropy(model(x), y)
            loss.backward()
            return loss

        seen.append(optimizer.step(closure).item())
    assert [e.loss for e in of(events, StepEvent, method if method == "sam" else events[-1].lanes[0].name)] == seen


def test_a_race_with_a_base_trains_all_lanes_by_it(tmp_path):
    rates = {"lr": 0.004, "weight_decay": 0.1}
    events = run(tmp_path, lanes="sgd,sam", base="adamw", **rates)
    own = run(tmp_path, lanes="sgd:base=adamw,sam:base=adamw", lr=0.4, weight_decay=0.001)
    for name in ("sgd", "sam"):
        assert [e.loss for e in of(events, StepEvent, name)] == pytest.approx(
            [e.loss for e in of(own, StepEvent, name)], rel=1e-4
        )


# Label smoothing, moving averages, early stop


def plain_loop(spec, lane, after_step):
    """SGD as anybody would write it, with what ``after_step`` does to its model."""
    batches = dataset_of().batches(spec, torch.device("cpu"), True)
    model = build_model("cnn8", channels=1, classes=4, size=16, seed=0).to(memory_format=torch.channels_last)
    base = torch.optim.SGD(model.parameters(), lr=spec.lr, momentum=0.9, weight_decay=spec.weight_decay, fused=True)
    losses = []
    for step in range(spec.epochs * STEPS):
        x, y = batches.get(step)
        base.param_groups[0]["lr"] = step_rate(spec.lr, step, spec.epochs * STEPS, STEPS)
        model.train()
        base.zero_grad()
        loss = cross_entropy(model(x), y, label_smoothing=lane.label_smoothing)
        loss.backward()
        base.step()
        losses.append(loss.item())
        after_step(step, model)
    return losses, model, batches


def test_label_smoothing_is_torchs(tmp_path):
    events = run(tmp_path, lanes="sgd:label_smoothing=0.2")
    spec = parse_spec({"lanes": "sgd:label_smoothing=0.2", "batch_size": 16, "epochs": 2})
    losses, model, batches = plain_loop(spec, spec.lanes[0], lambda step, model: None)
    assert [e.loss for e in of(events, StepEvent)] == losses
    assert events[-1].lanes[0].test_loss == evaluate(model, batches.test(None))[0], "the loss that is told is plain"


@pytest.mark.parametrize("lane", ["sam", "sam:ascent_batch=8", "sam:direction=last", "ssam-f:norm=masked"])
def test_label_smoothing_reaches_every_way_to_step(tmp_path, lane):
    events = run(tmp_path, lanes=f"{lane},{lane}:label_smoothing=0.5", epochs=1)
    plain, smooth = ([e.loss for e in of(events, StepEvent, one.name)] for one in events[-1].lanes)
    assert all(abs(one - other) > 1e-3 for one, other in zip(plain, smooth, strict=True))


def test_an_average_is_the_sum_written_out(tmp_path):
    """Weights and BatchNorm statistics, w̄ ← 0.8 w̄ + 0.2 w from the first step on; the training itself stays as it is."""
    events = run(tmp_path, lanes="sgd:ema=0.8,sgd", snapshot_interval=2)
    spec = parse_spec({"lanes": "sgd", "batch_size": 16, "epochs": 2})
    mean = {}

    def average(step, model):
        for name, tensor in model.state_dict().items():
            mean[name] = tensor.double() if step == 0 else 0.8 * mean[name] + 0.2 * tensor.double()

    losses, model, batches = plain_loop(spec, spec.lanes[0], average)
    name, plain = (lane.name for lane in events[-1].lanes)
    assert [e.loss for e in of(events, StepEvent, name)] == losses == [e.loss for e in of(events, StepEvent, plain)]
    kept = next(e for e in of(events, Snapshot, name) if e.step == 2 * STEPS)
    for tensor, array in kept.weights.items():
        if "num_batches" not in tensor:
            torch.testing.assert_close(torch.from_numpy(array), mean[tensor].float(), rtol=1e-5, atol=1e-6)
    model.load_state_dict({tensor: torch.from_numpy(array) for tensor, array in kept.weights.items()})
    result = events[-1].lanes[0]
    assert (result.test_loss, result.test_accuracy) == evaluate(model, batches.test(None))[:2]
    assert result.test_loss != events[-1].lanes[1].test_loss


HARD = {"validation": 0.25, "label_noise": 0.5, "lr": 0.05, "epochs": 8, "batch_size": 12, "snapshot_interval": 1}


@pytest.mark.parametrize("patience", [1, 2, 3, 7])
@pytest.mark.parametrize("average", ["", ":ema=0.5"])
def test_an_early_stop_is_decided_as_by_hand(tmp_path, patience, average):
    """From the validation curve of the same lane that trains on, and with the weights that it had at its best epoch."""
    lane = f"sgd{average}"
    events = run(tmp_path, lanes=f"{lane},{lane}:patience={patience}", **HARD)
    whole, stopped = events[-1].lanes
    curve = [e.validation_accuracy for e in of(events, EpochEvent, whole.name)]
    best, last = 0, len(curve) - 1
    for epoch, accuracy in enumerate(curve):
        if accuracy > curve[best]:
            best = epoch
        if epoch - best >= patience:
            last = epoch
            break
    assert stopped.best_epoch == best + 1
    assert whole.best_epoch is None
    assert [e.step for e in of(events, LaneEnded, stopped.name)] == [(last + 1) * STEPS]
    seen = of(events, EpochEvent, stopped.name)
    assert [e.validation_accuracy for e in seen[:-1]] == curve[:last]
    assert [e.lr for e in seen] == [e.lr for e in of(events, EpochEvent, whole.name)][: last + 1]
    assert stopped.validation_accuracy == curve[best] == seen[-1].validation_accuracy
    kept = next(e for e in of(events, Snapshot, whole.name) if e.step == (best + 1) * STEPS)
    model = build_model("cnn8", channels=1, classes=4, size=16, seed=0).to(memory_format=torch.channels_last)
    model.load_state_dict({name: torch.from_numpy(array) for name, array in kept.weights.items()})
    batches = dataset_of().batches(small_spec(**HARD), torch.device("cpu"), True)
    assert (stopped.test_loss, stopped.test_accuracy) == evaluate(model, batches.test(None))[:2]


def test_an_early_stop_needs_images_held_out():
    with pytest.raises(ValueError, match=r"patience 3.*validation 0 .*above 0"):
        parse_spec({"lanes": "sgd:patience=3"})


def test_titles_name_how_it_is_trained():
    titles = lane_titles(RaceSpec(lanes="sgd:label_smoothing=0.1,sam:ema=0.99:patience=3,ssam-f", validation=0.1))
    assert [re.findall(r"[\d.]+", title) for title in titles] == [["0.1"], ["0.99", "3"], []]
