"""A race as one small file: everything a page draws, with place and time of recording. Gzipped JSON, numbers to five digits."""

import base64
import gzip
import json
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from ssam.experiment import RaceSpec
from ssam.store.migrations import complete_facts
from ssam.store.outcome import settled
from ssam.store.predictions import LanePredictions, Predictions, RaceImages, as_bytes, as_shares
from ssam.store.store import Store
from ssam.store.views import Heatmap, LaneWindow, Run, Window

DIGITS = 5


@dataclass(frozen=True)
class Recording:
    """A finished race. ``about`` has command, time and machine; ``pictures`` has the masks' pictures by lane, layer and step;
    ``predictions`` is None in files of earlier versions."""

    about: dict[str, Any]
    run: Run
    window: Window
    pictures: dict[tuple[str, str, int], Heatmap]
    predictions: Predictions | None = None


def save(store: Store, run_id: str, about: dict[str, Any], path: Path) -> None:
    """Write the finished race to ``path``. Raise ValueError if it is unknown or has no result."""
    run, window = store.runs.get(run_id), store.curves.window(run_id)
    if run is None or window is None or run.result is None:
        raise ValueError(f"{run_id[:40]!r} is not a finished race")
    content = {
        "about": about,
        "run": asdict(run) | {"spec": run.spec.model_dump(mode="json"), "owner": "", "analysis": None},
        "window": asdict(window),
        "pictures": [_packed(picture) for picture in _pictures(store, window)],
    }
    predictions = store.predictions.read(run_id, run.spec.lane_names)
    if predictions is not None:
        content["predictions"] = _packed_predictions(predictions)
    _write(content, path)


def add_predictions(store: Store, run_id: str, path: Path) -> None:
    """Add the predictions of a repeated race to the file of the first one, whose times stay. Raise ValueError if the accuracies differ,
    or if there are no predictions."""
    window, first = store.curves.window(run_id), load(path)
    if window is None or _accuracies(window) != _accuracies(first.window):
        raise ValueError(f"{run_id[:40]!r} is not the race of {path.name}: their accuracies differ")
    predictions = store.predictions.read(run_id, first.run.spec.lane_names)
    if predictions is None:
        raise ValueError(f"{run_id[:40]!r} has no predictions")
    content = json.loads(gzip.decompress(path.read_bytes()))
    _write(content | {"predictions": _packed_predictions(predictions)}, path)


def _accuracies(window: Window) -> dict[str, list[float]]:
    return {lane.name: [_rounded(row["test_accuracy"]) for row in lane.epochs] for lane in window.lanes}


def _write(content: dict[str, Any], path: Path) -> None:
    text = json.dumps(_rounded(content), separators=(",", ":"))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(text.encode(), mtime=0))  # the same race gives the same file


def load(path: Path) -> Recording:
    """Read such a file."""
    content = json.loads(gzip.decompress(path.read_bytes()))
    run, window = content["run"], content["window"]
    complete_facts(run["started_info"], run["result"])
    ends = zip(window.pop("lanes"), run["result"]["lanes"], strict=True)
    lanes = tuple(settled(LaneWindow(**lane), result) for lane, result in ends)
    return Recording(
        content["about"],
        Run(**run | {"spec": RaceSpec.model_validate(run["spec"])}),
        Window(lanes=lanes, **window),
        {(each["lane"], each["layer"], each["step"]): _unpacked(each) for each in content["pictures"]},
        _unpacked_predictions(content["predictions"]) if "predictions" in content else None,
    )


def _pictures(store: Store, window: Window) -> list[Heatmap]:
    every = (
        store.curves.heatmap(window.run_id, lane.name, layer["name"], mask["step"])
        for lane in window.lanes
        for mask in lane.masks
        for layer in window.layers
    )
    return [picture for picture in every if picture]


def _packed(picture: Heatmap) -> dict[str, Any]:
    values = {field.name: getattr(picture, field.name) for field in fields(picture)}
    return values | {"pixels": base64.b64encode(picture.pixels).decode()}


def _unpacked(packed: dict[str, Any]) -> Heatmap:
    return Heatmap(**packed | {"shape": tuple(packed["shape"]), "pixels": base64.b64decode(packed["pixels"])})


def _packed_predictions(predictions: Predictions) -> dict[str, Any]:
    lanes = {name: _packed_arrays(vars(lane)) for name, lane in predictions.lanes.items()}
    return {"images": _packed_arrays(vars(predictions.images)), "lanes": lanes}


def _unpacked_predictions(packed: dict[str, Any]) -> Predictions:
    lanes = {name: LanePredictions(**_unpacked_arrays(arrays)) for name, arrays in packed["lanes"].items()}
    return Predictions(RaceImages(**_unpacked_arrays(packed["images"])), lanes)


def _packed_arrays(arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Return arrays for JSON, with all evaluations of one image side by side: they are alike, which makes the file smaller."""
    packed = {}
    for name, array in arrays.items():
        kept = as_bytes(array) if name == "confidence" else array
        data = base64.b64encode(zlib.compress(np.ascontiguousarray(kept.T).tobytes(), 9)).decode()
        packed[name] = {"dtype": kept.dtype.str, "shape": kept.shape, "data": data}
    return packed


def _unpacked_arrays(packed: Mapping[str, Any]) -> dict[str, np.ndarray]:
    arrays = {}
    for name, each in packed.items():
        data = np.frombuffer(zlib.decompress(base64.b64decode(each["data"])), np.dtype(each["dtype"]))
        array = np.ascontiguousarray(data.reshape(each["shape"][::-1]).T)
        arrays[name] = as_shares(array) if name == "confidence" else array
    return arrays


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}")
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, (list, tuple)) else value
