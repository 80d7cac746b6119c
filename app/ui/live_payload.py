"""The live panel's payload for a race."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any, cast

from app.ui import step_plan, texts, theme, wire
from app.ui.about_charts import SEEING_CURVE, seeing
from app.ui.live_types import Eigenvalues, Ends, Lane, Layer, MaskPicture, Phase, Race, Status
from ssam.experiment import LaneSpec, RaceSpec
from ssam.methods import METHODS
from ssam.planning.cost import Plan
from ssam.stats import proportion
from ssam.stats.heights import top
from ssam.store import Heatmap, LaneWindow, Run, Window
from ssam.store.outcome import machine_load
from ssam.store.views import CURVES, ENDED

EVALUATIONS = 150
EVALUATED = (
    *("epoch", "step", "gradients", "seconds", "train_loss", "test_loss", "test_accuracy", "test_size", "final"),
    *("eigenvalue", "eigenvalue_residual"),
)
DRAWN = ("loss", "ascent_gap", "radius", "grad_norm", "perturbed_norm")
HELD_OUT = ("validation_accuracy",)  # of races that hold images out
PHASES: list[Phase] = [
    {"name": name, "title": title, "color": theme.PHASE_COLORS[name]} for name, title in theme.PHASE_TITLES.items()
]


def race(run: Run, window: Window, waiting: str) -> Race:
    """Return everything except the pictures of the masks, ready for JSON. ``waiting`` is the text for a queued race."""
    info = run.started_info or {}
    styles, titles = theme.lane_styles(run.spec), theme.lane_titles(run.spec)
    facts = info.get("lanes") or [{}] * len(window.lanes)
    lanes = zip(window.lanes, run.spec.lanes, styles, titles, facts, strict=True)
    return {
        "run": run.id,
        "state": run.state,
        "status": _status(run, window, waiting),
        "failed": texts.labelled(run.message) if run.state in ("failed", "interrupted") else "",
        "progress": window.progress,
        "notes": _notes(run, info),
        "testSize": info.get("test_size"),
        "epochs": run.spec.epochs if run.spec.clock == "epochs" else None,
        "ends": _ends(run.spec, info),
        "stepsPerEpoch": info.get("steps_per_epoch"),
        "eigenvalues": eigenvalues(run.spec, window),
        "heights": _heights(window),
        "validation": _validation(run.spec, info),
        "lanes": [
            cast(
                Lane,
                wire.lane_style(title, style)
                | _steps(run.spec, spec_lane, info, known, lane)
                | _lane(lane, (*EVALUATED, *(HELD_OUT if run.spec.validation else ()))),
            )
            for lane, spec_lane, style, title, known in lanes
        ],
        "layers": cast(list[Layer], window.layers),
        "phases": PHASES,
        "texts": seeing(run.spec, run.state == "finished"),
        "curveTexts": SEEING_CURVE,
    }


def _steps(
    spec: RaceSpec, lane: LaneSpec, info: dict[str, Any], known: dict[str, Any], window: LaneWindow
) -> dict[str, Any]:
    """Return what a step of the lane does and should cost with the latest mask. ``known`` is the lane in the event Started:
    older races have nothing else."""
    steps = step_plan.lane_steps(spec, lane, info, window.densities)
    plan = steps.plan if steps else None
    if plan is None and known.get("predicted_ratio") is not None:
        plan = Plan(known["plan"], known["predicted_ratio"], known["exact"])
    return {
        "settings": step_plan.settings(spec, lane, info, window, plan),
        "perturbs": METHODS[lane.method].perturbs,
        "rho": spec.lane_rho(lane),
        "radius": window.mean_radius,
        "masked": METHODS[lane.method].sparse or lane.region != "all",
        "counted": plan.predicted_ratio if plan else None,
        "strip": step_plan.strip(spec, lane, steps) if steps else None,
    }


def _lane(lane: LaneWindow, evaluated: Sequence[str]) -> dict[str, Any]:
    return {
        "name": lane.name,
        "state": lane.state,
        "points": lane.points,
        "steps": {name: wire.floats(lane.steps[name]) for name in CURVES},
        "epochs": {name: wire.floats(column) for name, column in evaluations(lane.epochs, evaluated).items()},
        "phases": lane.phase_ms,
        "stepMs": lane.step_ms,
        "ratio": lane.ratio,
        "ratioIqr": lane.ratio_iqr,
        "lastStep": lane.last_step,
        "totalSteps": lane.total_steps,
        "seconds": lane.seconds,
    }


def evaluations(rows: list[dict[str, Any]], names: Sequence[str] = EVALUATED) -> dict[str, list[float | None]]:
    """Return the lane's evaluations by column: all, or every 2nd, 4th … to stay near EVALUATIONS, and always the latest two,
    one of which may be the final one."""
    every = 1
    while len(rows) > EVALUATIONS * every:
        every *= 2
    kept = [row for at, row in enumerate(rows) if at % every == 0 or at >= len(rows) - 2]
    ends = [_interval(row) for row in kept]
    found = {name: [row[name] for row in kept] for name in names}
    return found | {"low": [low for low, _ in ends], "high": [high for _, high in ends]}


def _interval(row: dict[str, Any]) -> tuple[float | None, float | None]:
    share = row["test_accuracy"]
    return (None, None) if share is None else proportion.wilson(share, row["test_size"])


def _heights(window: Window) -> dict[str, float]:
    """Return where to cut off charts that a diverged lane would flatten."""
    lost = [lane.state == "diverged" for lane in window.lanes]
    curves = {name: [lane.steps[name] for lane in window.lanes] for name in DRAWN}
    curves["eigenvalue"] = [[row["eigenvalue"] for row in lane.epochs] for lane in window.lanes]
    tops = {name: top(zip(values, lost, strict=True)) for name, values in curves.items()}
    return {name: height for name, height in tops.items() if height is not None}


def eigenvalues(spec: RaceSpec, window: Window) -> Eigenvalues | None:
    """Return the cost of λ₁: milliseconds per estimate and share of the race's time; None if the race does not measure it."""
    if spec.eigenvalue_interval is None:
        return None
    took = [ms for lane in window.lanes for row in lane.epochs if (ms := row["eigenvalue_ms"]) is not None]
    if not took or not window.elapsed:
        return {"ms": None, "share": None}
    return {"ms": statistics.fmean(took), "share": sum(took) / 1000 / window.elapsed}


def _validation(spec: RaceSpec, info: dict[str, Any]) -> str:
    """Return what validation accuracy is measured on; empty if the race holds no images out."""
    if not spec.validation:
        return ""
    held = f"the {info['validation_size']:,} held-out training images" if info else "the held-out training images"
    noise = (
        f" {100 * spec.label_noise:g}% of their labels are wrong, as in the training data." if spec.label_noise else ""
    )
    return f"Evaluated after every epoch on {held}.{noise}"


def _ends(spec: RaceSpec, info: dict[str, Any]) -> Ends:
    """Return where the race will end on each x-axis, so that the axes need not grow; None if unknown."""
    ends: Ends = {
        "epoch": spec.epochs if spec.clock == "epochs" else None,
        "gradients": None,
        "seconds": spec.seconds if spec.clock == "seconds" else None,
    }
    if info and spec.clock != "seconds":
        steps = [lane["total_steps"] for lane in info["lanes"]]
        ends["epoch"] = max(steps) / info["steps_per_epoch"]
        ends["gradients"] = max(count * lane.passes for count, lane in zip(steps, spec.lanes, strict=True))
    return ends


def _status(run: Run, window: Window, waiting: str) -> Status:
    """Return the state in a word, and the time elapsed or left."""
    word = texts.STATES[run.state]
    if run.state == "queued":
        return {"word": word, "detail": waiting}
    if run.state not in ENDED and run.want == "stop":
        return {"word": "Stopping…", "detail": ""}
    if run.state in ("starting", "running") and run.want == "pause":
        word = "Pausing…"
    if run.state == "starting":
        return {"word": word, "detail": run.message}
    if run.state in ENDED:
        why = [run.message] if run.state == "stopped" and run.message else []
        return {
            "word": word,
            "detail": " · ".join([f"took {texts.duration(window.elapsed)}"] * (run.progress > 0) + why),
        }
    detail = f"{window.progress * 100:.0f}%"
    known = window.elapsed >= 3 and (window.progress >= 0.05 or window.elapsed >= 60)  # earlier it would be a bad guess
    if window.eta_seconds is not None and known:
        detail += f" · about {texts.duration(window.eta_seconds)} left"
    return {"word": word, "detail": detail}


def _notes(run: Run, info: dict[str, Any]) -> list[str]:
    notes = []
    if info:
        threads = f", {info['threads']} thread{'s' * (info['threads'] != 1)}" if info["device"] == "cpu" else ""
        notes.append(f"{info['device_name']}{threads}, {info['precision']}, {info['parameters']:,} parameters")
    if run.shared:
        notes.append("Shared machine: another race ran at the same time, so step times are unreliable.")
    if run.exclusive:
        notes.append("No other race of this lab runs at the same time.")
    if load := machine_load(run):
        notes.append(f"{load[0].upper()}{load[1:]}.")
    if run.spec.data and info:
        notes.append(f"Trained on {info['train_size']:,} of its owner's images.")
    return notes + [f"{warning[0].upper()}{warning[1:]}." for warning in map(str, info.get("warnings", ())) if warning]


def mask_picture(mask: Mapping[str, Any], picture: Heatmap) -> MaskPicture:
    """Return a mask event with one layer's picture; its ``density`` is the layer's."""
    rows, columns = picture.shape
    return {
        "step": mask["step"],
        "epoch": mask["epoch"],
        "changed": mask["changed"],
        "overlap": mask["overlap"],
        "density": picture.density,
        "rows": rows,
        "columns": columns,
        "pixels": wire.pixels(picture.pixels),
    }
