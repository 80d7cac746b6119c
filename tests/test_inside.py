"""What a race tells of its inside: weights, masks to the bit, the norm at w+ε and λ₁, none of which changes the race."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from ssam.analysis.hessian import power_iteration
from ssam.analysis.objective import Objective
from ssam.engine import Race, mask_source
from ssam.engine.eigenvalue import IMAGES_DRAW
from ssam.engine.evaluate import evaluate
from ssam.engine.lane import Lane
from ssam.experiment.events import EpochEvent, LaneEnded, MaskEvent, PredictionsEvent, Snapshot, Started, StepEvent
from ssam.models import build_model
from ssam.planning.estimate import HESSIAN_IMAGES
from ssam.training.schedule import derived_seed
from tests.small_races import losses, of, parts, run, small

FEW = {"train_size": 256, "epochs": 3, "lanes": "sgd,ssam-f,ssam-d", "fisher_samples": 16}  # 4 steps an epoch


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def plain(home):
    return run(home, **FEW)


@pytest.fixture(scope="module")
def events(home):
    return run(home, **FEW, snapshot_interval=2, eigenvalue_interval=1)


def as_tensors(snapshot):
    return {name: torch.from_numpy(array) for name, array in snapshot.weights.items()}


def test_a_race_that_tells_more_is_the_same_race(plain, events):
    assert not of(plain, Snapshot)
    assert all(
        event.eigenvalue is event.eigenvalue_residual is event.eigenvalue_ms is None for event in of(plain, EpochEvent)
    )
    for lane in ("sgd", "ssam-f", "ssam-d"):
        assert losses(events, lane) == losses(plain, lane)
        for told, before in zip(of(events, EpochEvent, lane), of(plain, EpochEvent, lane), strict=True):
            assert (told.test_loss, told.train_loss) == (before.test_loss, before.train_loss)
            own = sum(sum(step.ms.values()) for step in of(events, StepEvent, lane) if step.step <= told.step)
            assert told.seconds == pytest.approx(own / 1000), "λ₁ is not counted to the lane"


def test_steps_that_perturb_tell_the_norm_at_the_perturbed_weights(home, events):
    for event in of(events, StepEvent):
        assert event.perturbed_norm is None if event.lane == "sgd" else event.perturbed_norm > 0
    seldom = of(run(home, **FEW | {"lanes": "sam:ascent_interval=2", "epochs": 1}), StepEvent)
    assert [event.perturbed_norm is None for event in seldom] == [False, True, False, True]


# Weights


def test_weights_are_told_at_the_start_every_other_epoch_and_at_the_end(events):
    for lane in ("sgd", "ssam-f", "ssam-d"):
        assert [(event.step, event.epoch) for event in of(events, Snapshot, lane)] == [(0, 0.0), (8, 2.0), (12, 3.0)]
        of_lane = [event for event in events if getattr(event, "lane", None) == lane]
        assert isinstance(of_lane[0], Snapshot), "before the first step"
        kinds = [type(event) for event in of_lane[-4:]]
        assert kinds == [EpochEvent, PredictionsEvent, Snapshot, LaneEnded]


def test_a_snapshot_is_the_network_at_that_moment(home, events):
    _, batches, model = parts(home, **FEW)
    fresh = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    for lane in ("sgd", "ssam-d"):
        first, *later = of(events, Snapshot, lane)
        assert first.weights.keys() == fresh.keys()
        assert all(torch.equal(tensor, fresh[name]) for name, tensor in as_tensors(first).items())
        for snapshot in later:
            model.load_state_dict(as_tensors(snapshot))
            (told,) = (event for event in of(events, EpochEvent, lane) if event.step == snapshot.step)
            loss, accuracy, images = evaluate(model, batches.test(None if told.final else 2000))
            assert (accuracy, images) == (told.test_accuracy, told.test_size)
            assert loss == pytest.approx(told.test_loss, rel=1e-6)
    assert all(array.flags.c_contiguous and array.flags.owndata for array in first.weights.values())


def test_a_lane_that_ends_within_an_epoch_tells_its_last_weights(home):
    told = run(home, **FEW | {"lanes": "sgd,sam:ascent_interval=3"}, clock="gradients", snapshot_interval=2)
    steps = [event.step for event in of(told, Snapshot, "sgd")]
    assert steps == [0, 8, 16]
    (ended,) = of(told, LaneEnded, "sam")
    assert [event.step for event in of(told, Snapshot, "sam")] == [0, 8, ended.step]


def test_a_lane_that_has_diverged_tells_no_weights(home, monkeypatch):
    step = Lane.step

    def spoiling(lane, x, y):
        """NaN in the last update of the second epoch: only the evaluation sees it."""
        record = step(lane, x, y)
        if lane.step_count == 8:
            next(lane.model.parameters()).data.fill_(math.nan)
        return record

    monkeypatch.setattr(Lane, "step", spoiling)
    told = run(home, **FEW | {"lanes": "sgd"}, snapshot_interval=1, eigenvalue_interval=1)
    assert of(told, LaneEnded) == [LaneEnded("sgd", 8, "diverged")]
    assert [event.step for event in of(told, Snapshot)] == [0, 4]
    assert [event.eigenvalue is None for event in of(told, EpochEvent)] == [False, True]


# Masks


def test_the_bits_are_the_mask(home, monkeypatch):
    spec = small(**FEW | {"lanes": "ssam-f,ssam-d", "epochs": 2})
    seen = []
    set_mask = Lane.set_mask

    def noting(lane, sam, new):
        set_mask(lane, sam, new)
        names = {p: name for name, p in lane.model.stages.named_parameters()}
        seen.append({names[p]: mask.clone().numpy() for p, mask in sam.masks.items()})

    monkeypatch.setattr(Lane, "set_mask", noting)
    told = list(Race(spec, home=home, threads=1).events())
    shapes = {layer.name: layer.shape for layer in of(told, Started)[0].layers}
    masks = of(told, MaskEvent)
    assert len(masks) == len(seen) == 4
    for event, mask in zip(masks, seen, strict=True):
        assert event.bits.keys() == mask.keys() == shapes.keys()
        for name, bits in event.bits.items():
            whole = np.unpackbits(bits, count=math.prod(shapes[name])).astype(bool).reshape(shapes[name])
            assert np.array_equal(whole, mask[name]), name


def test_a_large_network_tells_pictures_only(home, monkeypatch):
    monkeypatch.setattr(mask_source, "MOST_TOLD_BITS", 73_889)  # one less than the network has
    (event,) = of(run(home, **FEW | {"lanes": "ssam-d", "epochs": 1}), MaskEvent)
    assert event.bits == {}
    assert event.heatmaps


# λ₁


def test_the_eigenvalue_is_that_of_the_hessian_at_the_weights(home, events):
    """Against a power iteration that goes on for long, on the same images at the weights of the snapshot."""
    spec, batches, model = parts(home, **FEW)
    images = list(batches.samples(HESSIAN_IMAGES, derived_seed(spec.seed, IMAGES_DRAW)))
    for lane in ("sgd", "ssam-d"):
        snapshot = of(events, Snapshot, lane)[-1]
        told = of(events, EpochEvent, lane)[-1]
        model.load_state_dict(as_tensors(snapshot))
        generator = torch.Generator().manual_seed(5)
        start = [torch.randn(p.shape, generator=generator) for p in model.parameters()]
        largest, _, residual = power_iteration(Objective(model, images), start, 60)
        assert residual < 0.2
        assert 0.3 < told.eigenvalue / largest < 1.01
        assert told.eigenvalue_ms > 0


def test_the_eigenvalue_comes_at_every_nth_epoch_and_repeats(home, events):
    told = of(run(home, **FEW | {"lanes": "sgd"}, eigenvalue_interval=2), EpochEvent)
    assert [event.eigenvalue is None for event in told] == [True, False, True]
    again = of(run(home, **FEW | {"lanes": "sgd"}, eigenvalue_interval=1), EpochEvent)
    first = [replace(event, seconds=0.0, eigenvalue_ms=0.0) for event in of(events, EpochEvent, "sgd")]
    assert [replace(event, seconds=0.0, eigenvalue_ms=0.0) for event in again] == first


def test_the_vector_is_followed_from_epoch_to_epoch(home, monkeypatch):
    """Started anew at each epoch, so few products would be far from the eigenvector still."""
    settings = FEW | {"lanes": "sgd", "epochs": 8, "eigenvalue_interval": 1}
    followed = of(run(home, **settings), EpochEvent)[-1]
    monkeypatch.setattr(Lane, "eigenvector", property(lambda lane: None, lambda lane, vector: None), raising=False)
    anew = of(run(home, **settings), EpochEvent)[-1]
    assert followed.eigenvalue_residual < 0.5 * anew.eigenvalue_residual
    assert followed.eigenvalue > anew.eigenvalue


def test_the_model_is_left_as_it_was(home):
    spec = small(**FEW, eigenvalue_interval=1)
    model = build_model(spec.model, channels=1, classes=10, size=28, seed=0)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    _, batches, _ = parts(home, **FEW)
    objective = Objective(model, list(batches.samples(16, 0)))
    power_iteration(objective, [torch.ones_like(p) for p in model.parameters()], 1)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())
