"""Rho in the form: the value of each lane, which lanes have their own, and two buttons for those.

The lanes' own values belong to a rho of the race: that of their preset, else that of the form when they were set. "Scale all"
multiplies them by the factor by which the race's rho has changed since; "One rho for all" removes them.
"""

from collections.abc import Sequence

import streamlit as st
from pydantic import ValidationError

from app.race import lane_form
from app.ui import texts, theme
from ssam.experiment import LaneSpec, presets
from ssam.methods import METHODS

_OWN, _BASE = "_own_rhos", "_own_rhos_base"  # the lanes' own values, and the rho of the race that they belong to

Lanes = Sequence[LaneSpec]


def begin() -> None:
    """Forget the lanes' own values: the form has been refilled."""
    st.session_state.pop(_OWN, None)


def chips() -> None:
    """Draw the rho and the sparsity of every lane that perturbs."""
    found = [chip(lane, st.session_state["rho"], st.session_state["sparsity"]) for lane in _lanes()]
    if said := [f":{color}-badge[{texts.plain(text)}]" for text, color in filter(None, found)]:
        st.markdown(" ".join(said))


def chip(lane: LaneSpec, rho: float | None, sparsity: float | None) -> tuple[str, str] | None:
    """Return a lane's values in a few words, and a colour that tells whether its rho is its own; None for a lane that perturbs
    nothing, and while the field of the race's rho is empty.

    >>> chip(LaneSpec.parse("ssam-f:rho=0.25"), 0.2, 0.5), chip(LaneSpec.parse("sam"), 0.2, 0.5)
    (('SSAM-F ρ 0.25 · 50% sparse', 'orange'), ('SAM ρ 0.2', 'gray'))
    """
    method, known = METHODS[lane.method], lane.rho
    if known is None and rho is not None:
        known = rho * method.rho_scale
    if not method.perturbs or known is None:
        return None
    share = sparsity if lane.sparsity is None else lane.sparsity
    sparse = f" · {100 * share:.3g}% sparse" if method.sparse and share is not None else ""
    return (
        f"{_title(lane.model_copy(update={'sparsity': None}))} ρ {known:g}{sparse}",
        "gray" if lane.rho is None else "orange",
    )


def form() -> None:
    """Say which lanes have their own rho, and draw the two buttons; nothing if none has."""
    lanes = _lanes()
    if not (said := kept(lanes)):
        return
    times = _factor(lanes)
    changed = scaled(lanes, times)
    st.caption(said)
    with st.container(key="rho_buttons", horizontal=True, gap="small"):
        st.button(
            "One rho for all",
            key="one_rho",
            on_click=_set,
            args=(one(lanes),),
            help=texts.HELP["one_rho"],
        )
        st.button(
            f"Scale all × {times:.3g}" if changed else "Scale all",
            key="scale_rho",
            disabled=not changed,
            on_click=_set,
            args=(changed,),
            help=texts.HELP["scale_rho"],
        )


def kept(lanes: Lanes) -> str:
    """Return which lanes have a rho of their own, and which follow the race's; empty if all follow.

    >>> kept([LaneSpec.parse(lane) for lane in ("sgd", "sam", "ssam-f:rho=0.25", "ssam-d:rho=0.3")])
    'SSAM-F has its own rho 0.25, SSAM-D 0.3: *Rho* changes only SAM.'
    """
    own = [lane for lane in lanes if lane.rho is not None]
    if not own:
        return ""
    first, *others = (f"{_title(lane)} {{}}{lane.rho:g}" for lane in own)
    said = ", ".join([first.format("has its own rho "), *(other.format("") for other in others)])
    follow = [_title(lane) for lane in lanes if lane.rho is None and METHODS[lane.method].perturbs]
    return f"{said}: *Rho* changes " + (f"only {', '.join(follow)}." if follow else "no lane.")


def one(lanes: Lanes) -> list[LaneSpec]:
    """Return the lanes, all with the race's rho. Lanes that differed in nothing else are merged."""
    return list(dict.fromkeys(lane.model_copy(update={"rho": None}) for lane in lanes))


def scaled(lanes: Lanes, times: float) -> list[LaneSpec]:
    """Return the lanes with their own rhos multiplied; empty if that changes nothing or exceeds what is allowed.

    >>> [str(lane) for lane in scaled([LaneSpec.parse("sam"), LaneSpec.parse("ssam-f:rho=0.25")], 2.0)]
    ['sam', 'ssam-f:rho=0.5']
    """
    try:
        changed = [lane if lane.rho is None else _with_rho(lane, lane.rho * times) for lane in lanes]
    except ValidationError:
        return []
    return [] if changed == list(lanes) else list(dict.fromkeys(changed))


def _with_rho(lane: LaneSpec, rho: float) -> LaneSpec:
    return LaneSpec.model_validate({**lane.model_dump(), "rho": float(f"{rho:.4g}")})


def _set(lanes: Lanes) -> None:
    lane_form.fill(lanes)
    st.session_state[_OWN], st.session_state[_BASE] = _own(lanes), st.session_state["rho"]


def _factor(lanes: Lanes) -> float:
    """Return the factor by which the race's rho has changed since the lanes' own values were set; 1 if unknown."""
    own, rho = _own(lanes), st.session_state["rho"]
    if _OWN not in st.session_state:
        st.session_state[_OWN], st.session_state[_BASE] = own, _belongs(own, rho)
    if not own <= st.session_state[_OWN]:  # one was set by hand
        st.session_state[_OWN], st.session_state[_BASE] = own, rho
    base: float | None = st.session_state[_BASE]
    return rho / base if rho is not None and base else 1.0


def _belongs(own: frozenset[tuple[str, float]], rho: float | None) -> float | None:
    """Return the rho of the preset whose lanes have these values, else the race's."""
    return next((entry.spec.rho for entry in presets().values() if own <= _own(entry.spec.lanes)), rho)


def _own(lanes: Lanes) -> frozenset[tuple[str, float]]:
    return frozenset((lane.method, lane.rho) for lane in lanes if lane.rho is not None)


def _title(lane: LaneSpec) -> str:
    """Return a lane's title without its rho."""
    return theme.lane_title(lane.model_copy(update={"rho": None}))


def _lanes() -> list[LaneSpec]:
    """Return the chosen lanes that can be read; the form reports the others."""
    found = []
    for option in st.session_state["lanes"]:
        try:
            found.append(lane_form.read(option))
        except ValueError:
            continue
    return found
