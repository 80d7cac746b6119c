"""A race whose predictions are made up, for the tests of the page Images: the first lane memorises wrong labels, the others hardly."""

import dataclasses

import numpy as np

from ssam.experiment import RaceSpec
from ssam.experiment.events import ImagesEvent, PredictionsEvent
from ssam.store import Run, Store
from ssam.store.predictions import LanePredictions, Predictions, RaceImages
from tests.fake_race import EPOCH, started

CLASSES = ("top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot")
SIDE = 8  # pixels of the made-up pictures


def images(train: int = 60, test: int = 40, noise: float = 0.4, side: int | None = None) -> ImagesEvent:
    """The images of a race; with pictures of ``side`` pixels, else without, as those of the bundled data set are stored."""
    draws = np.random.default_rng(0)
    true = draws.integers(0, len(CLASSES), train).astype(np.int16)
    given = true.copy()
    given[: round(noise * train)] += draws.integers(1, len(CLASSES), round(noise * train)).astype(np.int16)
    shown = np.arange(train if side else 0)
    return ImagesEvent(
        train_rows=np.arange(train) * 2,
        given=(given % len(CLASSES)).astype(np.int16),
        true=true,
        test_rows=np.arange(test) * 3,
        test_labels=draws.integers(0, len(CLASSES), test).astype(np.int16),
        shown=shown,
        train_pictures=draws.integers(0, 256, (len(shown), side or 1, side or 1, 3), dtype=np.uint8),
        test_pictures=draws.integers(0, 256, (test if side else 0, side or 1, side or 1, 3), dtype=np.uint8),
    )


def predictions(about: ImagesEvent, lane: int, name: str, number: int, evaluations: int) -> PredictionsEvent:
    """What a lane predicts at its evaluation ``number``: the labels that are right, and ever more of the wrong ones."""
    own, each = np.random.default_rng(lane), np.random.default_rng((lane, number))
    train, test = len(about.given), len(about.test_labels)
    progress = (number + 1) / evaluations
    memorised = own.random(train) < progress * (0.8 if lane == 0 else 0.2)
    answer = np.where(memorised, about.given, about.true)
    third = each.random(train) < 0.1
    answer = np.where(third, (about.true + 1) % len(CLASSES), answer).astype(np.int16)
    right = each.random(test) < 0.6 + 0.05 * lane
    return PredictionsEvent(
        lane=name,
        step=(number + 1) * EPOCH,
        epoch=float(number + 1),
        train=answer,
        test=np.where(right, about.test_labels, (about.test_labels + 1) % len(CLASSES)).astype(np.int16),
        confidence=np.clip(0.3 + 0.7 * each.random(test), 0, 1).astype(np.float32),
    )


def events(spec: RaceSpec, about: ImagesEvent, evaluations: int = 4) -> list[ImagesEvent | PredictionsEvent]:
    """All that a race says of its images, in order."""
    return [
        about,
        *(
            predictions(about, lane, name, number, evaluations)
            for number in range(evaluations)
            for lane, name in enumerate(spec.lane_names)
        ),
    ]


def race(
    store: Store,
    spec: RaceSpec,
    owner: str,
    about: ImagesEvent | None = None,
    evaluations: int = 4,
    state: str = "finished",
    classes: tuple[str, ...] = CLASSES,
) -> Run:
    """A race with these images; the state is that of one that has got so far."""
    run_id = store.runs.create(spec, f"race {len(store.runs.newest(limit=500))}", owner)
    with store.writer(run_id) as writer:
        writer.add(dataclasses.replace(started(spec, evaluations * EPOCH), classes=classes))
        for event in events(spec, images() if about is None else about, evaluations) if evaluations else ():
            writer.add(event)
    if state != "queued":
        assert store.queue.transition(run_id, ("queued",), state)
    run = store.runs.get(run_id)
    assert run
    return run


def kept(spec: RaceSpec, about: ImagesEvent, evaluations: int = 4) -> Predictions:
    """The same as a recording has it."""
    fields = ("train_rows", "given", "true", "test_rows", "test_labels")
    lanes = {}
    for lane, name in enumerate(spec.lane_names):
        every = [predictions(about, lane, name, number, evaluations) for number in range(evaluations)]
        lanes[name] = LanePredictions(
            *(
                np.array([getattr(each, field) for each in every])
                for field in ("step", "epoch", "train", "test", "confidence")
            )
        )
    return Predictions(RaceImages(*(getattr(about, field) for field in fields)), lanes)
