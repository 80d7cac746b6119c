"""The bundled presets do what they promise, for real."""

import time

import pytest

from ssam.engine import Race
from ssam.spec import preset
from ssam.spec.events import EpochEvent, MaskEvent, Result, Started, StepEvent

SPARSE = ("ssam-f", "ssam-d")


@pytest.mark.slow
def test_quick_fills_every_panel_within_twenty_seconds(tmp_path):
    """Processor time, which another program on the machine stretches less than the clock on the wall."""
    begin = time.process_time()
    events = list(Race(preset("quick").spec, home=tmp_path, threads=1).events())
    assert time.process_time() - begin < 20
    lanes = {lane.name for lane in events[-1].lanes}
    assert lanes == {"sgd", "sam", *SPARSE}
    for lane in lanes:
        assert sum(isinstance(e, StepEvent) and e.lane == lane for e in events) >= 50
        assert sum(isinstance(e, EpochEvent) and e.lane == lane for e in events) >= 3
    for lane in SPARSE:
        assert sum(isinstance(e, MaskEvent) and e.lane == lane for e in events) >= 3


@pytest.mark.slow
def test_noisy_labels_shows_the_effect(tmp_path):
    """Every perturbing lane ends at least 6 points above SGD, on all 10,000 test images. All five seeds are in
    assets/measured/noisy-labels.json; one is raced here."""
    result = list(Race(preset("noisy-labels").spec, home=tmp_path, threads=1).events())[-1]
    assert isinstance(result, Result)
    sgd, *others = (lane.test_accuracy for lane in result.lanes)
    assert [lane.name.partition(":")[0] for lane in result.lanes] == ["sgd", "sam", *SPARSE]
    assert all(accuracy >= sgd + 0.06 for accuracy in others), (sgd, others)


@pytest.mark.slow
def test_fast_ssam_keeps_the_gain_with_one_gradient_a_step(tmp_path):
    """Half of the weights are left alone, a step has one gradient, and the gain over SGD is that of SAM to within a point
    and a half. The seeds it was measured on are in assets/measured/study.json; one is raced here."""
    events = list(Race(preset("fast-ssam").spec, home=tmp_path, threads=1).events())
    sgd, sam, fast = events[-1].lanes
    assert (sgd.name, sam.name, fast.method) == ("sgd", "sam", "ssam")
    assert fast.sparsity >= 0.5
    last = {e.lane: e for e in events if isinstance(e, StepEvent)}
    assert last[fast.name].gradients == last["sgd"].gradients == last["sam"].gradients / 2
    assert fast.test_accuracy > sgd.test_accuracy + 0.06
    assert fast.test_accuracy > sam.test_accuracy - 0.015


def test_the_exact_preset_is_exact_and_cheaper(tmp_path):
    spec = preset("exact-ssam").spec
    events = Race(spec, home=tmp_path, threads=1).events()
    started = next(event for event in events if isinstance(event, Started))
    events.close()
    plans = [lane for lane in started.lanes if lane.method == "sam"][1:]
    assert all(lane.exact for lane in plans)
    assert [round(lane.predicted_ratio, 2) for lane in plans] == [1.68, 1.49, 1.12]
