"""The toy surface's state: one table of its settings, which the address, the browser and the presets share."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import streamlit as st

from app.shell import url_state
from app.surface import view as surface_view
from app.surface.text import METHODS, PACES, PRESETS, SURFACES, VIEWS

PAGE = "surface"


@dataclass(frozen=True)
class Toy:
    """What is shown and how it runs. ``mask`` is the axis that SSAM perturbs, ``noisy`` who has the noise (``one``: SGD + noise),
    ``x`` and ``y`` the start, ``turn`` the perspective in degrees, ``follow`` the method whose steps are drawn."""

    surface: str = "valleys"
    methods: tuple[str, ...] = tuple(METHODS)
    rho: float = 0.4
    lr: float = 0.08
    momentum: float = 0.9
    noise: float = 0.3
    noisy: str = "one"
    mask: str = "x"
    seed: int = 0
    x: float = -1.95
    y: float = 1.2
    view: str = "contour"
    turn: int = 30
    pace: str = "30"
    follow: str = "ssam"


SETTINGS = tuple(field.name for field in fields(Toy))
NUMBERS = {  # lowest, highest
    "rho": (0.0, 1.0),
    "lr": (0.005, 0.3),
    "momentum": (0.0, 0.95),
    "noise": (0.0, 5.0),
    "seed": (0, 9999),
    "x": (-4.0, 4.0),
    "y": (-4.0, 4.0),
    "turn": (0, 359),
}
CHOICES = {
    "surface": tuple(SURFACES),
    "noisy": ("one", "all"),
    "mask": ("x", "y"),
    "view": tuple(VIEWS),
    "pace": tuple(PACES),
    "follow": tuple(METHODS),
}


def presets() -> dict[str, Toy]:
    return {name: replace(Toy(), **settings) for name, (_, _, settings) in PRESETS.items()}


def base_of(surface: str) -> Toy:
    """Where a surface begins: its first preset."""
    return next(toy for toy in presets().values() if toy.surface == surface)


def read(words: Mapping[str, str]) -> Toy:
    """The state that an address, or the browser, names. What it leaves out is the preset's, else that of the surface's first preset.

    Raises ValueError, one line that says what is allowed, for an unknown name or a bad value.
    """
    rest, known = dict(words), presets()
    if unknown := [name for name in rest if name not in (*SETTINGS, "preset")]:
        raise ValueError(f"{unknown[0][:40]!r} is no setting here; allowed: preset, {', '.join(SETTINGS)}")
    name = rest.pop("preset", None)
    if name is not None and name not in known:
        raise ValueError(f"preset {name[:40]!r} must be one of {', '.join(known)}")
    values = {setting: _value(setting, text) for setting, text in rest.items()}
    base = known[name] if name else base_of(values.get("surface", Toy().surface))
    return replace(base, **values)


def _value(name: str, text: str) -> Any:
    if name == "methods":
        wanted = text.split(",")
        if not set(wanted) <= set(METHODS):
            raise ValueError(f"methods {text[:40]!r} must be of {', '.join(METHODS)}, with commas between")
        return tuple(method for method in METHODS if method in wanted)
    if name in CHOICES:
        if text not in CHOICES[name]:
            raise ValueError(f"{name} {text[:40]!r} must be one of {', '.join(CHOICES[name])}")
        return text
    low, high = NUMBERS[name]
    whole = isinstance(low, int)
    try:
        value = int(text) if whole else float(text)
    except ValueError:
        value = math.nan
    if not low <= value <= high:
        raise ValueError(f"{name} {text[:40]!r} must be a {'whole ' * whole}number from {low:g} to {high:g}")
    return value


def words(toy: Toy) -> dict[str, str]:
    """The state as an address, never an empty one; ``read`` reads it back."""
    if named := next((name for name, preset in presets().items() if preset == toy), None):
        return {"preset": named}
    base, told = asdict(base_of(toy.surface)), asdict(toy)
    own = {name: value for name, value in told.items() if name == "surface" or value != base[name]}
    return {name: _text(value) for name, value in own.items()}


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(value)
    return f"{value:g}" if isinstance(value, float) else str(value)


# Session state ↔ address and browser


def go() -> str:
    """Sets the state to the address; one without any words leaves it as it was. Returns one line about what was not understood."""
    asked, problem = dict(st.query_params), ""
    st.session_state.setdefault("surface_toy", Toy())
    if asked:
        try:
            st.session_state["surface_toy"] = read(asked)
        except ValueError as error:
            problem = f"Address: {error}."
    st.session_state["surface_moves"] = st.session_state.get("surface_moves", 0) + 1
    st.session_state["surface_at"] = st.session_state["surface_toy"]
    return problem


def seen() -> None:
    """The reader has changed something in the browser."""
    try:
        st.session_state["surface_toy"] = read(surface_view.view())
    except ValueError as error:
        st.session_state["surface_notice"] = f"Not understood: {error}."


def show() -> None:
    """Draws the panel, from where the address last set it: from there on the browser knows better."""
    at = {"move": st.session_state["surface_moves"], **asdict(st.session_state["surface_at"])}
    known = {name: asdict(toy) for name, toy in presets().items()}
    surface_view.draw(at, known, NUMBERS, seen)


def write() -> None:
    url_state.put(words(st.session_state["surface_toy"]), PAGE)
