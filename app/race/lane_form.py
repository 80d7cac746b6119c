"""The controls of the lanes: session state ↔ LaneSpec. Every method has one set of them, with keys ``SETTING_METHOD``.

A region ``from-3`` has two controls, ``region`` ("from") and ``stage`` (3), and so has a granularity ``n-of-4``:
``granularity`` ("n") and ``group`` (4). Hidden controls do not count.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st
from pydantic import ValidationError
from streamlit.delta_generator import DeltaGenerator

from app.ui import texts
from ssam.experiment import LaneSpec
from ssam.experiment.base import explain
from ssam.experiment.lane import SETTINGS, TRAINING
from ssam.methods import METHODS, Method
from ssam.methods.bases import BASES
from ssam.methods.directions import DIRECTIONS

PAIRED, NARROW = 105, 76  # pixels: two or three fields side by side in the sidebar
STAGE, GROUP = 1, 4  # defaults of empty fields
KEPT = (*SETTINGS, "stage", "group")  # the controls of a method, by the first half of their keys


def fill(lanes: Sequence[LaneSpec]) -> None:
    """Set every control to the lanes. A second lane of a method stays text among the chosen ones."""
    for method in METHODS:
        _set(LaneSpec(method=method))
    own = {lane.method: lane for lane in reversed(lanes)}  # the lane that gets its method's controls
    own |= {lane.method: lane for lane in lanes if str(lane) == lane.method}
    for lane in own.values():
        _set(lane)
    st.session_state["lanes"] = [lane.method if lane is own.get(lane.method) else str(lane) for lane in lanes]


def read(option: str) -> LaneSpec:
    """Return the chosen lane: a method with its controls, or text. Raise ValueError with one line."""
    if option not in METHODS:
        return LaneSpec.parse(option.lower())
    method = METHODS[option]
    values = {name: _state(name, method) for name in settings(method)}
    if values.get("region") == "from":
        values["region"] = f"from-{_state('stage', method, STAGE)}"
    if values.get("granularity") == "n":
        values["granularity"] = f"n-of-{_state('group', method, GROUP)}"
    if _is_free(method):
        values.pop("ascent_batch", None)
    own = {name: value for name, value in values.items() if value is not None}
    try:
        return LaneSpec.model_validate({"method": option, **own})
    except ValidationError as error:  # with the label of its field
        raise ValueError(texts.labelled(f"{method.title} {explain(error, LaneSpec)}")) from None


def settings(method: Method) -> tuple[str, ...]:
    """Return the lane settings that a method can have."""
    return tuple(name for name in SETTINGS if name in method.settings or name in TRAINING)


def form(options: Sequence[str], seen: bool) -> None:
    """Draw the controls of the methods among the chosen lanes; those of where and how only if ``seen``, since they are many and
    would delay the first page."""
    chosen = dict.fromkeys(options)  # each once: a typed one may repeat a picked one
    own = [METHODS[option] for option in chosen if option in METHODS and METHODS[option].perturbs]
    if not own:
        st.caption("None of these methods uses rho.")
    for method in own:
        with st.container(horizontal=True, gap="small"):
            for name in ("rho", "sparsity") if method.sparse else ("rho",):
                scale = method.rho_scale if name == "rho" else 1.0
                races = f"{scale * (st.session_state[name] or 0):g}"
                _number(name, method, 0.05, races, label=f"{method.title} {name}")
        if seen:
            _where_and_how(method)
    if seen and (trained := [METHODS[option] for option in chosen if option in METHODS]):
        _training(trained)


def _where_and_how(method: Method) -> None:
    """Draw the settings of what the lane perturbs, along what and how often; the label sums them up."""
    problem, icon = "", None
    try:
        words = ", ".join(texts.lane_words(read(method.name))) or "perturbs all layers"
    except ValueError as error:
        problem, words, icon = str(error), "invalid combination", ":material/error:"
    with st.expander(f"{method.title}: {words}", key=f"where_{method.name}", icon=icon, type="compact"):
        _fields(method)
        if problem:
            st.caption(texts.plain(problem))


def _fields(method: Method) -> None:
    has = settings(method)
    with _pair():
        _select("region", method, texts.REGIONS)
        if _state("region", method) == "from":
            _number("stage", method, 1, str(STAGE), NARROW)
    if "granularity" in has:
        with _pair():
            _select("granularity", method, texts.GRANULARITIES)
            if _state("granularity", method) == "n":
                _number("group", method, 1, str(GROUP), NARROW)
    if "score" in has:
        _select("score", method, _scores(method), method.score)
    _select("norm", method, texts.NORMS, f"as for the race: {st.session_state['norm']}")
    if "direction" in has:
        _select("direction", method, {name: direction.title for name, direction in DIRECTIONS.items()})
        if hint := DIRECTIONS[_state("direction", method, "gradient")].hint:
            st.caption(hint)
    with _pair():
        if "ascent_batch" in has and not _is_free(method):
            _number("ascent_batch", method, 16, "all")
        _number("ascent_interval", method, 1, f"{method.interval}")


def _training(methods: Sequence[Method]) -> None:
    """What one lane at a time trains by other than the race; closed, it names the lanes that do."""
    own = [method.title for method in methods if any(_is_set(name, method) for name in TRAINING)]
    label = f"Own training settings ({', '.join(own)})" if own else "Own training settings"
    with st.expander(label, key="training", type="compact"):
        names = {method.name: method for method in methods}
        if st.session_state.get("trained_lane") not in names:
            st.session_state["trained_lane"] = methods[0].name
        chosen = st.selectbox("Lane", list(names), key="trained_lane", format_func=lambda name: names[name].title)
        method, race = names[chosen], st.session_state
        rate = BASES[_state("base", method, race["base"])].rate / BASES[race["base"]].rate
        with st.container(horizontal=True, gap="small"):
            _number("epochs", method, 1, f"{race['epochs']}")
            _number("lr", method, 0.01, f"{(race['lr'] or 0) * rate:g}")
            _number("weight_decay", method, 0.001, f"{(race['weight_decay'] or 0) / rate:g}")
            _number("label_smoothing", method, 0.05, "0")
            _number("ema", method, 0.01, "none")
            _number("patience", method, 1, "never")
        _select("base", method, texts.BASE_OPTIMIZERS, f"the race's: {BASES[race['base']].title}")


def _is_set(name: str, method: Method) -> bool:
    return _state(name, method, LaneSpec.model_fields[name].default) != LaneSpec.model_fields[name].default


def _is_free(method: Method) -> bool:
    return DIRECTIONS[_state("direction", method, "gradient")].is_free


def _pair() -> DeltaGenerator:
    """Return a row for two fields."""
    return st.container(horizontal=True, wrap=False, gap="small")


def _scores(method: Method) -> dict[str, str]:
    """Return the available scores: Fisher per cost only with blocks, or if it is set already."""
    fits = _state("granularity", method) == "block" or _state("score", method) == "fisher-per-cost"
    return {score: title for score, title in texts.SCORES.items() if fits or score != "fisher-per-cost"}


def _set(lane: LaneSpec) -> None:
    region, _, stage = lane.region.partition("-")
    granularity, _, group = lane.granularity.partition("-of-")
    values = {name: getattr(lane, name) for name in SETTINGS}
    values |= {"region": region, "stage": int(stage) if stage else None}
    values |= {"granularity": granularity, "group": int(group) if group else None}
    for name, value in values.items():
        st.session_state[f"{name}_{lane.method}"] = value


def _state(name: str, method: Method, empty: object = None) -> Any:
    """Return the value of a control, or ``empty``."""
    value = st.session_state.get(f"{name}_{method.name}")
    return empty if value is None else value


def _number(name: str, method: Method, step: float, empty: str, width: int = PAIRED, label: str | None = None) -> None:
    st.number_input(
        label or texts.LABELS[name],
        value=None,
        step=step,
        format="%g" if isinstance(step, float) else None,
        placeholder=empty,
        key=f"{name}_{method.name}",
        width=width,
        help=texts.LANE_HELP.get(name),
        persist_state="page",
    )


def _select(name: str, method: Method, choices: Mapping[str, str], empty: str | None = None) -> None:
    """Draw a select box; ``empty`` is the meaning of an empty one."""
    st.selectbox(
        texts.LABELS[name],
        list(choices),
        index=0 if empty is None else None,
        placeholder=empty,
        key=f"{name}_{method.name}",
        format_func=lambda choice: choices[choice],
        help=texts.LANE_HELP[name],
        persist_state="page",
    )
