"""The address bar: a race's settings and the shown run, readable for people and ``parse_spec``."""

import time

import streamlit as st

from app.shell import classroom, data_settings, share_link
from ssam.experiment import RaceSpec, laid_over, parse_spec, preset, presets
from ssam.experiment.presets import RENAMED
from ssam.store import Store

STALE_SECONDS = 3.0  # after we wrote an address, the one before it may still be on its way
_SEEN, _WRITTEN, _WHEN, _LEFT = "_address_seen", "_address_written", "_address_when", "_address_left"
_PAGE, _RESETS = "_address_page", "_address_resets"


def moved(page: str = "") -> bool:
    """True on the first run of a session and after the reader went to another address (back, forward). Every ``page`` that has
    addresses keeps its own count; the race page is the one without a name.

    The browser repeats its address with every rerun, also an older one where a rerun was on its way already when we
    wrote a new address. So the address that we wrote is no move, nor is, for a moment, one that it replaced; later that is
    the reader's going back.
    """
    st.session_state[_RESETS] = _SEEN + page not in st.session_state or st.session_state.get(_PAGE) == page
    if page:
        leave(page)
    st.session_state[_PAGE] = page
    now = dict(st.query_params)
    if _SEEN + page not in st.session_state:
        st.session_state[_SEEN + page], st.session_state[_WRITTEN + page] = now, []
        return True
    written: list[dict[str, str]] = st.session_state[_WRITTEN + page]
    on_its_way = time.monotonic() - st.session_state.get(_WHEN + page, 0.0) < STALE_SECONDS
    if now in written and (on_its_way or now == written[-1]):
        del written[: written.index(now) + 1]
        st.session_state[_SEEN + page] = now
        return False
    if now == st.session_state[_SEEN + page] and (not written or on_its_way):
        return False
    st.session_state[_SEEN + page], st.session_state[_WRITTEN + page] = now, []
    return True


def resets() -> bool:
    """Whether an empty address means the defaults: on the first visit, and after going back to it. The navigation's, from another
    page, leaves all as it was."""
    return bool(st.session_state[_RESETS])


def read(store: Store) -> tuple[RaceSpec, str | None, str | None]:
    """The settings, the id of the run to show, and one line about what could not be read, or was not taken over from a preset (None
    where there is nothing to say).

    Settings left out are the preset's where the address names one, else those of ``RaceSpec``; an address without any
    means what the reader had before going to another page, the run's own, or the default preset. Garbage gives the
    default preset. What it says of a class and the view is kept for the session.
    """
    common, settings = share_link.split(dict(st.query_params))
    misread = classroom.take(common)
    settings = settings or share_link.split(st.session_state.pop(_LEFT, {}))[1]
    run_id = settings.pop("run", None)
    name = settings.pop("preset", None)
    run = store.runs.get(run_id) if run_id else None
    run = run if run and run.analysis is None else None  # an analysis has no page of its own
    known = run.id if run else None
    told = f"There is no race {run_id[:40]!r} here." if run_id and run is None else misread or None
    default = next(iter(presets().values())).spec
    try:
        if name:
            spec = laid_over(preset(name).spec, settings)
            told = told or _renamed(name) or data_settings.ended({"preset": name, **settings}) or None
        elif settings:
            spec = parse_spec(settings)
        else:
            spec = run.spec if run else default
        if run and classroom.own_seed():
            spec = spec.model_copy(update={"seed": run.spec.seed})  # the one that it was given
    except ValueError as error:
        return (run.spec if run else default), known, f"Address: {error}."
    return spec, known, told


def write(spec: RaceSpec, run_id: str | None) -> None:
    """Puts the settings and the shown run into the address bar, with what belongs to the class."""
    address = of(spec)
    if run_id:
        address["run"] = run_id
    put(address | classroom.words())


def put(address: dict[str, str], page: str = "") -> None:
    """Puts an address into the bar, where it is not there already."""
    written: list[dict[str, str]] = st.session_state[_WRITTEN + page]
    if address != (written[-1] if written else st.session_state[_SEEN + page]):
        st.query_params.from_dict(address)
        written.append(address)
        st.session_state[_WHEN + page] = time.monotonic()


def of(spec: RaceSpec) -> dict[str, str]:
    """The settings as an address, never an empty one: that would mean the default preset."""
    return spec.to_strings() or {"dataset": spec.dataset}


def left() -> dict[str, str]:
    """What the race page had in its address when the reader went to another page; empty where they have not been there."""
    return dict(st.session_state.get(_LEFT, {}))


def leave(page: str | None = None) -> None:
    """A page other than the race's is shown. Its address is no race's, and coming back is a move, to where the reader was."""
    st.session_state[_PAGE] = page
    if _SEEN in st.session_state:
        written = st.session_state.pop(_WRITTEN)
        seen = st.session_state.pop(_SEEN)
        st.session_state[_LEFT] = written[-1] if written else seen


def _renamed(name: str) -> str:
    """Say that another preset has taken the place of this one; empty if none has."""
    return f"The preset {name!r} was removed; {preset(name).title} replaces it." if name in RENAMED else ""
