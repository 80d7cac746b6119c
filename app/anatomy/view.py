"""A step in the browser: all phases are sent at once and played there."""

from collections.abc import Callable
from typing import Any

import streamlit as st

from app.anatomy import text
from app.anatomy.data import Anatomy
from app.ui import component, live_payload, theme, wire

KEY = "anatomy_panel"
PICTURES = ("gradient", "mask", "epsilon", "second", "update")
LENGTHS = ("radius", "dense", "masked_norm", "gradient_norm", "update_norm", "uphill", "aside", "second_uphill")

_mount = component.register("anatomy/anatomy")


def told(anatomy: Anatomy, run_id: str, at: dict[str, Any]) -> dict[str, Any]:
    """Return everything that is played. ``at`` is where to open: ``lane``, ``layer``, ``phase``, and a number that grows with each
    move of the address, so that the browser can tell a new place from a repeated one."""
    return {
        "run": run_id,
        "at": at,
        "layers": anatomy.about["layers"],
        "parts": live_payload.PHASES,
        "lanes": [_lane(anatomy, place) for place in anatomy.steps],
        "table": text.table(anatomy),
        "notes": text.notes(anatomy),
        "source": anatomy.source,
    }


def _lane(anatomy: Anatomy, place: int) -> dict[str, Any]:
    style, step = theme.lane_styles(anatomy.spec)[place], anatomy.steps[place]
    return {
        "name": anatomy.spec.lane_names[place],
        **wire.lane_style(theme.lane_titles(anatomy.spec)[place], style),
        "phases": text.phases(anatomy, place),
        "ms": anatomy.phase_ms[place],
        "losses": {name: step.get(name) for name in ("loss", "loss_perturbed", "loss_after")},
        "lengths": {name: step.get(name) for name in LENGTHS},
        "pictures": {
            name: anatomy.pictures[key] for name in PICTURES if (key := f"{name}/{place}") in anatomy.pictures
        },
        "layers": [{name: value for name, value in row.items() if name != "what"} for row in anatomy.layers[place]],
    }


def draw(data: dict[str, Any], seen: Callable[[], None]) -> None:
    """Draw the step. ``seen`` is called when the reader has stopped at a lane, layer or phase; ``view`` then returns it."""
    _mount(KEY, data, on_view_change=seen)


def view() -> dict[str, Any]:
    """Return where the reader last stopped in the browser: ``run``, ``lane``, ``layer``, ``phase``."""
    return st.session_state.get(KEY, {}).get("view") or {}
