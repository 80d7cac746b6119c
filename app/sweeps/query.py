"""The form of a sweep: controls ↔ SweepSpec ↔ address. Keys of the session state begin with ``sweep_``."""

import math

import streamlit as st

from app.shell import data_settings, share_link, url_state
from app.shell.address import Field, Table, choice, number
from app.ui import long_work, texts
from ssam.experiment import LaneSpec, RaceSpec
from ssam.experiment.choosing import new_sweep
from ssam.experiment.lane import SETTINGS, TRAINING
from ssam.experiment.sweep import LANE_FIELD, SweepSpec, Value, Vary
from ssam.experiment.sweep import read as read_field
from ssam.methods import METHODS

GRID, TPE = "grid", "tpe"
METHOD_TITLES = {GRID: "Grid: every combination", TPE: "Bayesian search (TPE)"}
PRUNINGS = {"none": "none", "median": "median", "hyperband": "hyperband"}
COSTS = {"": "accuracy", "gradients": "accuracy and gradient evaluations", "seconds": "accuracy and seconds"}
FIGURES = {
    "map": "Heatmap",
    "parallel": "Parallel coordinates",
    "slice": "Slices",
    "importance": "Importance",
    "timeline": "Timeline",
    "front": "Trade-off",
}
NUMBERS = {"seeds": 1, "races": 24, "minutes": None, "gradients": None}  # with what a form begins with

# What is offered to vary, with something to begin with: on a grid, and for a search.
OFFERED = {
    "rho": ("0.05, 0.1, 0.2, 0.4, 0.8", "0.02..1:log"),
    "sparsity": ("0.5, 0.8, 0.9, 0.95", "0.5..0.98"),
    "norm": ("full, masked", "full, masked"),
    "region": ("all, early, late", "all, early, late"),
    "granularity": ("weight, tensor, block", "weight, tensor, block"),
    "score": ("fisher, magnitude, random", "fisher, magnitude, random"),
    "direction": ("gradient, momentum, last", "gradient, momentum, last"),
    "ascent_batch": ("16, 32, 64", "8..128:log"),
    "ascent_interval": ("1, 2, 4", "1..8:log"),
    "lr": ("0.02, 0.05, 0.1, 0.2", "0.01..0.5:log"),
    "batch_size": ("64, 128, 256", "32..512:log"),
    "momentum": ("0, 0.9, 0.95", "0.5..0.98"),
    "weight_decay": ("0, 0.0005, 0.005", "0.00001..0.01:log"),
    "epochs": ("5, 10, 15", "3..20"),
    "mask_interval": ("1, 2, 5", "1..10"),
    "fisher_samples": ("64, 128, 512", "32..1024:log"),
    "augment": ("none, flip, crop-flip", "none, flip, crop-flip"),
}


def race() -> RaceSpec:
    """The race that the reader has on the race page, or comes with by an address."""
    if (kept := st.session_state.get("sweep_base")) is not None:
        known: RaceSpec = kept
        return known
    return share_link.read_settings({})


def fields(lane: LaneSpec) -> list[str]:
    """What can be varied in races of that one lane."""
    own = METHODS[lane.method].settings
    of_race = {
        name for name in OFFERED if name not in SETTINGS or name in TRAINING
    }  # one lane takes these from its race
    return [name if name in of_race else f"lane1.{name}" for name in OFFERED if name in of_race | own]


def title(field: str) -> str:
    """
    >>> title("lane2.rho"), title("lr")
    ('Rho of lane 2', 'Learning rate')
    """
    match = LANE_FIELD.fullmatch(field)
    setting = match[2] if match else field
    of = f" of lane {match[1]}" if match and match[1] != "1" else ""
    return texts.LABELS.get(setting, setting.capitalize()) + of


def said(field: str, value: Value) -> str:
    """A setting's value as the page shows it.

    >>> said("lane1.sparsity", 0.8), said("rho", 0.05), said("train_size", None)
    ('80%', '0.05', 'none')
    """
    if value is None:
        return "none"
    if isinstance(value, str):
        return value
    return f"{100 * value:.3g}%" if field.endswith(("sparsity", "label_noise")) else f"{value:.3g}"


def measure(spec: SweepSpec) -> str:
    """What the settings are ranked by.

    >>> measure(new_sweep({"base": RaceSpec(lanes="ssam-f"), "vary": ["rho=0.1,0.2"]}))
    'validation accuracy'
    """
    return f"{spec.chooses_by} accuracy"


def lane_of(base: RaceSpec) -> int:
    """The lane that is offered first: Sparse SAM, a ranked mask before a moving one, else any that perturbs."""
    methods = [METHODS[lane.method] for lane in base.lanes]
    return max(
        range(len(methods)),
        key=lambda place: (methods[place].perturbs, methods[place].sparse, bool(methods[place].score)),
    )


def first_fields(lane: LaneSpec) -> list[str]:
    offered = fields(lane)
    return [name for name in ("lane1.rho", "lane1.sparsity") if name in offered] or ["lr"]


def begun(field: str, method: str, now: Value) -> str:
    """What a setting's box begins with: on a grid also the value that the lane has ``now``, for the others to be compared with.

    >>> begun("lane1.rho", "grid", 0.25), begun("lane1.rho", "tpe", 0.25), begun("lane1.region", "grid", "from-3")
    ('0.05, 0.1, 0.2, 0.25, 0.4, 0.8', '0.02..1:log', 'from-3, all, early, late')
    """
    words = OFFERED.get(field.rpartition(".")[2], ("", ""))[method == TPE]
    values = words.split(", ")
    if method == TPE or not words or now is None or str(now) in values:
        return words
    if isinstance(now, str):
        return ", ".join([str(now), *values])
    return ", ".join(sorted({f"{now:g}", *values}, key=float))


def lane_said(base: RaceSpec, place: int) -> str:
    """A lane of a race and what it is raced with.

    >>> lane_said(RaceSpec(lanes="sgd,ssam-f:sparsity=0.8:region=early"), 1)
    'SSAM-F, rho 0.1, sparsity 80%, region early'
    """
    lane = base.lanes[place]
    method, own = METHODS[lane.method], lane.model_dump(exclude_defaults=True, exclude={"method", "rho", "sparsity"})
    names = ["rho"] * method.perturbs + ["sparsity"] * method.sparse
    values = {name: read_field(base, f"lane{place + 1}.{name}") for name in names} | own
    return ", ".join([method.title, *(f"{title(name).lower()} {said(name, value)}" for name, value in values.items())])


# The controls


def first(field: str) -> str:
    """What the box of a setting begins with, for the lane that is chosen."""
    base = race()
    lane = base.lanes[st.session_state["sweep_lane"]]
    now = None  # of a field that the lane does not have; an address may name one
    if field in fields(lane):
        now = read_field(base.model_copy(update={"lanes": (lane,)}), field)
    return begun(field, st.session_state["sweep_method"], now)


def _vary(said: str) -> tuple[Vary, ...]:
    return tuple(Vary.parse(part) for part in said.split(";")[:7])


def _number(name: str) -> Field:
    """A number of the form; ``none`` where it is empty."""

    def parse(said: str) -> float | None:
        if said == "none":
            return None
        if not (said.replace(".", "", 1).isdecimal() and len(said) < 16):
            raise ValueError(f"{name} {said[:40]!r} must be a number")
        return float(said) if name == "minutes" else int(float(said))

    return Field(name, parse, lambda value: "none" if value is None else f"{value}", NUMBERS[name])


TABLE = Table(  # beside the words of the race
    "sweeps",
    "sweep",
    (
        Field("sweep", always=True),
        choice("figure", FIGURES, "map"),
        number("lane", 0, 999),
        Field("vary", _vary, lambda vary: ";".join(map(str, vary))),
        choice("method", METHOD_TITLES, TPE),
        choice("pruning", PRUNINGS, "none"),
        choice("cost", COSTS, ""),
        *map(_number, NUMBERS),
    ),
    shared=True,
)


def go() -> None:
    """Set the controls to the address: the race of it, else of the race page, and the form."""
    asked, state = TABLE.asked(), st.session_state
    own = {field.name for field in TABLE.fields}
    left = {name: value for name, value in share_link.split(url_state.left())[1].items() if name != "run"}
    settings = {name: value for name, value in (asked or {}).items() if name not in own} or left
    problems = []
    try:
        state["sweep_base"] = share_link.read_settings(settings)
        told = data_settings.ended(settings)
    except ValueError as error:
        problems, told = [str(error)], ""
        state["sweep_base"] = share_link.read_settings({})
    state.setdefault("sweep_fields", None)
    form = None if asked is None else {name: value for name, value in asked.items() if name in own}
    problems += TABLE.load(form)
    if form is not None:
        long_work.show("sweep", state["sweep_sweep"])
        varied = state["sweep_vary"] or ()
        state["sweep_fields"] = [vary.field for vary in varied] or None
        for vary in varied:
            state[f"sweep_vary_{vary.field}_{state['sweep_method']}"] = str(vary).partition("=")[2]
    if state["sweep_lane"] not in range(len(race().lanes)):
        state["sweep_lane"] = lane_of(race())
    TABLE.complain(problems)
    if told and not problems:
        state["sweep_notice"] = told


def write(spec: SweepSpec | None) -> None:
    """Put the form, what it is about and what is shown into the address."""
    state = TABLE.state()
    if spec is None:
        TABLE.put(TABLE.words({name: state[name] for name in ("sweep", "figure")}))
    else:
        TABLE.put(url_state.of(race()) | TABLE.words(state | {"vary": spec.vary}))


def read() -> SweepSpec:
    """What the controls show. Raises ValueError with one line where that is no sweep."""
    base, state = race(), st.session_state
    lane = base.lanes[state["sweep_lane"]]
    method = state["sweep_method"]
    chosen = state["sweep_fields"] if state["sweep_fields"] is not None else first_fields(lane)
    if not chosen:
        raise ValueError("Choose at least one setting to vary.")
    alone = base.model_copy(update={"lanes": (lane,)})
    vary = [f"{field}={state.get(f'sweep_vary_{field}_{method}') or first(field)}" for field in chosen]
    numbers = {name: state[f"sweep_{name}"] for name in NUMBERS if state[f"sweep_{name}"] is not None}
    values: dict[str, object] = {"base": alone, "vary": vary, "method": method}
    values |= {"pruning": state["sweep_pruning"], "cost": state["sweep_cost"] or None, **numbers}
    try:
        return new_sweep(values)
    except ValueError as error:
        raise ValueError(texts.labelled(str(error))) from None


def describe(spec: SweepSpec) -> str:
    """What a sweep varies, in one line.

    >>> describe(new_sweep({"base": RaceSpec(lanes="ssam-f"), "vary": ["rho=0.1,0.2"]}))
    'SSAM-F: rho · grid of 2'
    """
    names = ", ".join(title(vary.field).lower() for vary in spec.vary)
    how = f"grid of {math.prod(len(vary.grid) for vary in spec.vary)}" if spec.method == GRID else "search"
    seeds = f", {spec.seeds} seeds each" if spec.seeds > 1 else ""
    return f"{METHODS[spec.scored_lane.method].title}: {names} · {how}{seeds}"
