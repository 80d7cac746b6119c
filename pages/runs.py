"""Runs: find, annotate, compare and delete one's races."""

import streamlit as st

from app.runs import actions, query, view
from app.shell import identity, nav, services
from app.ui import recorded
from app.ui.lab import Lab
from ssam.store import Person
from ssam.store.search import QUERY, RunPage

PACE = 5.0  # seconds between two updates while races are running
EMPTY = "No race yet. The races that you start are listed here, with their curves, until you delete them."
RECORDED = f"{EMPTY} Until then, these are recorded races, not yours: open one to watch it, or to race it yourself."
NOTHING = {
    query.MINE: EMPTY,
    query.SHARED: "Races of others that you have opened by their link are listed here until you close this tab.",
    query.DELETED: "There are no deleted races to restore.",
    query.EVERYBODYS: EMPTY,
}


def first_page() -> None:
    st.session_state["runs_page"] = 1


def select(label: str, options: list[str], name: str, width: int, titles: dict[str, str], blank: bool = False) -> None:
    st.selectbox(
        label,
        options,
        key=f"runs_{name}",
        width=width,
        format_func=lambda value: titles.get(value, value),
        on_change=first_page,
        persist_state="session",
        index=None if blank else 0,
        placeholder="All",
    )


def controls(found: RunPage, person: Person) -> None:
    """Draw search, filters and sort order; a filter only if there is a choice."""
    with st.container(key="runs_bar", horizontal=True, vertical_alignment="bottom", gap="small"):
        st.text_input(
            "Search",
            key="runs_text",
            max_chars=QUERY,
            width=270,
            placeholder='Words, "seed 3", a tag or a link',
            help="Finds races that contain all words in the name, tags, note or settings. Quotes keep words together.",
            on_change=first_page,
            persist_state="session",
        )
        for name, label in query.FILTERS.items():
            present, now = found.choices[name], st.session_state[f"runs_{name}"]
            if len(present) > 1 or now or (name == "tag" and present):
                options = list(present) + [now] * bool(now and now not in present)
                titles = {value: f"{actions.title(name, value)} ({present.get(value, 0)})" for value in options}
                select(label, options, name, 170, titles, blank=True)
        select("Sort by", list(query.SORTED), "sort", 190, {str(name): title for name, title in query.SORTED.items()})
        kinds = [kind for kind in query.SHOWN if kind != query.EVERYBODYS or person.teacher]
        select("Owner", kinds, "show", 170, query.SHOWN)


def summary(found: RunPage) -> None:
    """Say how many races match."""
    if found.matching:
        of = f" of {found.all:,}" if found.matching != found.all else ""
        st.caption(
            f"{found.matching:,}{of} race{'s' * (found.all != 1)}. Small curves: test accuracy, each race on its own scale."
        )
    elif found.all:
        st.markdown("No race matches. Try fewer words or filters.")
    else:
        st.markdown(NOTHING[st.session_state["runs_show"]])


def page(lab: Lab, person: Person, pace: float | None) -> None:
    if opened := view.opened():
        nav.open_page("race", {"preset" if opened in recorded.names() else "run": opened})
    found = query.find(lab, person)
    controls(found, person)
    query.TABLE.push_url()
    actions.undo(lab)
    shown = [listed.run.id for listed in found.rows]
    rows = [view.row(listed, person) for listed in found.rows]
    if query.lists_recorded(found):
        st.markdown(RECORDED)
        rows = [view.recorded_row(name) for name in recorded.names()]
    else:
        actions.bar(lab, st.session_state["runs_show"] == query.DELETED)
        actions.differences(lab)
        summary(found)
    turn = st.session_state.get("runs_turn", 0)
    view.draw(rows, query.chosen(), turn, lambda: query.ticked(shown, view.boxes()))
    if found.pages > 1:
        st.session_state["runs_page"] = found.page
        st.pagination(found.pages, key="runs_page")
    st.session_state["runs_pace"] = pace_of(found)
    if st.session_state["runs_pace"] != pace:
        st.rerun()


def pace_of(found: RunPage) -> float | None:
    return PACE if actions.under_way([listed.run for listed in found.rows]) else None


lab = services.lab()
person = identity.person(lab)
if query.TABLE.moved():
    query.go(person)
st.markdown("## Runs")
query.TABLE.notice()
pace = st.session_state.get("runs_pace")  # the last known state; the page reruns if it has changed
st.fragment(page, run_every=pace)(lab, person, pace)
