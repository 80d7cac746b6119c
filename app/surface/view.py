"""The toy surface in the browser, where all of it runs: the server only sends the initial state."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import streamlit as st

from app.surface.text import LABELS, METHODS, PACES, PHASES, PRESETS, SURFACES, VIEWS
from app.ui import component, theme, wire

KEY = "surface_panel"
STYLES = {  # SGD with noise: SGD's style in another shade, dashed, with an open marker
    name: theme.METHOD_STYLES.get(
        name, replace(theme.METHOD_STYLES["sgd"], color="#61636a", dash="dash", symbol="circle-open")
    )
    for name in METHODS
}

_mount = component.register("surface/surface")


def draw(
    at: Mapping[str, Any],
    presets: Mapping[str, Mapping[str, Any]],
    numbers: Mapping[str, tuple[float, float]],
    seen: Callable[[], None],
) -> None:
    """Draw the panel. ``at`` is the initial state with ``move``, which tells a new state from a repeated one; ``presets`` are states
    too. ``seen`` is called when the reader has changed something; ``view`` then returns the whole state."""
    data = {
        "at": at,
        "surfaces": [{"name": name, "title": title, "words": said} for name, (title, said) in SURFACES.items()],
        "methods": [{"name": name, **wire.lane_style(title, STYLES[name])} for name, title in METHODS.items()],
        "presets": [
            {"name": name, "title": title, "look": look, "state": presets[name]}
            for name, (title, look, _) in PRESETS.items()
        ],
        "numbers": {name: [label, said, *numbers[name]] for name, (label, said) in LABELS.items()},
        "seeds": numbers["seed"],
        "turns": numbers["turn"],
        "paces": PACES,
        "views": VIEWS,
        "phases": PHASES,
    }
    _mount(KEY, data, on_view_change=seen)


def view() -> dict[str, str]:
    """Return the state that the browser last sent, as in an address."""
    told = st.session_state.get(KEY, {}).get("view") or {}
    return {str(name): str(value) for name, value in told.items()}
