"""Race: settings on the left; on the right a recorded race, or the race that was started."""

import streamlit as st

from app.race import export_menu, form, head, recent_runs, seeds, start_button, target
from app.shell import classroom, identity, nav, services, url_state
from app.ui import live_before, live_inside, live_panel, recorded, run_labels, run_result, spec_diff, texts
from app.ui.lab import Lab
from app.ui.live_types import Before
from ssam.experiment import RaceSpec
from ssam.store import Person

START_WIDTH = 220  # pixels, of the button above a recorded race


def race(lab: Lab, person: Person, run_id: str, pace: float | None, before: Before | None) -> None:
    """Draw the shown race; reruns every ``pace`` seconds."""
    look_inside()
    look = live_panel.look(lab, run_id)
    if look is None or st.session_state["run"] != run_id:
        st.rerun()
    head.head(lab, look.run, person)
    live_panel.draw(lab.store, look, before, live_inside.of_run(lab, look.run))
    run_result.log(lab, look.run, person)
    if live_panel.pace(look.run, look.window) != pace:
        st.rerun()


def look_inside() -> None:
    """Go to the page of the link that was clicked in the panel."""
    if place := live_inside.opened():
        nav.open_page(*place)


def invitation(spec: RaceSpec | None, name: str | None) -> None:
    """Describe what Start will train. Show the outcome only of a recorded race, and never to a class, which predicts it first."""
    st.markdown(texts.WELCOME)
    if name:
        st.markdown(recorded.watch(name))
    elif spec:
        what = run_labels.describe_without_seed(spec) if classroom.own_seed() else run_labels.describe(spec)
        st.markdown(f"**{what}**: {run_labels.describe_lanes(spec)}. {texts.NOT_RECORDED * (not classroom.code())}")


lab = services.lab()
person = identity.person(lab)
if url_state.moved():
    wanted, st.session_state["run"], st.session_state["notice"] = url_state.read(lab.store)
    form.fill(wanted)
run_id = st.session_state["run"]
look = live_panel.look(lab, run_id, fresh=True) if run_id else None
shown = look.run if look else None
if run_id and not shown:
    run_id = st.session_state["run"] = None
    st.session_state["notice"] = "This race has been deleted."

classroom.bar(lab, switch=shown is not None)
hidden = classroom.hidden()
with st.container() if "sidebar" in hidden else st.sidebar:
    spec, problem = form.form(lab, hidden)
    if shown:
        with st.container(key="start_bar", width=340 if "sidebar" in hidden else "stretch"):
            start_button.button(lab, spec, problem, shown, person)
if spec:
    url_state.write(spec, run_id)
if notice := st.session_state["notice"]:
    st.warning(texts.plain(notice))

if shown and look:
    start_button.reused(lab, shown)
    if spec and (apart := spec_diff.said(shown.spec, spec)):
        st.info(f"The race below is **not the one in the form**: {texts.plain(apart)}.")
    seeds.gather(lab, shown, person)
    pace = live_panel.pace(shown, look.window)
    del look  # it is heavy, and what a page holds stays until its next run
    st.fragment(race, run_every=pace)(lab, person, shown.id, pace, live_before.of_run(lab, shown, person.owner))
    with st.container(key="race_result"):
        run_result.result(shown)
        target.to_target(lab, shown)
else:
    name = recorded.of(spec) if spec and not classroom.code() else None
    invitation(spec, name)
    with st.container(key="start_bar", horizontal=True, vertical_alignment="center"):
        start_button.button(lab, spec, problem, None, person, width=START_WIDTH)
        nav.link("lessons", "New here? Start with the lessons")
    if name:
        look_inside()
        before = live_before.of_recording(lab, name, person.owner)
        recorded.draw(name, before=before, inside=live_inside.of_recording(name))
    elif spec and not classroom.code():
        recorded.offer(spec)
    else:
        live_panel.prepare()
recent_runs.recent(lab, shown, person)
if "sidebar" not in hidden:
    export_menu.reopen()

try:
    lab.client.runner.ensure()  # last, so that the page is there while the first runner comes up
except RuntimeError as error:
    st.error(texts.plain(str(error)))
