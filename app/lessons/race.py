"""A lesson's race: the recorded one played back, or the learner's own, shown live."""

import streamlit as st

from app.lessons import query
from app.shell import classroom, identity, run_controls
from app.ui import evidence, live_panel, recorded, run_labels, run_result, texts
from app.ui.lab import Lab
from app.ui.lesson_content import Lesson
from app.ui.submit_once import submit_once
from ssam.experiment import RaceSpec, parse_spec
from ssam.store import Person, Run
from ssam.store.views import ENDED

KEY = "lesson_race"
SHOWN = {"own": "Your race", "recorded": "Recorded race"}


def draw(lab: Lab, person: Person, lesson: Lesson) -> None:
    """Draw the button that starts a race, then the race: the learner's latest, or the recorded one."""
    run = newest(lab, lesson)
    recording = recorded.of(lesson.spec)
    with st.container(key="lesson_start", horizontal=True, vertical_alignment="bottom", gap="small"):
        _button(lab, person, lesson, run)
        if run and recording:
            st.space("stretch")
            st.session_state.setdefault(KEY, "own")
            shown = str(
                st.segmented_control(
                    "Which race", list(SHOWN), key=KEY, required=True, format_func=SHOWN.__getitem__,
                    label_visibility="collapsed", persist_state="session",
                )
            )  # fmt: skip
        else:
            shown = "own" if run else "recorded"
    st.caption(_said(lab, lesson, run))
    if run and shown == "own":
        found = live_panel.look(lab, run.id, fresh=True)
        pace = live_panel.pace(found.run, found.window) if found else None
        st.fragment(_race, run_every=pace)(lab, person, lesson.name, run.id, pace)
        run_result.result(run)
    elif recording:
        recorded.draw(recording)
    else:
        st.info("This lesson has no recorded race. Run it: it has the lesson's settings.")


def start_blind(lab: Lab, person: Person, lesson: Lesson) -> None:
    """Before a prediction, draw the settings and the Start button, but no results."""
    run = newest(lab, lesson)
    with st.container(key="lesson_start", horizontal=True, vertical_alignment="bottom", gap="small"):
        _button(lab, person, lesson, run)
    st.caption(_said(lab, lesson, run))
    if run:
        st.markdown(f"Seed {run.spec.seed}: {texts.STATES[run.state].lower()}. It will be shown after your prediction.")


def _race(lab: Lab, person: Person, name: str, run_id: str, pace: float | None) -> None:
    """Draw the learner's race; reruns every ``pace`` seconds."""
    look = live_panel.look(lab, run_id)
    if look is None or query.runs(name)[-1:] != [run_id]:
        st.rerun()
    with st.container(key="lesson_head", horizontal=True, vertical_alignment="center", gap="small"):
        whose = "Your race" if look.run.owner == person.owner else "Someone else's race"
        st.markdown(f"**{whose}** · seed {look.run.spec.seed}", width="stretch")
        if person.may_steer(look.run):
            run_controls.steering(lab, look.run)
    live_panel.draw(lab.store, look)
    run_result.log(lab, look.run, person)
    if live_panel.pace(look.run, look.window) != pace:
        st.rerun()


def newest(lab: Lab, lesson: Lesson) -> Run | None:
    """Return the learner's latest existing race of a lesson."""
    for run_id in reversed(query.runs(lesson.name)):
        if run := lab.store.runs.get(run_id):
            return run
        query.forget(lesson.name, run_id)
    return None


def own(lab: Lab, lesson: Lesson) -> evidence.Rows:
    """Return the results of the learner's finished races of a lesson, by seed."""
    found: evidence.Rows = {}
    for run_id in query.runs(lesson.name):
        run, window = lab.store.runs.get(run_id), lab.store.curves.window(run_id, live_panel.POINTS)
        if run and window:
            found |= evidence.own(run, window)
    return found


def unseen(lab: Lab, lesson: Lesson) -> int:
    """Return the lowest seed that was neither measured nor run by the learner."""
    taken = set(evidence.rows(evidence.races(lesson.preset)))
    runs = (lab.store.runs.get(run_id) for run_id in query.runs(lesson.name))
    taken |= {str(run.spec.seed) for run in runs if run} | {"0"}  # the recorded one
    return next(seed for seed in range(len(taken) + 1) if str(seed) not in taken)


def _button(lab: Lab, person: Person, lesson: Lesson, run: Run | None) -> None:
    if st.session_state.get("lesson_seed_of") != lesson.name:
        st.session_state["lesson_seed_of"] = lesson.name
        st.session_state["lesson_seed"] = unseen(lab, lesson)
    given = classroom.own_seed()
    seed = st.number_input(
        texts.LABELS["seed"], 0, value=None, step=1, key="lesson_seed", width=130, disabled=given,
        help=texts.HELP["own_seed" if given else "seed"], persist_state="session",
    )  # fmt: skip
    going = (
        run is not None and run.state not in ENDED and run.owner == person.owner and (given or run.spec.seed == seed)
    )
    st.button(
        "Run it live",
        key="lesson_run",
        type="primary" if not run else "secondary",
        icon=":material/play_arrow:",
        disabled=going,
        on_click=submit,
        args=(lab, lesson),
        shortcut=classroom.shortcut("S"),
    )


def _said(lab: Lab, lesson: Lesson, run: Run | None) -> str:
    cost = run_labels.cost(lab, lesson.spec)
    reused = (
        " This exact race has been run before: here it is."
        if run and run.id == st.session_state.get("lesson_reused")
        else ""
    )
    what = f"{run_labels.describe_without_seed(lesson.spec)}: {run_labels.describe_lanes(lesson.spec)}"
    return f"{what}. {cost}{reused}"


def submit(lab: Lab, lesson: Lesson, seed: int | None = None) -> None:
    """Start the lesson's race, with the seed of the form unless one is given, and show it: one race however often it is pressed.
    An error is shown as one line."""
    person, given = identity.person(lab), classroom.own_seed()
    with submit_once("lesson") as request:
        spec = _spec(lesson, st.session_state.get("lesson_seed") if seed is None else seed)
        submitted = lab.client.races.submit(spec, request, person, class_code=classroom.code(), own_seed=given)
        query.remember(lesson.name, submitted.run_id)
        query.go(lesson.name, "watch")
        st.session_state["lesson_reused"] = submitted.run_id if submitted.reused else None
        st.session_state[KEY] = "own"
        if run := lab.store.runs.get(submitted.run_id):
            st.session_state["lesson_seed"] = run.spec.seed


def _spec(lesson: Lesson, seed: object) -> RaceSpec:
    try:
        return parse_spec({"seed": "" if seed is None else seed}, base=lesson.spec)
    except ValueError as error:
        raise ValueError(texts.labelled(str(error))) from None
