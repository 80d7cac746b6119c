"""The flatness page's controls: which race, what is measured on it and how; session state ↔ AnalysisSpec ↔ address."""

from dataclasses import replace
from typing import Any

import streamlit as st

from app.flatness import text
from app.shell.address import Field, Table, choice
from app.ui import run_labels, run_picker
from app.ui.lab import Lab
from ssam.experiment.analysis import AnalysisSpec, parse_analysis
from ssam.store import Person, Run, Store

BETTER = "better"
KINDS = {
    kind: run_labels.ANALYSES[kind]
    for kind in ("surface", "profile", "curvature", "spectrum", "sharpness", "robustness", "disturbed_weights")
} | {BETTER: "Flatness vs accuracy"}
COMMON = ("images", "batchnorm", "seed", "epochs")
SETTINGS: dict[str, tuple[str, ...]] = {  # of each kind, in the order of the form
    "surface": ("plane", "points", "span", *COMMON),
    "profile": ("directions", "points", "span", *COMMON),
    "curvature": COMMON,
    "spectrum": COMMON,
    "sharpness": ("rho", *COMMON),
    "robustness": ("images", "seed", "epochs"),
    "disturbed_weights": ("images", "seed", "epochs"),
}
DEFAULTS: dict[str, dict[str, Any]] = {  # where a class should not have to wait for the finest picture
    "surface": {"points": 21, "images": 256},
    "profile": {"points": 21, "images": 500},
    "curvature": {"images": 128},
    "spectrum": {"images": 128},
    "sharpness": {},
    "robustness": {"images": 2000},
    "disturbed_weights": {"images": 2000},
}
MANY = ("curvature", "sharpness", "robustness", "disturbed_weights")  # kinds that may look at several epochs
PLANES = {"random": "two random directions", "lanes": "one plane, all lanes"}
BATCHNORMS = {"evaluation": "stored statistics", "batch": "of each chunk"}
LABELS = {
    "plane": "Plane",
    "points": "Points per side",
    "span": "Span",
    "directions": "Directions",
    "rho": "Rho",
    "images": "Images",
    "batchnorm": "BatchNorm",
    "seed": "Seed",
    "epochs": "Epochs",
}
HELP = {
    "plane": (
        "Two random filter-normalised directions at each lane's weights; or one plane through the weights of all "
        "lanes, which shows where they ended and how they got there."
    ),
    "points": "Must be odd, so that the weights themselves are one of them. The cost of a surface grows with its square.",
    "span": "Distance from the centre to the edge, in units of the direction: at 1, the edge is as far away as the filters are long.",
    "directions": "Random directions that each lane's profile is averaged over.",
    "rho": "L2 radius within which sharpness is measured.",
    "images": "The same for all lanes: training images chosen by the seed; for *Disturbed images* and *Disturbed weights*, test images.",
    "batchnorm": "Whether BatchNorm uses the statistics stored with the weights, or those of each chunk of images.",
    "seed": "Sets the images and the random directions; for *Disturbed images* and *Disturbed weights*, how these are disturbed.",
    "epochs": "Saved weights to analyse. Empty: those of the latest checkpoint.",
}
STEPS = {"points": 2, "span": 0.25, "directions": 1, "rho": 0.05, "images": 100, "seed": 1}


def default(kind: str) -> AnalysisSpec:
    """What is measured where the reader has set nothing."""
    return parse_analysis({"kind": kind, **DEFAULTS[kind]})


def fill(analysis: AnalysisSpec) -> None:
    """Sets the controls of its kind."""
    for name in SETTINGS[analysis.kind]:
        st.session_state[_key(analysis.kind, name)] = getattr(analysis, name)
    several = list(analysis.epochs)
    st.session_state[_key(analysis.kind, "epochs")] = several if analysis.kind in MANY else next(iter(several), None)


def read(kind: str) -> AnalysisSpec:
    """What the controls of this kind show; raises ValueError with one line where it is nothing that can be measured."""
    values = {name: st.session_state[_key(kind, name)] for name in SETTINGS[kind]}
    if kind not in MANY:
        values["epochs"] = [] if values["epochs"] is None else [values["epochs"]]
    values["epochs"] = sorted(values["epochs"])
    empty = {name: "" for name, value in values.items() if value is None}
    try:
        return parse_analysis({"kind": kind, **values, **empty})
    except ValueError as error:
        name, _, rest = str(error).partition(" ")
        raise ValueError(f"{LABELS.get(name, name)} {rest}".replace(" '' must be ", " is empty: ")) from None


def _key(kind: str, name: str) -> str:
    return f"flat_{kind}_{name}"


# The address

TABLE = Table("flatness", "flat", (Field("run", always=True), choice("kind", KINDS, next(iter(KINDS)), always=True)))


def table(kind: str) -> Table:
    """The words of an address with the settings of a kind."""
    return replace(TABLE, fields=(*TABLE.fields, *(_setting(kind, name) for name in SETTINGS.get(kind, ()))))


def _setting(kind: str, name: str) -> Field:
    def parse(said: str) -> Any:
        value = [epoch for epoch in said.split(",") if epoch] if name == "epochs" else said
        return getattr(parse_analysis({"kind": kind, name: value}), name)

    def to_text(value: Any) -> str:
        return ",".join(map(str, value)) if name == "epochs" else f"{value}"

    return Field(name, parse, to_text, getattr(default(kind), name))


def go(store: Store) -> None:
    """Set the controls to the address: the race, the kind, and the settings of this kind."""
    state = st.session_state
    for kind in SETTINGS:
        if _key(kind, "seed") not in state:
            fill(default(kind))
    state.setdefault("flat_kind", next(iter(KINDS)))
    state.setdefault("flat_run", None)
    problems: list[str] = []
    if (asked := TABLE.asked()) is not None:
        kind = asked["kind"] if asked.get("kind") in KINDS else state["flat_kind"]
        values, problems = table(kind).parse(asked)
        values.pop("kind", None)
        if run_id := values.pop("run", None):
            state["flat_run"] = run_id if run_picker.race_of(store, run_id) else None
            problems += [] if state["flat_run"] else [f"There is no race {run_id[:40]!r} here"]
        state["flat_kind"] = kind
        if kind != BETTER:
            fill(default(kind).model_copy(update=values))
    TABLE.complain(problems)


def of(run_id: str | None, kind: str, analysis: AnalysisSpec | None) -> dict[str, str]:
    """Return the address of what is shown."""
    settings = analysis.model_dump() if analysis else {}
    return table(kind).words({**settings, "run": run_id, "kind": kind})


# The form


def races(lab: Lab, person: Person) -> list[Run]:
    """The own races that have weights to look at, and the one that the address names."""
    return run_picker.own(lab, person, run_picker.has_weights(lab.store), st.session_state["flat_run"])


def choose_race(found: list[Run]) -> Run:
    known = {run.id: run for run in found}
    if st.session_state["flat_run"] not in known:
        st.session_state["flat_run"] = found[0].id
    chosen = st.selectbox(
        "Race",
        list(known),
        key="flat_run",
        format_func=run_labels.labels(found).__getitem__,
        width=640,
        persist_state="session",
    )
    return known[chosen]


def form(kind: str, epochs: list[int], before: list[Run]) -> None:
    """The settings of a kind, in a popover; ``epochs`` are those whose weights are kept, ``before`` what was measured already."""
    with st.popover("Settings", icon=":material/tune:", key="flat_settings"), st.container(width=300):
        for name in SETTINGS[kind]:
            if name == "epochs":
                _epochs(kind, epochs)
            elif name in STEPS:
                _number(kind, name)
            else:
                choices = PLANES if name == "plane" else BATCHNORMS
                st.selectbox(
                    LABELS[name],
                    list(choices),
                    key=_key(kind, name),
                    format_func=choices.__getitem__,
                    help=HELP[name],
                    persist_state="session",
                )
        st.button("Default settings", key="flat_usual", type="tertiary", on_click=fill, args=(default(kind),))
        for run in before:
            if run.analysis:
                st.button(
                    f"Measured: {describe(run.analysis)}",
                    key=f"flat_before_{run.id}",
                    type="tertiary",
                    on_click=fill,
                    args=(run.analysis,),
                )


def _number(kind: str, name: str) -> None:
    step = STEPS[name]
    st.number_input(
        LABELS[name],
        value=None,
        step=step,
        format="%g" if isinstance(step, float) else None,
        key=_key(kind, name),
        help=HELP[name],
        persist_state="session",
    )


def _epochs(kind: str, epochs: list[int]) -> None:
    key = _key(kind, "epochs")
    asked = st.session_state[key]
    if kind in MANY:
        options = sorted({*epochs, *asked})
        st.multiselect(
            LABELS["epochs"],
            options,
            key=key,
            placeholder="the latest weights",
            help=HELP["epochs"],
            persist_state="session",
        )
    else:
        options = sorted({*epochs, *([] if asked is None else [asked])})
        st.selectbox(
            "Epoch",
            options,
            index=None,
            key=key,
            placeholder="the latest weights",
            help=HELP["epochs"],
            persist_state="session",
        )
    if not epochs:
        st.caption(text.NO_SNAPSHOTS)


def describe(analysis: AnalysisSpec) -> str:
    """The settings in one line.

    >>> describe(parse_analysis({"kind": "surface", "points": 21, "images": 256}))
    'two random directions, 21 points per side, span 1, 256 images, BatchNorm: stored statistics, seed 0, latest weights'
    """
    words = {
        "plane": lambda value: PLANES[value],
        "points": lambda value: f"{value} points" + (" per side" if analysis.kind == "surface" else ""),
        "span": lambda value: f"span {value:g}",
        "directions": lambda value: f"{value} directions",
        "rho": lambda value: f"ρ {value:g}",
        "images": lambda value: f"{value:,} images",
        "batchnorm": lambda value: f"BatchNorm: {BATCHNORMS[value]}",
        "seed": lambda value: f"seed {value}",
        "epochs": lambda value: (
            f"epoch{'s' * (len(value) > 1)} {', '.join(map(str, value))}" if value else "latest weights"
        ),
    }
    return ", ".join(words[name](getattr(analysis, name)) for name in SETTINGS[analysis.kind])
