"""Recorded races: played back by the same live panel that shows a race under way."""

import base64
import json
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Any

import streamlit as st

from app import live, panel, texts
from ssam.spec import ASSETS, preset, presets
from ssam.store import Heatmap
from ssam.store.recording import Recording, load

FOLDER = ASSETS / "recorded"
SUFFIX = ".json.gz"


def names() -> list[str]:
    """The recorded races in ``assets/recorded``, each called after its preset."""
    return sorted(path.name.removesuffix(SUFFIX) for path in FOLDER.glob(f"*{SUFFIX}"))


def of_preset(name: str) -> str:
    """The recorded race of a preset; the first preset's where it has none."""
    return name if name in names() else next(iter(presets()))


def watch(name: str) -> str:
    """What to look for in a recorded race; its preset's summary where nothing more is said."""
    return texts.WATCH.get(name, f"{preset(name).summary} This race is recorded; *Start race* runs your own.")


def draw(name: str) -> None:
    """Plays a recorded race in the live panel, labelled as recorded. One a page, in place of ``live.draw``."""
    recording = read(name)
    view = st.session_state.get(live.KEY, {}).get("view") or {}
    known = [layer["name"] for layer in recording.window.layers]
    layer = view.get("layer") if view.get("layer") in known else live.telling(recording.window)
    seconds = sum(lane.seconds for lane in recording.window.lanes)  # of training, one lane after the other
    replay = {"about": about(name, recording), "seconds": seconds}
    live.show(_told(name), {"replay": replay, "heats": _heats(recording, str(layer))})


@lru_cache(maxsize=8)
def read(name: str) -> Recording:
    """A recorded race. Raises ValueError for a name that is none."""
    if name not in names():
        raise ValueError(f"{name[:60]!r} is not a recorded race; allowed: {', '.join(names())}")
    return load(Path(FOLDER / f"{name}{SUFFIX}"))


def about(name: str, recording: Recording) -> str:
    """What was raced, when and on what, in one line."""
    told, info = recording.about, recording.run.started_info or {}
    day = date.fromisoformat(told["date"])
    threads = f"{info['threads']} thread{'s' * (info['threads'] != 1)}"
    machine = f"{told['machine']['cpu']}, {threads}, PyTorch {told['machine']['torch']}"
    return f"{preset(name).title} · {day.day} {day:%B %Y} · {machine} · seed {recording.run.spec.seed}"


@lru_cache(maxsize=8)
def _told(name: str) -> str:
    recording = read(name)
    told = panel.race(recording.run, recording.window, "")
    return json.dumps(told | {"state": "recorded", "status": {"word": "Recorded race", "detail": ""}, "notes": []})


def _heats(recording: Recording, layer: str) -> dict[str, Any] | None:
    """The pictures of one layer's masks at all times."""
    maps: dict[str, list[dict[str, Any]]] = {}
    for lane in recording.window.lanes:
        drawn = [(mask, recording.pictures.get((lane.name, layer, mask["step"]))) for mask in lane.masks]
        if told := [mask | _told_picture(picture) for mask, picture in drawn if picture]:
            maps[lane.name] = told
    epochs = sorted({mask["epoch"] for drawn in maps.values() for mask in drawn})
    return {"layer": layer, "epochs": epochs, "maps": maps} if maps else None


def _told_picture(picture: Heatmap) -> dict[str, Any]:
    rows, columns = picture.shape
    pixels = base64.b64encode(picture.pixels).decode()
    return {"rows": rows, "columns": columns, "pixels": pixels, "density": picture.density}
