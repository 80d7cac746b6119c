"""The events of a race as lines of JSON, so that a race of one machine can be recorded on another."""

import base64
import gzip
import json
from collections.abc import Iterable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from ssam.experiment import events as kinds
from ssam.experiment.events import Checkpoint, Event, LaneInfo, LaneResult, Layer, Stage

PARTS = {("Started", "lanes"): LaneInfo, ("Started", "layers"): Layer, ("Started", "stages"): Stage}
PARTS[("Result", "lanes")] = LaneResult


def write(events: Iterable[Event], path: Path) -> Iterator[Event]:
    """Write every event but checkpoints, gzipped, and pass all of them on."""
    with gzip.open(path, "wt", encoding="utf-8") as file:
        for event in events:
            if not isinstance(event, Checkpoint):
                file.write(json.dumps({"event": type(event).__name__, **_plain(event)}) + "\n")
            yield event


def read(path: Path) -> Iterator[Event]:
    """Yield what ``write`` wrote. Raise ValueError if the file holds something else."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for line in file:
            content = json.loads(line)
            name = content.pop("event", None)
            kind = {each.__name__: each for each in Event.__args__}.get(name)
            if kind is None:
                raise ValueError(f"{path.name}: {name!r} is not an event")
            yield kind(**{field: _restored(name, field, value) for field, value in content.items()})


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return {"dtype": str(value.dtype), "shape": value.shape, "base64": base64.b64encode(value.tobytes()).decode()}
    if type(value).__module__ == kinds.__name__:
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, tuple | list) else value


def _restored(event: str, field: str, value: Any) -> Any:
    if part := PARTS.get((event, field)):
        return tuple(part(**{name: _restored("", name, each) for name, each in row.items()}) for row in value)
    if isinstance(value, dict):
        return _array(value) if "base64" in value else {key: _restored("", "", each) for key, each in value.items()}
    return tuple(value) if isinstance(value, list) else value


def _array(value: dict[str, Any]) -> np.ndarray:
    return np.frombuffer(base64.b64decode(value["base64"]), value["dtype"]).reshape(value["shape"]).copy()
