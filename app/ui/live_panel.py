"""The live panel: one component that draws curves, masks and bars. Each tick sends it the whole down-sampled window."""

import json
import threading
import time
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import streamlit as st

from app.ui import component, live_payload, run_labels
from app.ui.lab import Lab
from app.ui.live_types import Before, Heat, Inside, MaskPicture, Pictures
from ssam.store import Heatmap, Run, Store, Window
from ssam.store.views import ENDED, default_layer

POINTS = 300
KEPT = 200  # races whose newest look is kept
KEY = "live"

_mount = component.register("ui/live/live")
_EVENTS = dict.fromkeys(("on_view_change", "on_kept_change", "on_open_change"), lambda: None)


def pace(run: Run, window: Window) -> float | None:
    """Return the seconds between two ticks: short until the first point, long while queued, None once the race has ended."""
    if run.state in ENDED:
        return None
    if run.state == "paused" or run.races_ahead:
        return 1.0
    return 0.8 if any(lane.points for lane in window.lanes) else 0.2


@dataclass(frozen=True)
class Look:
    """A race at one moment (``at``, monotonic), the same for all viewers. ``told`` is JSON for the panel; ``window`` has no curves."""

    run: Run
    window: Window
    told: str
    at: float


class Looks:
    """The latest snapshot of each race: a class that watches one race reads it once, not once per viewer."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._newest: dict[str, Look] = {}

    def look(self, lab: Lab, run_id: str, fresh: bool) -> Look | None:
        with self._lock:
            look = self._newest.pop(run_id, None)
            if fresh or look is None or time.monotonic() - look.at >= (pace(look.run, look.window) or 0.0) / 2:
                look = _look(lab, run_id)
            if look:
                self._newest[run_id] = look  # reuse the last one
            while len(self._newest) > KEPT:
                del self._newest[next(iter(self._newest))]
            return look


@st.cache_resource(show_spinner=False)
def _looks() -> Looks:
    return Looks()


def look(lab: Lab, run_id: str, fresh: bool = False) -> Look | None:
    """Return the race as it is now, or up to half a tick old unless ``fresh``; None for an unknown id."""
    return _looks().look(lab, run_id, fresh)


def _look(lab: Lab, run_id: str) -> Look | None:
    at, run, window = time.monotonic(), lab.store.runs.get(run_id), lab.store.curves.window(run_id, POINTS)
    if run is None or window is None:
        return None
    if run.state not in ENDED:
        lab.client.runner.ensure_in_background()  # the runner may have died since the page was opened
    told = json.dumps(live_payload.race(run, window, run_labels.waiting(lab, run)))
    lanes = tuple(
        replace(lane, steps={}, epochs=[]) for lane in window.lanes
    )  # already sent, and most of a snapshot's memory
    return Look(run, replace(window, lanes=lanes), told, at)


def draw(store: Store, look: Look, before: Before | None = None, inside: Inside | None = None) -> None:
    """Show the race in the live panel, with the race before as thin lines, and with links to the pages that look inside it."""
    view = st.session_state.get(KEY, {}).get("view") or {}
    show(look.told, {"heat": _heat(store, look.run, look.window, view), "inside": inside}, before)


def prepare() -> None:
    """Make the browser load what the panel needs before there is a race to show."""
    _mount(KEY, {}, **_EVENTS)


def show(race: str, more: Pictures, before: Before | None = None) -> None:
    """Mount the component. ``race`` is ``live_payload.race`` as JSON; ``more`` goes with it. The curves of the race before are
    left out once the browser has them."""
    if before and before["version"] == kept():
        before = {"version": before["version"], "words": before["words"]}
    _mount(KEY, race, {**more, "before": before}, **_EVENTS)


def kept() -> str | None:
    """Return the version of the earlier race whose curves the browser has."""
    state: dict[str, Any] = st.session_state.get(KEY, {})
    return state.get("kept")


@lru_cache(maxsize=256)
def _picture(store: Store, run_id: str, lane: str, layer: str, step: int) -> Heatmap | None:
    """Read a mask's file, once: a mask does not change."""
    return store.curves.heatmap(run_id, lane, layer, step)


def _heat(store: Store, run: Run, window: Window, view: dict[str, Any]) -> Heat | None:
    """Return the pictures of one layer's masks, of every lane that has one, at the wanted or the latest epoch."""
    masked = [lane for lane in window.lanes if lane.masks]
    if not masked or not window.layers:
        return None
    names = [layer["name"] for layer in window.layers]
    layer = view["layer"] if view.get("layer") in names else default_layer(window)
    epochs = sorted({mask["epoch"] for lane in masked for mask in lane.masks})
    wanted = view.get("epoch") if view.get("run") == run.id else None
    maps: dict[str, MaskPicture] = {}
    for lane in masked:
        past = [mask for mask in lane.masks if wanted is None or mask["epoch"] <= wanted] or lane.masks[:1]
        if picture := _picture(store, run.id, lane.name, layer, past[-1]["step"]):
            maps[lane.name] = live_payload.mask_picture(past[-1], picture)
    return {"layer": layer, "epochs": epochs, "epoch": wanted, "maps": maps}
