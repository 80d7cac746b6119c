"""The bundled presets do what they promise: by what was measured, and by short races that show that the code still gives it."""

import json
import statistics
from itertools import islice

import numpy as np
import pytest

from ssam.engine import Race
from ssam.experiment import ASSETS, RaceSpec, parse_spec, preset, presets
from ssam.experiment.events import EpochEvent, Event, MaskEvent, Started, StepEvent
from ssam.store import race_file

LEAD, DEMO_LEAD = 0.06, 0.08  # over SGD, of accuracy, on all test images
GRADIENTS = 4000  # of all lanes of the demo together, of a small network: some seconds on a slow core


def first_steps(spec: RaceSpec, home, count: int) -> list[StepEvent]:
    """Really trained: the first steps of the race, all lanes counted."""
    events = Race(spec, home=home, threads=1).events()
    found = list(islice((event for event in events if isinstance(event, StepEvent)), count))
    events.close()
    return found


def of(events: list[Event], kind: type, lane: str) -> list:
    return [event for event in events if isinstance(event, kind) and event.lane == lane]


def test_demo_shows_the_effect_at_each_of_ten_seeds():
    """SAM and SSAM-F ended at least 8 points above the SGD that trains as long, and the SGD that was tuned stood beside them."""
    spec = preset("demo").spec
    measured = json.loads((ASSETS / "measured" / "lessons.json").read_text(encoding="utf-8"))["races"]["demo"]
    assert parse_spec(measured["settings"]) == spec
    assert list(measured["seeds"]) == [str(seed) for seed in range(10)]
    for seed, run in measured["seeds"].items():
        assert [lane["name"] for lane in run["lanes"]] == list(spec.lane_names)
        sgd, tuned, *others = (lane["test_accuracy"] for lane in run["lanes"])
        assert all(accuracy >= sgd + DEMO_LEAD for accuracy in others), seed
        assert tuned >= sgd + DEMO_LEAD, seed


@pytest.mark.slow
def test_demo_is_small_and_its_code_still_shows_the_effect(tmp_path):
    events = list(Race(preset("demo").spec, home=tmp_path, threads=1).events())
    lanes = {lane.name: lane for lane in events[-1].lanes}
    assert sum(of(events, StepEvent, lane)[-1].gradients for lane in lanes) <= GRADIENTS
    assert all(len(of(events, EpochEvent, lane)) >= 12 for lane in lanes)
    assert len(of(events, MaskEvent, next(name for name in lanes if name.startswith("ssam-f")))) >= 5
    assert lanes["sam"].test_accuracy >= lanes["sgd"].test_accuracy + LEAD


def test_the_former_name_of_demo_still_opens_it():
    assert preset("quick") == preset("demo")
    assert "quick" not in presets()


def test_noisy_labels_shows_the_effect_at_every_seed():
    """Every perturbing lane ended at least 6 points above SGD, on all 10,000 test images."""
    spec = preset("noisy-labels").spec
    measured = json.loads((ASSETS / "measured" / "lessons.json").read_text(encoding="utf-8"))["races"]["noisy-labels"]
    assert parse_spec(measured["settings"]) == spec
    assert list(measured["seeds"]) == [str(seed) for seed in range(5)]
    for seed, run in measured["seeds"].items():
        raced = [(lane["name"], lane["method"], lane["rho"]) for lane in run["lanes"]]
        assert raced == [
            (name, lane.method, spec.lane_rho(lane) if lane.method != "sgd" else 0.0)
            for name, lane in zip(spec.lane_names, spec.lanes, strict=True)
        ]
        sgd, *others = (lane["test_accuracy"] for lane in run["lanes"])
        assert all(accuracy >= sgd + LEAD for accuracy in others), seed


@pytest.mark.slow
def test_a_short_race_with_noisy_labels_shows_the_effect(tmp_path):
    spec = parse_spec({"train_size": 1000, "epochs": 12, "lanes": "sgd,sam"}, base=preset("noisy-labels").spec)
    sgd, sam = list(Race(spec, home=tmp_path, threads=1).events())[-1].lanes
    assert sam.test_accuracy >= sgd.test_accuracy + LEAD


@pytest.mark.slow
def test_the_code_gives_what_was_recorded(tmp_path):
    """The first steps of each lane, before the rounding of another machine has grown."""
    recorded = race_file.load(ASSETS / "recorded" / "noisy-labels.json.gz")
    spec = preset("noisy-labels").spec
    told = first_steps(spec, tmp_path, 4 * len(spec.lanes))
    for lane in recorded.window.lanes:
        losses = [event.loss for event in told if event.lane == lane.name]
        assert lane.steps["step"][:2] == [1.5, 3.5], "a point is kept for two steps"
        pairs = [statistics.fmean(losses[:2]), statistics.fmean(losses[2:])]
        np.testing.assert_allclose(pairs, lane.steps["loss"][:2], rtol=5e-3)


def test_fast_ssam_keeps_the_gain_at_every_seed():
    """Half of the weights are left alone, and the gain over SGD is that of SAM to within a point and a half."""
    spec = preset("fast-ssam").spec
    study = json.loads((ASSETS / "measured" / "study.json").read_text(encoding="utf-8"))
    assert parse_spec(study["tasks"]["noisy-labels"]["spec"]).epochs == spec.epochs
    rows = [row for row in study["rows"] if (row["task"], row["phase"]) == ("noisy-labels", "final")]
    accuracy = {(row["lane"], row["seed"]): row["accuracy"] for row in rows}
    fast_lane = spec.to_strings()["lanes"].split(",")[2]
    seeds = {seed for lane, seed in accuracy if lane == fast_lane}
    assert len(seeds) >= 5
    for seed in seeds:
        sgd, sam, fast = (accuracy[lane, seed] for lane in ("sgd", f"sam:rho={spec.rho:g}", fast_lane))
        assert fast > sgd + LEAD
        assert fast > sam - 0.015


@pytest.mark.slow
def test_fast_ssam_has_one_gradient_a_step(tmp_path):
    spec = preset("fast-ssam").spec
    told = first_steps(spec, tmp_path, 4 * len(spec.lanes))
    last = {event.lane: event for event in told}
    sgd, sam, fast = (last[name].gradients / last[name].step for name in spec.lane_names)
    assert (sgd, sam, fast) == (1, 2, 1)
    assert spec.lane_sparsity(spec.lanes[2]) >= 0.5


def test_the_exact_preset_is_exact_and_cheaper(tmp_path):
    spec = preset("exact-ssam").spec
    events = Race(spec, home=tmp_path, threads=1).events()
    started = next(event for event in events if isinstance(event, Started))
    events.close()
    plans = [lane for lane in started.lanes if lane.method == "sam"][1:]
    assert all(lane.exact for lane in plans)
    assert [round(lane.predicted_ratio, 2) for lane in plans] == [1.68, 1.49, 1.12]
