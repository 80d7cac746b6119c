"""The choices of the page Images: which race, view, lanes, epoch and order; session state ↔ address."""

from collections.abc import Sequence

import streamlit as st

from app.images import data, ranking, tiles
from app.images.data import Lane, Shown
from app.shell import fallback
from app.shell.address import Field, Table, choice, epoch, parts
from app.ui import run_picker
from app.ui.lab import Lab
from ssam.store import Person, Run, Store

VIEWS = {"memorisation": "Memorisation", "test": "Test images"}


TABLE = Table(
    "images",
    "images",
    (
        Field("run", always=True),
        choice("view", VIEWS, next(iter(VIEWS)), always=True),
        Field("lanes", parts, ",".join),
        Field("epoch", epoch, "{:g}".format),
        Field("sort"),
    ),
)


def go(store: Store, person: Person) -> None:
    """Set what is shown to the address: the race that it names, else the one that was shown here or on the race page."""
    problems, state = TABLE.load_from_url(), st.session_state
    recordings = data.recordings()
    named = fallback.named(TABLE, next(iter(recordings), None))
    if named not in recordings:
        race = run_picker.race_of(store, named or state.get("run") or "")
        if named and race is None:
            problems.append(f"There is no race {named[:40]!r} here")
        if race and (named or data.has_predictions(store, race)):
            state["images_run"] = race.id
        else:
            _fresh(None)
    state["images_start"] = state["images_epoch"]
    if shown := data.find(store, state["images_run"], person):
        problems += _leave_out(shown)
    TABLE.complain(problems)


def _fresh(run: str | None) -> None:
    """What was chosen for another race does not hold for this one."""
    st.session_state["images_run"] = run
    for name in ("lanes", "epoch", "last", "sort", "start"):
        st.session_state[f"images_{name}"] = None


def _leave_out(shown: Shown) -> list[str]:
    """Leave out lanes and an order that the race has not; return a line for each."""
    problems, state = [], st.session_state
    known, lanes = [lane.name for lane in shown.lanes], state["images_lanes"] or []
    if not set(lanes) <= set(known):
        problems.append(f"lanes {','.join(lanes)[:40]!r} must be of {', '.join(known)}")
        state["images_lanes"] = None
    allowed = list(ranking.orders(shown, shown.lanes))
    if (sort := state["images_sort"]) and sort not in allowed:
        problems.append(f"sort {sort[:40]!r} must be one of {', '.join(allowed)}")
        state["images_sort"] = None
    return problems


def write(shown: Shown, lanes: Sequence[Lane]) -> None:
    """Put what is shown into the address; what is usual is left out."""
    names, state = [lane.name for lane in lanes], st.session_state
    every = [lane.name for lane in shown.lanes]
    unusual = list(ranking.orders(shown, lanes or shown.lanes))[1:]
    moments = data.moments(shown.lanes)
    epoch, sort = state.get("images_epoch"), state.get("images_sort")
    TABLE.push_url(
        run=shown.key,
        lanes=None if names == every else names,
        epoch=None if epoch is None or epoch >= moments[-1] or epoch == state.get("images_last") else epoch,
        sort=sort if sort in unusual else None,
    )


# The choices


def choose_race(lab: Lab, person: Person) -> Run | str | None:
    """Return the race, or the name of a recorded one; None where there is neither."""
    named, recordings = st.session_state.get("images_run"), data.recordings()
    shown = None if named in recordings else named
    own = run_picker.own(lab, person, lambda run: data.has_predictions(lab.store, run), shown)
    return fallback.choose(TABLE, own, recordings, _fresh)


def show_recorded() -> None:
    """Show the first recorded race instead."""
    _fresh(data.recordings()[0])


def choose_lanes(shown: Shown) -> list[Lane]:
    """Return the lanes that are shown, in the order of the race; not asked where there is only one."""
    known = {lane.name: lane for lane in shown.lanes}
    wanted = st.session_state.get("images_lanes")
    st.session_state["images_lanes"] = [name for name in known if wanted is None or name in wanted]
    if len(known) < 2:
        return list(shown.lanes)
    chosen = st.pills(
        "Lanes",
        list(known),
        key="images_lanes",
        selection_mode="multi",
        format_func=lambda name: known[name].title,
        label_visibility="collapsed",
        persist_state="session",
    )
    return [lane for name, lane in known.items() if name in chosen]


def choose_order(shown: Shown, lanes: Sequence[Lane]) -> str:
    """Return by what the training images are sorted."""
    titles = ranking.orders(shown, lanes)
    if st.session_state.get("images_sort") not in titles:
        st.session_state["images_sort"] = next(iter(titles))
    return str(
        st.selectbox(
            "Order of the images",
            list(titles),
            key="images_sort",
            format_func=titles.__getitem__,
            width=380,
            persist_state="session",
        )
    )


def choose_epoch(lanes: Sequence[Lane]) -> float:
    """Return the epoch at which test predictions are shown; the last one at first."""
    moments, state = data.moments(lanes), st.session_state
    wanted = state.get("images_epoch")
    if wanted == state.get("images_last"):
        wanted = None  # the reader sees the last epoch, and follows it
    past = [epoch for epoch in moments if wanted is None or epoch <= wanted] or moments[:1]
    state["images_epoch"], state["images_last"] = past[-1], moments[-1]
    if len(moments) < 2:
        return moments[0]
    return float(
        st.select_slider(
            "Epoch",
            moments,
            key="images_epoch",
            format_func="{:g}".format,
            on_change=_move,
            width=480,
            persist_state="session",
        )
    )


def _move() -> None:
    """The tiles begin at the epoch that was chosen for the test images."""
    st.session_state["images_start"] = st.session_state["images_epoch"]


def seen() -> None:
    """The reader has stopped at an epoch in the browser. Where the tiles began stays, so that nothing is sent again."""
    view = tiles.view()
    if view.get("run") == st.session_state.get("images_run"):
        st.session_state["images_epoch"] = view["epoch"]
