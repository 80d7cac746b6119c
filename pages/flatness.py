"""Flatness: the loss around the weights of a race's lanes, by several measures; and whether flatter is better."""

import streamlit as st

from app.flatness import measured as recorded_points
from app.flatness import query, text, versus_accuracy, view
from app.shell import analysis_job, fallback, identity, services
from app.ui import texts, view_switch
from app.ui.lab import Lab
from ssam.experiment.analysis import AnalysisSpec
from ssam.store import Person, Run


def measured(lab: Lab, person: Person, races: list[Run], kind: str) -> None:
    """Draw the race, the settings and the button in one row, and the results below."""
    with st.container(key="flat_bar_top", horizontal=True, vertical_alignment="bottom", gap="small"):
        race = query.choose_race(races)
        before = [run for run in lab.store.analyses.of_race(race.id) if run.analysis and run.analysis.kind == kind]
        query.form(kind, lab.client.analyses.kept_epochs(race), [run for run in before if run.state == "finished"][:5])
        analysis: AnalysisSpec | None = None
        problem = ""
        try:
            analysis = query.read(kind)
        except ValueError as error:
            problem = str(error)
        run = analysis_job.known(lab, race, analysis) if analysis else None
        view.button(lab, race, analysis, run)
    query.TABLE.notice()
    if race.owner != person.owner:
        st.caption("You are viewing someone else's race: whoever has its link may measure it too.")
    if analysis is None:
        st.error(texts.plain(problem))
        return
    query.TABLE.put(query.of(race.id, kind, analysis))
    done = run is not None and run.state == "finished"
    st.caption(f"With {query.describe(analysis)}." + ("" if done else f" {analysis_job.cost(lab, race, analysis)}"))
    if run:
        view.shown(lab, race, run, person)
    else:
        st.markdown(text.NOT_MEASURED)


lab = services.lab()
person = identity.person(lab)
if query.TABLE.moved():
    query.go(lab.store)
races = query.races(lab, person)
if races:
    st.markdown("## How flat is it?")
    kind = view_switch.choose("Measurement", query.KINDS, "flat_kind")
    if kind == query.BETTER:
        query.TABLE.put(query.of(st.session_state["flat_run"], kind, None))
        versus_accuracy.page(lab, person)
    else:
        measured(lab, person, races, kind)
    with st.expander("What am I seeing?", key="flat_seeing"), st.container(width=860):
        st.markdown(text.seeing(kind))
else:
    st.markdown("## Are flatter lanes more accurate?")
    query.TABLE.notice()
    fallback.say(f"Recorded races, not yours: {recorded_points.about()}.", recorded_points.PRESET)
    st.markdown(text.YOURS, width=860)
    versus_accuracy.draw(recorded_points.points())
    versus_accuracy.literature()
