"""A home folder with something to see on every page: a finished race with curves, masks to the bit, predictions and results, everything that can
be measured of it, and races beside it that failed and that wait."""

import dataclasses

from ssam.experiment import RaceSpec, parse_spec
from ssam.experiment.analysis import AnalysisSpec
from ssam.experiment.events import LaneEnded, LaneResult, Result
from ssam.methods import METHODS
from ssam.store import Run, Store
from tests import fake_flatness, fake_masks, fake_predictions
from tests.fake_race import EPOCH, evaluation, started, step

SPEC = parse_spec({"lanes": "sgd,sam,ssam-f,ssam-d,sam:rho=0.4", "epochs": "5"})
ACCURACIES = (0.69, 0.8, 0.81, 0.8, 0.78)
KINDS = ("surface", "profile", "curvature", "spectrum", "sharpness", "robustness", "disturbed_weights")


def race(store: Store, owner: str, spec: RaceSpec = SPEC) -> Run:
    """A finished race of five epochs: SGD's accuracy rises, then falls."""
    steps = 5 * EPOCH
    run_id = store.runs.create(spec, f"race {len(store.runs.newest(limit=500))}", owner)
    with store.writer(run_id) as writer:
        writer.add(
            dataclasses.replace(started(spec, steps), layers=fake_masks.LAYERS, classes=fake_predictions.CLASSES)
        )
        for event in fake_predictions.events(spec, fake_predictions.images()):
            writer.add(event)
        for number in range(1, steps + 1):
            for lane, (name, setting) in enumerate(zip(spec.lane_names, spec.lanes, strict=True)):
                epoch, first = divmod(number - 1, EPOCH)
                if METHODS[setting.method].sparse and not first:
                    writer.add(fake_masks.event(lane, name, epoch, True))
                writer.add(step(name, number, ratio=1.0 if setting.method == "sgd" else 2.0))
                if number % EPOCH == 0:
                    fallen = 0.02 * epoch * (setting.method == "sgd")
                    seen = evaluation(name, number, final=number == steps)
                    writer.add(dataclasses.replace(seen, test_accuracy=ACCURACIES[lane] - fallen))
        for name in spec.lane_names:
            writer.add(LaneEnded(name, steps, "finished"))
        writer.add(
            Result(
                "cpu",
                tuple(
                    LaneResult(name, lane.method, 0.5, 0.1, accuracy, 0.6, 12.3, 1.0, 2.0, False)
                    for name, lane, accuracy in zip(spec.lane_names, spec.lanes, ACCURACIES, strict=False)
                ),
            )
        )
    store.run_folder(run_id).mkdir(parents=True, exist_ok=True)
    (store.run_folder(run_id) / "checkpoint.pt").write_bytes(b"made up")
    store.queue.record_checkpoint(run_id)
    assert store.queue.transition(run_id, ("queued",), "finished")
    run = store.runs.get(run_id)
    assert run
    return run


def furnish(store: Store, owner: str, analyses: dict[str, AnalysisSpec]) -> Run:
    """Fills the home folder; ``analyses`` by kind, as the pages ask for them. Gives the race that is to be looked at."""
    failed = store.runs.create(SPEC.model_copy(update={"seed": 1}), "failed", owner)
    assert store.queue.transition(failed, ("queued",), "failed", message="'photos.zip' is damaged")
    run = race(store, owner)
    for analysis in analyses.values():
        fake_flatness.measure(store, run, analysis, owner)
    fake_masks.measure(store, run, owner)
    return run
