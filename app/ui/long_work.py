"""What the pages of long work share, sweeps and duels: which one is shown, its Start button, and what is refused.

The one that is shown is in the session state under ``KIND_KIND``, the one that is chosen in the select box under ``KIND_pick``.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Protocol, TypeVar

import streamlit as st

from app.ui import texts


class WithId(Protocol):
    @property
    def id(self) -> str: ...


One = TypeVar("One", bound=WithId)
Spec = TypeVar("Spec")


def show(kind: str, shown: str | None) -> None:
    """Show this one from now on; None: the newest."""
    st.session_state[f"{kind}_{kind}"] = st.session_state[f"{kind}_pick"] = shown


def choose(
    kind: str,
    own: Sequence[One],
    get: Callable[[str], One | None],
    labels: Callable[[Sequence[One]], Mapping[str, str]],
    describe: Callable[[One], str],
) -> One | None:
    """Return the one that is shown: that of the address, the newest of one's ``own``, or the one chosen in the select box that this draws."""
    state = st.session_state
    asked = state.get(f"{kind}_{kind}")
    given = get(asked) if asked else None
    found = list(own)
    if given is not None and given.id not in {one.id for one in found}:
        found.append(given)  # someone else's, by its address
    if not found:
        state[f"{kind}_{kind}"] = None
        return None
    ids = [one.id for one in found]
    if state.get(f"{kind}_pick") not in ids:
        state[f"{kind}_pick"] = given.id if given else ids[0]
    titles = labels(found)
    if len(found) > 1:
        st.selectbox(kind.capitalize(), ids, key=f"{kind}_pick", format_func=lambda one: titles.get(one, ""), width=520)
    chosen = next(one for one in found if one.id == state[f"{kind}_pick"])
    state[f"{kind}_{kind}"] = chosen.id
    if len(found) == 1:
        st.markdown(f"### {describe(chosen)}")
    return chosen


def start_button(
    kind: str, read: Callable[[], Spec], cost: Callable[[Spec], str], start: Callable[[], None]
) -> Spec | None:
    """Draw the Start button with the cost of what the controls show, or with what is wrong in them. Return it; None if something is."""
    spec, problem = None, ""
    try:
        spec = read()
    except ValueError as error:
        problem = str(error)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.button(
            f"Start {kind}",
            key=f"start_{kind}",
            type="primary",
            icon=":material/play_arrow:",
            disabled=spec is None,
            on_click=start,
        )
        if spec is None:
            st.error(texts.plain(problem))
        else:
            st.caption(cost(spec))
    return spec


@contextmanager
def refusals() -> Iterator[None]:
    """Show one line if what the block asks for is not allowed, or too late."""
    try:
        yield
    except (PermissionError, ValueError, RuntimeError) as error:
        st.toast(f"Not done: {texts.plain(texts.labelled(str(error)))}.", icon=":material/block:")
