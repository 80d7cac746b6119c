"""Checkpoints: a race that is broken off and taken up again tells what it would have told undisturbed, bit for bit."""

import dataclasses
import io
import itertools
import math
import random
import time

import numpy as np
import pytest
import torch
from torch import nn

from ssam import cli
from ssam.engine import Race, checkpoint, lockstep, race
from ssam.engine.lane import Lane
from ssam.experiment import parse_spec
from ssam.experiment.events import (
    Checkpoint,
    EpochEvent,
    LaneEnded,
    MaskEvent,
    Preparing,
    Result,
    Snapshot,
    Started,
    StepEvent,
)
from ssam.models import StagedModel, build_model
from ssam.training import timing
from tests.small_races import dataset_of, few_images_each

CLASSIC = "sgd,sam,ssam-f,ssam-d"
FAST = (
    "sgd,ssam-f:norm=masked:region=late,sam:ascent_batch=4,sam:direction=last:ascent_interval=2,"
    "ssam-f:direction=momentum,sam:direction=last,ssam-d:region=early:norm=masked"
)
COARSE = (
    "sgd,ssam-f:granularity=tensor,ssam:granularity=block:norm=masked,ssam:score=magnitude:granularity=n-of-4,"
    "ssam:score=fisher-per-cost:granularity=block:norm=masked,ssam:score=gradient:sparsity=0.8"
)
TRAINED = "sgd,sgd:epochs=2:base=adamw,sam:ema=0.5:label_smoothing=0.1,ssam-d:patience=1,sgd:patience=1:ema=0.5:lr=0.3"
TICK = 1 / 64  # seconds; a power of two, so that sums of ticks are exact


def spec_of(**values):
    settings = {"batch_size": 16, "epochs": 3, "fisher_samples": 8, "lanes": CLASSIC, "device": "cpu"}
    return parse_spec({**settings, **values})


@pytest.fixture(autouse=True)
def few_images(monkeypatch):
    few_images_each(monkeypatch)


@pytest.fixture(autouse=True)
def ticking(monkeypatch):
    """Every phase takes one tick, so that times, their ratios and the order on the seconds clock can be compared too."""
    ticks = itertools.count()
    monkeypatch.setattr(timing, "perf_counter", lambda: next(ticks) * TICK)
    monkeypatch.setattr(lockstep, "load", lambda: 1.0)


def race_of(spec, tmp_path, state=None):
    return Race(spec, home=tmp_path, threads=1, state=state)


def plain(value):
    """A form that can be compared, to the bit."""
    if isinstance(value, torch.Tensor):
        return value.dtype, value.shape, value.numpy().tobytes()
    if isinstance(value, np.ndarray):
        return value.shape, value.tobytes()
    if dataclasses.is_dataclass(value):
        return type(value).__name__, plain({f.name: getattr(value, f.name) for f in dataclasses.fields(value)})
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return "nan" if isinstance(value, float) and math.isnan(value) else value


def told(events):
    """What is told after Started, without the checkpoints."""
    return [plain(event) for event in events if not isinstance(event, Preparing | Started | Checkpoint)]


def through_a_file(state):
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def leg(race_, steps):
    """The race's events up to a checkpoint that is wanted after so many steps; or all, where it ends before."""
    events = race_.events()
    for event in events:
        yield event
        if isinstance(event, Checkpoint):
            events.close()
        steps -= isinstance(event, StepEvent)
        if steps == 0 and isinstance(event, Started | StepEvent):
            race_.want_checkpoint()


def checkpoint_after(race_, steps):
    *_, last = leg(race_, steps)
    return last.state


def relay(spec, tmp_path, lengths):
    """The race in legs of so many steps, each a new Race that takes over where the last one was broken off. Returns all
    events and the states handed over."""
    state, states, events = None, [], []
    for number, length in enumerate(lengths):
        torch.manual_seed(number)  # the state must bring its own random numbers
        events += leg(race_of(spec, tmp_path, state), length)
        if isinstance(events[-1], Result):
            return events, states
        state = events[-1].state
        states.append((state, plain(state)))
        if number % 2:  # the others are handed over as they are: a race must not train on the tensors of a state
            state = through_a_file(state)
    raise AssertionError("the legs ended before the race")


def check_relay(spec, tmp_path, lengths):
    """A race broken off and taken up again tells what the undisturbed race tells. Returns the latter's events, and the
    states."""
    torch.manual_seed(0)
    undisturbed = list(race_of(spec, tmp_path).events())
    events, states = relay(spec, tmp_path, lengths)
    (start,) = (event for event in undisturbed if isinstance(event, Started))
    starts = [event for event in events if isinstance(event, Started)]
    assert starts == [start] * (len(states) + 1)
    assert len(states) > 1
    assert told(events) == told(undisturbed)
    assert all(plain(state) == then for state, then in states)
    return undisturbed, [state for state, _ in states]


def random_lengths(seed, longest):
    draw = random.Random(seed)
    return [draw.randint(0, longest) for _ in range(100)]


@pytest.mark.parametrize(
    ("lanes", "clock"),
    [(CLASSIC, "epochs"), (FAST, "epochs"), (COARSE, "epochs"), (FAST, "gradients"), (CLASSIC, "seconds")],
    ids=["classic", "fast", "coarse", "fast on gradients", "classic on seconds"],
)
def test_a_race_broken_at_random_steps_is_the_undisturbed_race(tmp_path, lanes, clock):
    spec = spec_of(lanes=lanes, clock=clock, seconds=1.0)
    events, _ = check_relay(spec, tmp_path, random_lengths(f"{lanes} {clock}", 25))
    masks = [event for event in events if isinstance(event, MaskEvent)]
    assert any(event.changed for event in masks)  # some of these are compared with a mask from before a break


def test_a_race_with_a_validation_split_goes_on_to_the_bit(tmp_path):
    spec = spec_of(lanes="sgd,ssam-f", validation=0.25, label_noise=0.2)
    events, states = check_relay(spec, tmp_path, random_lengths("split", 7))
    (start,) = (event for event in events if isinstance(event, Started))
    assert (start.train_size, start.validation_size) == (48, 16)
    assert all(event.validation_accuracy is not None for event in events if isinstance(event, EpochEvent))
    with pytest.raises(ValueError, match="belongs to specification"):
        race_of(spec.model_copy(update={"validation": 0.5}), tmp_path, states[0])


def test_lanes_trained_by_settings_of_their_own_go_on_to_the_bit(tmp_path):
    """AdamW's state, averages, and the best weights so far; some lanes end before the others."""
    spec = spec_of(lanes=TRAINED, validation=0.25, label_noise=0.5, epochs=4, snapshot_interval=2)
    events, _ = check_relay(spec, tmp_path, random_lengths("trained", 13))
    ends = [event.step for event in events if isinstance(event, LaneEnded)]
    assert len(set(ends)) > 2, "one lane by its own epochs, and at least one early"


def test_a_race_broken_at_every_step_is_the_undisturbed_race(tmp_path):
    """At the start, in the middle of an epoch, where one lane has ended before the others, and before the Result."""
    spec = spec_of(lanes="sgd,ssam-d,sam:direction=last:ascent_interval=2", clock="gradients", epochs=2)
    _, states = check_relay(spec, tmp_path, itertools.chain([0], itertools.repeat(1, 100)))
    assert {len(state["ended"]) for state in states} == {0, 1, 2, 3}
    steps = [sum(lane["step_count"] for lane in state["lanes"].values()) for state in states]
    assert steps == list(range(len(states)))


@pytest.mark.parametrize("clock", ["epochs", "gradients"])
def test_what_is_told_of_the_inside_goes_on_to_the_bit(tmp_path, clock):
    """Weights are told once, whatever the breaks, and power iteration goes on with the vector that it had."""
    spec = spec_of(lanes="sgd,ssam-d,sam:ascent_interval=3", clock=clock, eigenvalue_interval=1, snapshot_interval=2)
    events, states = check_relay(spec, tmp_path, itertools.chain([0], random_lengths(clock, 9)))
    found = [event.eigenvalue for event in events if isinstance(event, EpochEvent) and event.lane == "sgd"]
    assert len(set(found) - {None}) >= 3
    assert [event.step for event in events if isinstance(event, Snapshot) and event.lane == "ssam-d"] == [0, 8, 12]
    vectors = [state["lanes"]["sgd"]["eigenvector"] for state in states]
    assert vectors[0] is None
    assert vectors[-1] is not None


def test_an_eigenvector_is_asked_for_only_where_it_is_needed(tmp_path, state):
    assert not any("eigenvector" in lane for lane in state["lanes"].values())  # as in a state from before there was one
    spec = spec_of(eigenvalue_interval=1)
    for_it = state | {"spec": spec.digest}
    with pytest.raises(ValueError, match=r"lane 'sgd' .*eigenvector$"):
        race_of(spec, tmp_path, for_it)
    for_it["lanes"] = {name: lane | {"eigenvector": [torch.ones(3)]} for name, lane in state["lanes"].items()}
    with pytest.raises(ValueError, match=r"lane 'sgd' .*model$"):
        list(race_of(spec, tmp_path, for_it).events())


def test_a_lane_that_has_diverged_stays_so(tmp_path, monkeypatch):
    spoil(monkeypatch, "sam", 3)
    events, states = check_relay(spec_of(), tmp_path, itertools.repeat(5, 100))
    assert LaneEnded("sam", 4, "diverged") in events
    assert ["sam"] in [state["ended"] for state in states]


def test_a_gpu_race_is_broken_only_where_it_has_read_its_steps(tmp_path, monkeypatch):
    """With steps that are left unread on the CPU too. A checkpoint must not make them be read sooner, else a lane that has
    diverged would end at another step."""
    monkeypatch.setattr(lockstep, "reads_later", lambda device, clock: True)
    monkeypatch.setattr(lockstep, "UNREAD_STEPS_ON_GPU", 8)
    spoil(monkeypatch, "ssam-f", 1)
    spec = spec_of(lanes="ssam-f,sgd,sam")
    events, _ = check_relay(spec, tmp_path, itertools.repeat(1, 100))
    assert LaneEnded("ssam-f", 3, "diverged") in events  # in its second step, but nobody had read that yet
    asked, steps, checkpoints = race_of(spec, tmp_path), 0, 0
    for event in asked.events():
        steps += isinstance(event, StepEvent)
        if isinstance(event, MaskEvent):  # told before its step, which nobody has read
            asked.want_checkpoint()
        if isinstance(event, Checkpoint):
            checkpoints += 1
            assert sum(lane["step_count"] for lane in event.state["lanes"].values()) == steps
    assert checkpoints > 0


def spoil(monkeypatch, name, after):
    """The lane's weights become NaN after so many steps."""
    step = Lane.step

    def spoiling(lane, x, y):
        if lane.name == name and lane.step_count == after:
            with torch.no_grad():
                next(lane.model.parameters()).fill_(float("nan"))
        return step(lane, x, y)

    monkeypatch.setattr(Lane, "step", spoiling)


@pytest.mark.parametrize("model", ["cnn8", "vit-tiny", "mixer"])
def test_dropout_draws_go_on(tmp_path, monkeypatch, model):
    def with_dropout(*arguments, **settings):
        first, *others = build_model(*arguments, **settings).stages.items()
        return StagedModel([first, ("dropout", nn.Dropout(0.2)), *others])

    monkeypatch.setattr(race, "build_model", with_dropout)
    check_relay(
        spec_of(model=model, lanes="sgd,sam:region=late:norm=masked", epochs=1), tmp_path, itertools.repeat(3, 100)
    )


def test_the_first_checkpoint_of_a_resumed_race_is_the_state_it_came_from(tmp_path, monkeypatch):
    monkeypatch.setattr(timing, "perf_counter", time.perf_counter)  # the real clock, so that no two times are equal
    coarse = "ssam:norm=masked:sparsity=0.7:granularity=block"
    spec = spec_of(lanes=f"{CLASSIC},ssam:direction=last:granularity=n-of-4,{coarse}")
    state = checkpoint_after(race_of(spec, tmp_path), 6 * 7 + 2)
    assert any(lane["left"][0] is not None for lane in state["lanes"].values())
    assert len(state["lanes"]["sam"]["ratios"]) > 1
    assert state["lanes"][spec.lane_names[-1]]["plan"]["split"] > 0  # as the mask wants it, not as it was at the start
    assert plain(checkpoint_after(race_of(spec, tmp_path, through_a_file(state)), 0)) == plain(state)


def test_a_mask_takes_one_bit_a_weight(tmp_path):
    state = checkpoint_after(race_of(spec_of(), tmp_path), 4)
    masks = state["lanes"]["ssam-d"]["optimizer"]["masks"]
    assert all(mask.dtype == torch.uint8 for mask in masks)
    weights = state["lanes"]["ssam-d"]["model"]
    assert sum(mask.numel() for mask in masks) < sum(weight.numel() for weight in weights.values()) / 7


def test_the_threads_are_those_of_the_state(tmp_path, monkeypatch, state):
    used = []
    monkeypatch.setattr(torch, "set_num_threads", used.append)
    events = list(leg(race_of(spec_of(), tmp_path, state | {"threads": 2}), 1))
    assert used == [event.threads for event in events if isinstance(event, Started)] == [2]
    assert events[-1].state["threads"] == 2


@pytest.fixture(scope="module")
def state(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(race, "load_dataset", lambda spec, home, image_root, progress: dataset_of())
        return checkpoint_after(race_of(spec_of(), tmp_path_factory.mktemp("home")), 9)


def test_a_state_of_another_race_or_version_is_refused(tmp_path, state):
    for bad, message in (
        ([], "not the checkpoint of a race"),
        ({}, "not the checkpoint of a race"),
        (state | {"version": 2}, "the checkpoint has version 2, only version 1 can be read"),
        (state | {"spec": "f00"}, f"specification 'f00', this race's is '{spec_of().digest}'"),
        (state | {"lanes": {}}, "the checkpoint is not complete: it lacks sam, sgd, ssam-d, ssam-f"),
    ):
        with pytest.raises(ValueError, match=message) as refused:
            race_of(spec_of(), tmp_path, bad)
        assert "\n" not in str(refused.value)
    with pytest.raises(ValueError, match="belongs to specification"):
        race_of(spec_of(seed=1), tmp_path, state)


def test_a_state_with_a_missing_piece_is_refused(tmp_path, state):
    assert set(state) == checkpoint.PIECES
    for piece in checkpoint.PIECES:
        with pytest.raises(ValueError, match=rf"{piece}$|not the checkpoint"):
            race_of(spec_of(), tmp_path, without(state, piece))
    for piece in checkpoint.LANE_PIECES:
        poorer = state | {"lanes": state["lanes"] | {"sam": without(state["lanes"]["sam"], piece)}}
        with pytest.raises(ValueError, match=rf"lane 'sam' .*{piece}$"):
            race_of(spec_of(), tmp_path, poorer)


def without(pieces, name):
    return {key: value for key, value in pieces.items() if key != name}


def test_tensors_that_do_not_fit_are_refused(tmp_path, state):
    lane = state["lanes"]["sam"]
    for name, poorer in (("model", dict(list(lane["model"].items())[1:])), ("left", lane["left"][1:])):
        bad = state | {"lanes": state["lanes"] | {"sam": lane | {name: poorer}}}
        with pytest.raises(ValueError, match=r"lane 'sam' .*model$"):
            list(race_of(spec_of(), tmp_path, bad).events())


def test_other_data_another_device_or_more_processes_are_refused(tmp_path, state, monkeypatch):
    for what, then, here in (("device", "cuda", "cpu"), ("processes", "2", "1")):
        elsewhere = state | {"place": state["place"] | {what: then}}
        with pytest.raises(ValueError, match=rf"^.*{what} {then}.* {here}$"):
            list(race_of(spec_of(), tmp_path, elsewhere).events())
    monkeypatch.setattr(race, "load_dataset", lambda spec, home, image_root, progress: dataset_of(train=80))
    with pytest.raises(ValueError, match=r"^.*images 64.* 80$"):
        list(race_of(spec_of(), tmp_path, state).events())


def test_the_command_line_passes_checkpoints_over(capsys):
    cli.race.tell([Checkpoint({})], as_json=True)
    assert capsys.readouterr() == ("", "")
