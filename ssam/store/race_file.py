"""A race as one small file: everything a page draws, with place and time of recording. Gzipped JSON, numbers to five digits."""

import base64
import gzip
import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from ssam.experiment import RaceSpec
from ssam.store.migrations import complete_facts
from ssam.store.outcome import settled
from ssam.store.store import Store
from ssam.store.views import Heatmap, LaneWindow, Run, Window

DIGITS = 5


@dataclass(frozen=True)
class Recording:
    """A finished race. ``about`` has command, time and machine; ``pictures`` has the masks' pictures by lane, layer and step."""

    about: dict[str, Any]
    run: Run
    window: Window
    pictures: dict[tuple[str, str, int], Heatmap]


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


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}")
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, (list, tuple)) else value
