"""The class that a session belongs to, and how the page is shown to it: what a link has said, kept while the tab is open.

``class_code``, ``own_seed``, ``hidden`` (groups of the form) and ``projector`` are keys of the session state.
"""

from collections.abc import Mapping

import streamlit as st

from app.shell import identity, nav, projector, share_link
from app.shell.share_link import Link
from app.ui.lab import Lab

BAR = "class_bar"


def take(said: Mapping[str, str]) -> str:
    """Takes what an address says of the class and the view; one that says nothing of it leaves it as it is. Returns one line about
    what was not understood."""
    if not said:
        return ""
    try:
        link = share_link.parse(said)
    except ValueError as error:
        return f"Address: {error}."
    st.session_state["class_code"], st.session_state["own_seed"] = link.class_code, link.own_seed
    st.session_state["hidden"], st.session_state["projector"] = link.hidden, link.projector
    return ""


def code() -> str | None:
    """The code of the class; None outside of one."""
    return st.session_state.get("class_code")


def own_seed() -> bool:
    """Whether the server gives each race of this class a seed of its own."""
    return code() is not None and bool(st.session_state.get("own_seed"))


def presenting() -> bool:
    """Whether the page is shown to a room: large type, few numbers, keys for who presents."""
    return bool(st.session_state.get("projector"))


def hidden() -> frozenset[str]:
    """The groups of the form that are not drawn. On a projector the whole form is not: its settings stay."""
    chosen = frozenset(st.session_state.get("hidden", ()))
    return frozenset(share_link.GROUPS) if presenting() or "sidebar" in chosen else chosen


def words() -> dict[str, str]:
    """What belongs into every address of this session."""
    asked = tuple(st.session_state.get("hidden", ()))
    return share_link.class_words(Link("race", code(), own_seed(), asked, presenting()))


def shortcut(key: str) -> str | None:
    """A key for a button, where somebody presents: else a letter would do things that nobody expects."""
    return key if presenting() else None


def bar(lab: Lab, switch: bool = True, on_wall: bool = False) -> None:
    """One quiet line above a page: the class, and where asked for the switch for the projector. Nothing where there is neither."""
    if not (code() or switch or presenting()):
        return
    with st.container(key=BAR, horizontal=True, vertical_alignment="center", gap="small"):
        if known := code():
            count = lab.store.classes.count(known, identity.person(lab).owner)
            started = f"{count} race{'s' * (count != 1)} of yours" if count else "no race of yours yet"
            st.markdown(f"## Class wall {known}" if on_wall else f"Class **{known}**", width="content")
            st.caption(started, width="content")
            if not on_wall:
                nav.link("wall", address={"class": known})
            st.button("Leave", key="leave_class", type="tertiary", on_click=leave, help="Races stay on the wall.")
        st.space("stretch")
        st.toggle("Projector", key="projector", help=projector.HELP, persist_state="session")


def leave() -> None:
    """Out of the class; what was hidden for it is shown again."""
    for name in ("class_code", "own_seed", "hidden"):
        st.session_state.pop(name, None)


def join(typed: str) -> str:
    """Into the class of a code that somebody typed; returns one line where it is none."""
    try:
        known = share_link.parse({"class": typed}).class_code
    except ValueError as error:
        return f"{error}."
    st.session_state["class_code"] = known
    return ""
