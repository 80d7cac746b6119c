"""The class that a session belongs to, and the view: taken from a link, kept while the tab is open.

``class_code``, ``own_seed``, ``hidden`` (groups of the form) and ``projector`` are keys of the session state.
"""

from collections.abc import Mapping

import streamlit as st

from app.shell import identity, nav, projector, share_link
from app.shell.share_link import Link
from app.ui.lab import Lab

BAR = "class_bar"


def take(said: Mapping[str, str]) -> str:
    """Take the class and the view from an address; what it does not name stays. Return one line about an error."""
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
    """Return the code of the class; None without a class."""
    return st.session_state.get("class_code")


def own_seed() -> bool:
    """Return whether the server gives each race of this class a different seed."""
    return code() is not None and bool(st.session_state.get("own_seed"))


def presenting() -> bool:
    """Return whether the page is in presentation mode: large type, few numbers, keyboard shortcuts."""
    return bool(st.session_state.get("projector"))


def hidden() -> frozenset[str]:
    """Return the hidden groups of the form; in presentation mode all. Their settings stay."""
    chosen = frozenset(st.session_state.get("hidden", ()))
    return frozenset(share_link.GROUPS) if presenting() or "sidebar" in chosen else chosen


def words() -> dict[str, str]:
    """Return what belongs in every address of this session."""
    asked = tuple(st.session_state.get("hidden", ()))
    return share_link.class_words(Link("race", code(), own_seed(), asked, presenting()))


def shortcut(key: str) -> str | None:
    """Return a button's shortcut in presentation mode, else None: elsewhere a single letter would surprise."""
    return key if presenting() else None


def bar(lab: Lab, switch: bool = True, on_wall: bool = False) -> None:
    """Draw one line above a page: the class and, with ``switch``, the toggle of presentation mode."""
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
            st.button("Leave", key="leave_class", type="tertiary", on_click=leave, help="Your races stay on the wall.")
        st.space("stretch")
        st.toggle("Presentation mode", key="projector", help=projector.HELP, persist_state="session")


def leave() -> None:
    """Leave the class, and show again what was hidden for it."""
    for name in ("class_code", "own_seed", "hidden"):
        st.session_state.pop(name, None)


def join(typed: str) -> str:
    """Join the class of a typed code; return one line if it is invalid."""
    try:
        known = share_link.parse({"class": typed}).class_code
    except ValueError as error:
        return f"{error}."
    st.session_state["class_code"] = known
    return ""
