"""A race whose masks are made up, to the bit where wanted, and its Fisher information, for the tests of the masks page."""

import dataclasses
import math

import numpy as np

from ssam.experiment import RaceSpec
from ssam.experiment.analysis import AnalysisSpec, Found
from ssam.experiment.events import Layer, MaskEvent
from ssam.methods import METHODS
from ssam.store import Run, Store
from tests.fake_race import EPOCH, started

LAYERS = (
    Layer("stem.conv.weight", "stem", (4, 3, 2, 2)),
    Layer("stem.norm.weight", "stem", (4,)),
    Layer("head.linear.weight", "head", (5, 16)),
)
SIZES = tuple(math.prod(layer.shape) for layer in LAYERS)


def race(
    store: Store, spec: RaceSpec, owner: str, masks: int = 5, bits: bool = True, state: str | None = "finished"
) -> Run:
    """``masks`` of every sparse lane, one at the start of each epoch; the state is that of a race that has got so far."""
    run_id = store.runs.create(spec, f"race {len(store.runs.newest(limit=500))}", owner)
    with store.writer(run_id) as writer:
        writer.add(dataclasses.replace(started(spec, masks * EPOCH), layers=LAYERS))
        for number in range(masks):
            for lane, name in enumerate(spec.lane_names):
                if METHODS[spec.lanes[lane].method].sparse:
                    writer.add(event(lane, name, number, bits))
    if state in ("finished", "stopped", "paused"):
        store.run_folder(run_id).mkdir(parents=True, exist_ok=True)
        (store.run_folder(run_id) / "checkpoint.pt").write_bytes(b"made up")
        store.queue.record_checkpoint(run_id)
    if state:
        assert store.queue.transition(run_id, ("queued",), state)
    run = store.runs.get(run_id)
    assert run
    return run


def mask(lane: int, number: int) -> np.ndarray:
    """The mask number ``number`` of a lane, flat: a lane keeps most of its weights from one to the next, and its first layer is dense."""
    draws = np.random.default_rng(lane).random(sum(SIZES))
    draws = 0.8 * draws + 0.2 * np.random.default_rng((lane, number)).random(sum(SIZES))
    draws[: SIZES[0]] += 0.25
    return draws > 0.5


def by_layer(flat: np.ndarray) -> dict[str, np.ndarray]:
    parts = np.split(flat, np.cumsum(SIZES)[:-1])
    return {layer.name: part.reshape(layer.shape) for layer, part in zip(LAYERS, parts, strict=True)}


def event(lane: int, name: str, number: int, bits: bool) -> MaskEvent:
    new, old = mask(lane, number), mask(lane, number - 1) if number else None
    parts = by_layer(new)
    return MaskEvent(
        name,
        number * EPOCH + 1,
        float(number),
        float(new.mean()),
        None if old is None else float((new ^ old).mean()),
        None if old is None else float((new & old).sum() / (new | old).sum()),
        {layer: float(part.mean()) for layer, part in parts.items()},
        {
            layer: (255 * part.reshape(len(part) if part.ndim > 1 else 1, -1)).astype(np.uint8)
            for layer, part in parts.items()
        },
        {layer: np.packbits(part) for layer, part in parts.items()} if bits else {},
    )


def measure(store: Store, run: Run, owner: str, state: str | None = "finished", lanes: int | None = None) -> str:
    """What a Fisher analysis of the first ``lanes`` lanes (None: all) would have found."""
    analysis = AnalysisSpec(kind="fisher")
    made = store.analyses.create(run, analysis, f"analysis {len(store.analyses.of_race(run.id))} of {run.id}", owner)
    rows: list[dict] = []
    for lane, setting in list(enumerate(run.spec.lanes))[:lanes]:
        sparse = METHODS[setting.method].sparse
        for stage, fisher, compute, weights in (("stem", 0.6, 0.9, 0.4), ("head", 0.4, 0.1, 0.6)):
            shares = {"fisher": fisher, "compute": compute, "weights": weights, "density": 0.5 if sparse else None}
            rows.append({"what": "stage", "lane": lane, "stage": stage, **shares})
        for number, pattern in enumerate(("weight", "2:4", "tensor", "block", "random", *["own mask"] * sparse)):
            density = 0.4 if pattern == "tensor" else 0.5
            rows.append(
                {"what": "pattern", "lane": lane, "pattern": pattern, "density": density, "kept": 0.9 - number / 10}
            )
        if sparse:
            for other, iou in (("fisher", 0.7), ("random", 0.34)):
                rows.append({"what": "overlap", "a": lane, "b": other, "iou": iou, "chance": 1 / 3})
    if lanes is None:
        rows.append({"what": "overlap", "a": 2, "b": 3, "iou": 0.4, "chance": 1 / 3})
    about = {
        "device": "cpu",
        "threads": 1,
        "torch": "2.0",
        "images": analysis.images,
        "classes": 2,
        "batchnorm": analysis.batchnorm,
        "dtype": analysis.dtype,
        "seed": 0,
        "parameters": sum(SIZES),
        "seconds": 3.0,
        "lanes": [],
        "caveats": ["Made up."],
    }
    store.analyses.save_result(made, Found(1.0 if lanes is None else 0.5, "made up", about, rows, {}))
    if state:
        assert store.queue.transition(made, ("queued",), state)
    return made
