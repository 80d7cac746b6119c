"""Class wall: all races under one class code on one plot, while they run."""

import streamlit as st

from app.shell import classroom, identity, nav, services, share_link, url_state
from app.ui import texts
from app.ui.lab import Lab
from app.wall import data, payload, text, view
from ssam.store import Person

PAGE = "wall"


def enter(problem: str) -> None:
    """Ask for the code of a class."""
    st.markdown("## Class wall")
    st.markdown(text.WALL)
    with st.form("join", width=340):
        typed = st.text_input("Class code", key="typed_code", max_chars=40, placeholder="MAY-7KQ")
        if st.form_submit_button("Show the wall"):
            problem = classroom.join(typed)
            if not problem:
                st.rerun()
    if problem:
        st.error(texts.plain(problem))


def show(lab: Lab, person: Person, code: str) -> None:
    """Draw the wall of a class; reruns by itself."""
    found = data.look(lab, code)
    if not found.groups:
        st.info("No race of this class yet. Races appear here as soon as they are started.")
        return
    known = {group.key: group for group in found.groups}
    if st.session_state.get("wall_group") not in known:
        st.session_state["wall_group"] = found.groups[0].key
    if len(known) > 1:
        st.selectbox(
            "Races with the same settings",
            list(known),
            key="wall_group",
            format_func=lambda key: f"{payload.title(known[key])} ({len(known[key].entries)})",
            persist_state="session",
        )
    group = known[st.session_state["wall_group"]]
    if len(known) == 1:
        st.caption(payload.title(group))
    mine = payload.mine(group, person)
    view.draw(found.told(group), mine, payload.my_words(group, mine))
    if mine:
        nav.link("race", "My race", {"run": group.entries[mine[-1]].race.id})


lab = services.lab()
person = identity.person(lab)
problem = ""
if url_state.moved(PAGE):
    said, rest = share_link.split(dict(st.query_params))
    problem = classroom.take(said)
    if rest and not problem:
        problem = f"Address: {next(iter(rest))[:40]!r} is no setting here; allowed: class, view."
if code := classroom.code():
    classroom.bar(lab, on_wall=True)
    url_state.put({name: value for name, value in classroom.words().items() if name in ("class", "view")}, PAGE)
    if problem:
        st.warning(texts.plain(problem))
    st.fragment(show, run_every=data.PACE)(lab, person, code)
    with st.expander("How this is computed"):
        st.markdown(text.COUNTED)
else:
    enter(problem)
