"""A finished race with made-up measurements of every kind, for the tests of the flatness page."""

import numpy as np

from ssam.catalogue import CLEAN, DISTURBANCES, UNDISTURBED, WEIGHT_DISTURBANCES
from ssam.experiment import RaceSpec
from ssam.experiment.analysis import AnalysisSpec, Found
from ssam.experiment.events import LaneResult, Result
from ssam.store import Run, Store
from tests.fake_race import EPOCH, started

SHARP = (3.0, 1.0, 0.8, 1.2, 0.9, 1.1, 0.7, 1.3)  # how steep each lane's valley is
ESTIMATORS = ("ascent_gap", "worst_case", "m_sharpness", "random_directions", "adaptive")


def race(store: Store, spec: RaceSpec, owner: str, accuracy: float = 0.8, state: str = "finished") -> Run:
    """A race that has ended with a checkpoint; its sharper lanes are worse."""
    run_id = store.runs.create(spec, f"race {len(store.runs.newest(limit=500))}", owner)
    lanes = [
        LaneResult(name, lane.method, 0.5, 0.1, accuracy - sharp / 20, 0.6, 12.3, 1.0, 2.0, False)
        for name, lane, sharp in zip(spec.lane_names, spec.lanes, SHARP, strict=False)
    ]
    with store.writer(run_id) as writer:
        writer.add(started(spec, 20))
        writer.add(Result("cpu", tuple(lanes)))
    store.run_folder(run_id).mkdir(parents=True, exist_ok=True)
    (store.run_folder(run_id) / "checkpoint.pt").write_bytes(b"made up")
    store.queue.record_checkpoint(run_id)
    assert store.queue.transition(run_id, ("queued",), state)
    run = store.runs.get(run_id)
    assert run
    return run


def measure(
    store: Store, run: Run, analysis: AnalysisSpec, owner: str, done: float = 1.0, state: str | None = "finished"
) -> str:
    """What an analysis of the race would have found; ``done`` of it, so that a surface is coarse."""
    made = store.analyses.create(run, analysis, f"analysis {len(store.analyses.of_race(run.id))} of {run.id}", owner)
    rows, arrays = found(run.spec, analysis, done)
    about = {
        "device": "cpu",
        "threads": 1,
        "torch": "2.0",
        "images": analysis.images,
        "classes": 2,
        "batchnorm": analysis.batchnorm,
        "dtype": analysis.dtype,
        "seed": analysis.seed,
        "parameters": 1234,
        "seconds": 3.0,
        "lanes": [],
        "caveats": ["Measured on training images, wrong labels included."],
    }
    if analysis.kind == "surface" and analysis.plane == "lanes":
        about["plane"] = {
            "kind": "principal components of 4 lanes",
            "unit": "Distances are Euclidean.",
            "in_plane": 0.7,
        }
    store.analyses.save_result(made, Found(done, "made up", about, rows, arrays))
    if state:
        assert store.queue.transition(made, ("queued",), state)
    return made


def found(spec: RaceSpec, analysis: AnalysisSpec, done: float = 1.0) -> tuple[list[dict], dict[str, np.ndarray]]:
    """Rows and arrays as the contract of ``ssam.analysis.runner`` has them."""
    kinds = {
        "surface": _surface,
        "profile": _profile,
        "curvature": _curvature,
        "spectrum": _spectrum,
        "robustness": _robustness,
        "disturbed_weights": _disturbed_weights,
    }
    kind = kinds.get(analysis.kind, _sharpness)
    return kind(spec, analysis, done)


def _at(lane: int, epoch: int = 2) -> dict:
    return {"lane": lane, "step": epoch * EPOCH, "epoch": float(epoch)}


def _surface(spec: RaceSpec, analysis: AnalysisSpec, done: float) -> tuple[list[dict], dict[str, np.ndarray]]:
    ticks = np.linspace(-analysis.span, analysis.span, analysis.points)
    x, y = np.meshgrid(ticks, ticks)
    lanes = range(len(spec.lanes))
    if analysis.plane == "lanes":
        places = [(np.cos(lane * 1.7) / 2, np.sin(lane * 1.7) / 2) for lane in lanes]
        loss = 0.05 + np.min([SHARP[n] * ((x - a) ** 2 + (y - b) ** 2) for n, (a, b) in enumerate(places)], axis=0)
        arrays = {"xs": ticks, "ys": ticks, "loss": loss, "accuracy": 1 / (1 + loss)}
        for lane, (a, b) in enumerate(places):
            share = np.linspace(0, 1, 6) ** 0.7
            arrays[f"path/{lane}"] = np.column_stack([share * a, share * b + 0.1 * np.sin(3 * share), np.arange(6)])
        where = ({"x": float(a), "y": float(b), "loss": 0.05, "in_plane": 0.7} for a, b in places)
        return [_at(lane) | place for lane, place in zip(lanes, where, strict=True)], arrays
    arrays = {"xs": ticks, "ys": ticks}
    kept = np.zeros((analysis.points, analysis.points), dtype=bool)
    kept[:: 1 if done == 1 else 4, :: 1 if done == 1 else 4] = True
    for lane in lanes:
        loss = 0.05 + SHARP[lane] * (x**2 + 0.5 * y**2 + 0.4 * np.sin(3 * x) * y) ** 2 + SHARP[lane] * (x**2 + y**2) / 4
        arrays[f"loss/{lane}"] = np.where(kept, loss, np.nan)
        arrays[f"accuracy/{lane}"] = np.where(kept, 1 / (1 + loss), np.nan)
    return [_at(lane) | {"x": 0.0, "y": 0.0, "loss": 0.05} for lane in lanes], arrays


def _profile(spec: RaceSpec, analysis: AnalysisSpec, done: float) -> tuple[list[dict], dict[str, np.ndarray]]:
    steps = np.linspace(-analysis.span, analysis.span, analysis.points)
    tilt = np.random.default_rng(0).uniform(0.7, 1.3, analysis.directions)[:, None]
    arrays = {"steps": steps}
    for lane in range(len(spec.lanes)):
        loss = 0.05 + SHARP[lane] * tilt * steps**2
        arrays |= {f"loss/{lane}": loss, f"accuracy/{lane}": 1 / (1 + loss)}
    return [_at(lane) | {"loss": 0.05} for lane in range(len(spec.lanes))], arrays


def _curvature(spec: RaceSpec, analysis: AnalysisSpec, done: float) -> tuple[list[dict], dict[str, np.ndarray]]:
    rows = []
    for epoch in analysis.epochs or (2,):
        for lane in range(len(spec.lanes)):
            top = 40 * SHARP[lane] / (1 + epoch)
            values = {"eigenvalues": [top / (1 + k / 2) for k in range(5)], "ratio": 3.0, "trace": 9 * top}
            rows.append(_at(lane, epoch) | values | {"trace_error": top / 3, "loss": 0.05})
    return rows, {}


def _spectrum(spec: RaceSpec, analysis: AnalysisSpec, done: float) -> tuple[list[dict], dict[str, np.ndarray]]:
    grid = np.linspace(-3, 45, 400)
    arrays = {"grid": grid}
    for lane in range(len(spec.lanes)):
        bump = np.exp(-(((grid - 13 * SHARP[lane]) / 0.6) ** 2))
        arrays[f"density/{lane}"] = np.exp(-np.abs(grid) * 3) + 1e-4 * bump
    return [_at(lane) | {"largest": 13 * SHARP[lane], "smallest": -1.0} for lane in range(len(spec.lanes))], arrays


def _sharpness(spec: RaceSpec, analysis: AnalysisSpec, done: float) -> tuple[list[dict], dict[str, np.ndarray]]:
    rows = []
    for epoch in analysis.epochs or (2,):
        for lane, setting in enumerate(spec.lanes):
            masked = ["masked_ascent_gap"] * setting.method.startswith("ssam")
            for place, name in enumerate((*ESTIMATORS, *masked)):
                sizes = {"value": SHARP[lane] / (10 + place + epoch), "error": 0.01 if "_d" in name else None}
                about = {"estimator": name, "rho": analysis.rho, "loss": 0.05, "accuracy": 0.9}
                rows.append(_at(lane, epoch) | sizes | about)
    return rows, {}


def _robustness(spec: RaceSpec, analysis: AnalysisSpec, done: float) -> tuple[list[dict], dict[str, np.ndarray]]:
    rows = []
    cases = [(CLEAN, 0.0), *((kind, level) for kind, each in DISTURBANCES.items() for level in each.levels)]
    for kind, level in cases:
        for epoch in analysis.epochs or (2,):
            for lane in range(len(spec.lanes)):
                accuracy = 0.9 - level * SHARP[lane] / (4 + epoch)
                rows.append(_at(lane, epoch) | {"disturbance": kind, "level": level, "accuracy": accuracy})
    return rows, {}


def _disturbed_weights(spec: RaceSpec, analysis: AnalysisSpec, done: float) -> tuple[list[dict], dict[str, np.ndarray]]:
    rows = []
    for epoch in analysis.epochs or (2,):
        for lane, sharp in enumerate(SHARP[: len(spec.lanes)]):
            row = _at(lane, epoch) | {"disturbance": UNDISTURBED, "level": 0.0, "accuracy": 0.9}
            rows.append(row | {"lowest": 0.9, "highest": 0.9})
            for kind, each in WEIGHT_DISTURBANCES.items():
                for place, level in enumerate(each.levels, 1):
                    accuracy, spread = 0.9 - place * sharp / (20 + epoch), 0.02 * (each.draws > 1)
                    ends = {"lowest": accuracy - spread, "highest": accuracy + spread}
                    rows.append(row | {"disturbance": kind, "level": level, "accuracy": accuracy} | ends)
    return rows, {}
