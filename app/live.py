"""The live panel: one component that draws curves, masks and bars, fed with the whole down-sampled window each tick."""

import base64
import filecmp
import hashlib
import importlib.util
import os
import shutil
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st

from app import lane_steps, texts, theme
from ssam.spec import METHODS, LaneSpec, RaceSpec
from ssam.spec.cost import Plan
from ssam.store import Heatmap, LaneWindow, Run, Store, Window
from ssam.store.views import CURVES, ENDED

STATIC = Path(__file__).parent / "static"
POINTS = 300
KEY = "live"
PHASES = [{"name": name, "title": title, "color": theme.PHASE_COLORS[name]} for name, title in texts.PHASES.items()]

# Only this is sent with every tick; the rest is a static file that the browser keeps.
LOADER = """
const instances = new WeakMap();

export default function (component) {
  const { parentElement, data } = component;
  let instance = instances.get(parentElement);
  if (!instance) {
    instance = {};
    instances.set(parentElement, instance);
    const started = instance;
    import(new URL(data[0].module, document.baseURI).href)
      .then((module) => {
        if (started.gone) return;
        started.view = module.mount(parentElement.querySelector(".ssam-live"));
        started.view.update(started.latest);
      })
      .catch((error) => {
        parentElement.querySelector(".ssam-live").textContent = `The live panel could not be loaded: ${error.message}`;
      });
  }
  instance.latest = component;
  instance.view?.update(component);
  return () => {
    instance.gone = true;
    instance.view?.unmount();
    instances.delete(parentElement);
  };
}
"""


def _component() -> Any:
    """Registers the component. Plotly's own JavaScript comes out of the plotly package: nothing is fetched from outside."""
    package = importlib.util.find_spec("plotly")
    if package is None or package.origin is None:
        raise RuntimeError("plotly is not installed; run: pip install -r requirements.txt")
    source, copy = Path(package.origin).parent / "package_data" / "plotly.min.js", STATIC / "plotly.min.js"
    if not copy.exists() or not filecmp.cmp(source, copy):
        draft = copy.with_suffix(f".{os.getpid()}")
        shutil.copy2(source, draft)
        os.replace(draft, copy)
    style = (STATIC / "live.css").read_text(encoding="utf-8")
    return st.components.v2.component(
        "ssam_live", html='<div class="ssam-live"></div>', css=style, js=LOADER, isolate_styles=False
    )


_mount = _component()


def _stamp() -> str:
    """Changes with the static files, so that no browser shows yesterday's."""
    times = "".join(str(path.stat().st_mtime_ns) for path in sorted(STATIC.iterdir()))
    return hashlib.sha256(times.encode()).hexdigest()[:12]


_STAMP = _stamp()  # once a server, not once a tick


def _address(name: str) -> str:
    base = st.get_option("server.baseUrlPath").strip("/")
    return f"{'/' + base if base else ''}/app/static/{name}?v={_STAMP}"


def pace(run: Run, window: Window) -> float | None:
    """Seconds between two ticks: quick from the start to the first point, slow while it waits, none once it has ended."""
    if run.state in ENDED:
        return None
    if run.state == "paused" or run.races_ahead or (run.state == "queued" and run.want == "pause"):
        return 1.0
    return 0.8 if any(lane.points for lane in window.lanes) else 0.2


def draw(store: Store, run: Run | None, window: Window | None) -> None:
    """Mounts the component; without a run it only loads what it will need."""
    data: dict[str, Any] = {"module": _address("live.js"), "plotly": _address("plotly.min.js"), "run": None}
    if run is None or window is None:
        lanes = [{"color": style.color, "dash": style.dash} for style in theme.lane_styles(RaceSpec())]
        data["preview"] = {"lanes": lanes, "phases": PHASES, "captions": texts.PREVIEW}
    else:
        view = st.session_state.get(KEY, {}).get("view") or {}
        data |= _race(run, window) | {"heat": _heat(store, run, window, view)}
    _mount(key=KEY, data=[data], on_view_change=lambda: None)  # a list is not searched for tables


def _race(run: Run, window: Window) -> dict[str, Any]:
    info = run.started_info or {}
    styles, titles = theme.lane_styles(run.spec), theme.lane_titles(run.spec)
    facts = info.get("lanes") or [{}] * len(window.lanes)
    results = run.result["lanes"] if run.result else [None] * len(window.lanes)
    lanes = zip(window.lanes, run.spec.lanes, styles, titles, facts, results, strict=True)
    return {
        "run": run.id,
        "state": run.state,
        "status": _status(run, window),
        "failed": texts.labelled(run.message) if run.state in ("failed", "interrupted") else "",
        "progress": window.progress,
        "notes": _notes(run, info),
        "testSize": info.get("test_size"),
        "epochs": run.spec.epochs if run.spec.clock == "epochs" else None,
        "ends": _ends(run.spec, info),
        "lanes": [
            {
                "title": title,
                "color": style.color,
                "dash": style.dash,
                "symbol": style.symbol,
                **_steps(run.spec, spec_lane, info, known, lane),
                **_lane(lane),
                **(_final(result) if result else {}),
            }
            for lane, spec_lane, style, title, known, result in lanes
        ],
        "layers": window.layers,
        "phases": PHASES,
        "texts": texts.SEEING,
    }


def _steps(
    spec: RaceSpec, lane: LaneSpec, info: dict[str, Any], known: dict[str, Any], window: LaneWindow
) -> dict[str, Any]:
    """What a step of the lane does and should cost, with the newest mask; ``known`` is what Started told of the lane, which
    is all there is for races of the time before stages were kept."""
    steps = lane_steps.lane_steps(spec, lane, info, window.densities)
    plan = steps.plan if steps else None
    if plan is None and known.get("predicted_ratio") is not None:
        plan = Plan(known["plan"], known["predicted_ratio"], known["exact"])
    return {
        "settings": lane_steps.settings(spec, lane, info, window, plan),
        "perturbs": METHODS[lane.method].perturbs,
        "masked": METHODS[lane.method].sparse or lane.region != "all",
        "counted": plan.predicted_ratio if plan else None,
        "strip": lane_steps.strip(spec, lane, steps) if steps else None,
    }


def _lane(lane: LaneWindow) -> dict[str, Any]:
    return {
        "name": lane.name,
        "state": lane.state,
        "points": lane.points,
        "steps": {name: _packed(lane.steps[name]) for name in CURVES},
        "epochs": lane.epochs,
        "masks": lane.masks,
        "phases": lane.phase_ms,
        "stepMs": lane.step_ms,
        "ratio": lane.ratio,
        "ratioIqr": lane.ratio_iqr,
        "lastStep": lane.last_step,
        "totalSteps": lane.total_steps,
        "seconds": lane.seconds,
    }


def _final(result: dict[str, Any]) -> dict[str, Any]:
    """The step times of the whole race, as its table has them, in place of those of the last steps."""
    return {"stepMs": result["step_ms_median"], "ratio": result["step_ratio_to_sgd"], "ratioIqr": None}


def _ends(spec: RaceSpec, info: dict[str, Any]) -> dict[str, float | None]:
    """Where the race will end on each x-axis, so that the axes need not grow; None where that is not known."""
    ends: dict[str, float | None] = {
        "epoch": spec.epochs if spec.clock == "epochs" else None,
        "gradients": None,
        "seconds": spec.seconds if spec.clock == "seconds" else None,
    }
    if info and spec.clock != "seconds":
        steps = [lane["total_steps"] for lane in info["lanes"]]
        ends["epoch"] = max(steps) / info["steps_per_epoch"]
        ends["gradients"] = max(count * lane.passes for count, lane in zip(steps, spec.lanes, strict=True))
    return ends


def _packed(values: Sequence[float | None]) -> str:
    """Base64 of little-endian float32, NaN where there is no value."""
    return base64.b64encode(np.array(values, dtype="<f4").tobytes()).decode()


def _status(run: Run, window: Window) -> dict[str, str]:
    """The state in a word, and what there is to say about the time."""
    word = texts.STATES[run.state]
    if run.state == "queued":
        if run.want == "pause":
            return {"word": word, "detail": "held back until you press Resume"}
        ahead = run.races_ahead or 0
        few = ("starts in a moment", "waiting for one race")
        return {"word": word, "detail": few[ahead] if ahead < len(few) else f"{ahead} races ahead"}
    if run.state not in ENDED and run.want == "stop":
        return {"word": "Stopping…", "detail": ""}
    if run.state in ("starting", "running") and run.want == "pause":
        word = "Pausing…"
    if run.state == "starting":
        return {"word": word, "detail": run.message}
    if run.state in ENDED:
        return {"word": word, "detail": f"{texts.duration(window.elapsed)} in all" if run.progress > 0 else ""}
    detail = f"{window.progress * 100:.0f} %"
    known = window.elapsed >= 3 and (window.progress >= 0.05 or window.elapsed >= 60)  # before, it would be a bad guess
    if window.eta_seconds is not None and known:
        detail += f" · about {texts.duration(window.eta_seconds)} left"
    return {"word": word, "detail": detail}


def _notes(run: Run, info: dict[str, Any]) -> list[str]:
    notes = []
    if info:
        threads = f", {info['threads']} thread{'s' * (info['threads'] != 1)}" if info["device"] == "cpu" else ""
        notes.append(f"{info['device_name']}{threads}, {info['precision']}, {info['parameters']:,} parameters")
    if run.shared:
        notes.append("Shared machine: another race ran at the same time, so step times are not to be trusted.")
    return notes + [str(warning) for warning in info.get("warnings", ())]


@lru_cache(maxsize=256)
def _picture(store: Store, run_id: str, lane: str, layer: str, step: int) -> Heatmap | None:
    """A mask that has been made does not change, so its file is read once."""
    return store.heatmap(run_id, lane, layer, step)


def _telling(window: Window) -> str:
    """The layer to open on: of those that any lane perturbs, the largest that is more than a vector."""
    perturbed = {name for lane in window.lanes for name, density in lane.densities.items() if density}
    size = [(layer["name"] in perturbed, len(layer["shape"]) > 1, np.prod(layer["shape"])) for layer in window.layers]
    return window.layers[size.index(max(size))]["name"]


def _heat(store: Store, run: Run, window: Window, view: dict[str, Any]) -> dict[str, Any] | None:
    """The pictures of one layer's masks, of every lane that has one, at the wanted epoch or the newest."""
    masked = [lane for lane in window.lanes if lane.masks]
    if not masked or not window.layers:
        return None
    names = [layer["name"] for layer in window.layers]
    layer = view["layer"] if view.get("layer") in names else _telling(window)
    epochs = sorted({mask["epoch"] for lane in masked for mask in lane.masks})
    wanted = view.get("epoch") if view.get("run") == run.id else None
    maps = {}
    for lane in masked:
        past = [mask for mask in lane.masks if wanted is None or mask["epoch"] <= wanted] or lane.masks[:1]
        if picture := _picture(store, run.id, lane.name, layer, past[-1]["step"]):
            rows, columns = picture.shape
            pixels = base64.b64encode(picture.pixels).decode()
            maps[lane.name] = {
                **past[-1],
                "rows": rows,
                "columns": columns,
                "pixels": pixels,
                "density": picture.density,
            }
    return {"layer": layer, "epochs": epochs, "epoch": wanted, "maps": maps}
