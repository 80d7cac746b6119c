"""Flatness: what the loss looks like around the weights of a race's lanes, by several measures; and whether flatter is better."""

import streamlit as st

from app import address, flatness, flatness_better, flatness_panel, flatness_texts, identity, measuring, server, texts
from app.server import Lab
from ssam.spec.analysis import AnalysisSpec
from ssam.store import Person, Run


def choose_kind() -> str:
    return str(
        st.segmented_control(
            "What to look at",
            list(flatness.KINDS),
            key="flat_kind",
            required=True,
            format_func=flatness.KINDS.__getitem__,
            label_visibility="collapsed",
            persist_state="session",
        )
    )


def measured(lab: Lab, person: Person, races: list[Run], kind: str) -> None:
    """The race, the settings and the button in one row; beneath it what was found."""
    with st.container(key="flat_bar_top", horizontal=True, vertical_alignment="bottom", gap="small"):
        race = flatness.choose_race(races)
        before = [run for run in lab.store.analyses(race.id) if run.analysis and run.analysis.kind == kind]
        flatness.form(kind, lab.client.kept_epochs(race), [run for run in before if run.state == "finished"][:5])
        analysis: AnalysisSpec | None = None
        problem = ""
        try:
            analysis = flatness.read(kind)
        except ValueError as error:
            problem = str(error)
        run = measuring.known(lab, race, analysis) if analysis else None
        flatness_panel.button(lab, race, analysis, run)
    if notice := st.session_state.get("flat_notice"):
        st.warning(texts.plain(notice))
    if race.owner != person.owner:
        st.caption("Somebody else's race: whoever has its address may measure it too.")
    if analysis is None:
        st.error(texts.plain(problem))
        return
    flatness.write(race.id, kind, analysis)
    done = run is not None and run.state == "finished"
    st.caption(f"With {flatness.describe(analysis)}." + ("" if done else f" {measuring.cost(lab, race, analysis)}"))
    if run:
        flatness_panel.shown(lab, race, run, person)
    else:
        st.markdown(flatness_texts.NOT_MEASURED)


address.leave()
lab = server.lab()
person = identity.person(lab)
if address.moved(flatness.PAGE):
    st.session_state["flat_notice"] = flatness.go(lab.store)
races = flatness.races(lab, person)
if races:
    st.markdown("## How flat is it?")
    kind = choose_kind()
    if kind == flatness.BETTER:
        flatness.write(st.session_state.get("flat_run"), kind, None)
        flatness_better.page(lab, person)
    else:
        measured(lab, person, races, kind)
    with st.expander("What am I seeing?", key="flat_seeing"), st.container(width=860):
        st.markdown(flatness_texts.seeing(kind))
else:
    if notice := st.session_state.get("flat_notice"):
        st.warning(texts.plain(notice))
    st.markdown(flatness_texts.EMPTY)
    st.page_link("../pages/race.py", label="To the race", icon=":material/flag:")
