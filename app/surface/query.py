"""The toy surface's state: one table of settings, shared by the address, the browser and the presets."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace

import streamlit as st

from app.shell.address import Field, Table, choice, number
from app.surface import view as surface_view
from app.surface.text import METHODS, PACES, PRESETS, SURFACES, VIEWS


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


def _methods(said: str) -> tuple[str, ...]:
    wanted = said.split(",")
    if not set(wanted) <= set(METHODS):
        raise ValueError(f"methods {said[:40]!r} must be of {', '.join(METHODS)}, with commas between")
    return tuple(method for method in METHODS if method in wanted)


def _field(name: str) -> Field:
    if name == "methods":
        return Field(name, _methods, ",".join)
    return choice(name, CHOICES[name]) if name in CHOICES else number(name, *NUMBERS[name])


TABLE = Table("surface", "surface", (choice("preset", PRESETS), *(_field(field.name) for field in fields(Toy))))


def read(words: Mapping[str, str]) -> tuple[Toy, list[str]]:
    """Return the state that an address, or the browser, names, and a line about each word that is not understood.

    What it leaves out is the preset's, else that of the surface's first preset.
    """
    values, problems = TABLE.parse(words)
    named = values.pop("preset", None)
    base = presets()[named] if named else base_of(values.get("surface", Toy.surface))
    return replace(base, **values), problems


def words(toy: Toy) -> dict[str, str]:
    """Return the state as an address, never an empty one; ``read`` reads it back."""
    if named := next((name for name, preset in presets().items() if preset == toy), None):
        return {"preset": named}
    base, told = asdict(base_of(toy.surface)), asdict(toy)
    return TABLE.words({name: value for name, value in told.items() if name == "surface" or value != base[name]})


# Session state ↔ address and browser


def go() -> None:
    """Set the state to the address."""
    if (asked := TABLE.asked()) is not None:
        st.session_state["surface_toy"], problems = read(asked)
        TABLE.complain(problems)
    st.session_state["surface_moves"] = st.session_state.get("surface_moves", 0) + 1
    st.session_state["surface_at"] = st.session_state["surface_toy"]


def seen() -> None:
    """The reader has changed something in the browser."""
    st.session_state["surface_toy"], _ = read(surface_view.view())


def show() -> None:
    """Draws the panel, from where the address last set it: from there on the browser knows better."""
    at = {"move": st.session_state["surface_moves"], **asdict(st.session_state["surface_at"])}
    known = {name: asdict(toy) for name, toy in presets().items()}
    surface_view.draw(at, known, NUMBERS, seen)


def write() -> None:
    TABLE.put(words(st.session_state["surface_toy"]))
