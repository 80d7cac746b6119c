"""The list of all lessons, and their steps except the reveal."""

from functools import partial

import streamlit as st

from app.lessons import query, race
from app.shell import nav
from app.ui.lab import Lab
from app.ui.lesson_content import SECTIONS, STEPS, Lesson, Link, Question
from ssam.store import Person

COLUMN = 860  # pixels: a readable line length


def overview(known: dict[str, Lesson]) -> None:
    """Draw all lessons, each with its goal."""
    st.markdown("## Lessons")
    st.markdown(
        "In each lesson you **predict** (and stake points), **watch** a race, recorded or your own, and see what the data **reveal**. Take them in any order."
    )
    total, asked, skipped = query.score(known)
    if asked:
        without = f", {skipped} of them skipped" if skipped else ""
        st.caption(
            f"{signed(total)} point{'s' * (abs(total) != 1)} from {asked} question{'s' * (asked != 1)}{without}, in this session."
        )
    for place, lesson in enumerate(known.values(), 1):
        with st.container(border=True, key=f"lesson_card_{lesson.name}", gap="xsmall"):
            with st.container(horizontal=True, vertical_alignment="center", gap="small"):
                nav.link("lessons", f"**{place} · {lesson.title}**", {"lesson": lesson.name}, icon="")
                st.caption(f"{lesson.minutes} min{_progress(lesson)}", width="content")
            st.markdown(f"{lesson.summary} You will be able to {lesson.goal}")


def _progress(lesson: Lesson) -> str:
    if query.has_seen(lesson.name):
        return " · seen"
    made = query.predictions(lesson.name)
    return "" if not made else " · skipped" if query.SKIPPED in made else " · predicted"


def head(lesson: Lesson, known: dict[str, Lesson]) -> None:
    """Draw the position among the lessons, and in this one."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        nav.link("lessons", "All lessons", icon="arrow_back")
        total, asked, _ = query.score(known)
        counted = f" · {signed(total)} point{'s' * (abs(total) != 1)}" if asked else ""
        st.caption(
            f"Lesson {list(known).index(lesson.name) + 1} of {len(known)} · {lesson.minutes} min{counted}",
            width="content",
        )
    st.markdown(f"## {lesson.title}")
    st.session_state["lesson_step"] = query.step(lesson.name)
    st.segmented_control(
        "Step of the lesson",
        STEPS,
        key="lesson_step",
        required=True,
        format_func=lambda step: f"{STEPS.index(step) + 1} {SECTIONS[step]}",
        label_visibility="collapsed",
        on_change=lambda: query.go(lesson.name, st.session_state["lesson_step"]),
    )


def gate(lesson: Lesson) -> None:
    """Draw a request for a prediction in place of what would show the answer."""
    with st.container(border=True, key="lesson_gate"):
        st.markdown("The results of the race are shown after your prediction.")
        with st.container(horizontal=True, gap="small"):
            st.button(
                "Predict first", key="predict_first", type="primary", on_click=query.go, args=(lesson.name, "predict")
            )
            _skip(lesson)


def _skip(lesson: Lesson) -> None:
    with st.container(key="lesson_next", width="content"):
        st.button(
            "Skip the prediction",
            key="skip_prediction",
            help="Counts as a prediction, without points.",
            on_click=query.skip,
            args=(lesson,),
        )


def predict(lesson: Lesson) -> None:
    with st.container(width=COLUMN):
        st.markdown(lesson.sections["predict"])
        links(lesson, "predict")
        if made := query.predictions(lesson.name):
            for place, (question, prediction) in enumerate(zip(lesson.questions, made, strict=True), 1):
                st.markdown(f"**{numbered(lesson, place)}{question.prompt}**\n\n{answered(question, prediction)}")
            forward("Watch", lesson, "watch")
        else:
            _form(lesson)


def answered(question: Question, prediction: query.Prediction) -> str:
    """Return what was predicted.

    >>> answered(Question(prompt="Which?", choices=("One", "Two"), answer=1, why="x"), query.SKIPPED)
    'Skipped.'
    """
    if prediction == query.SKIPPED:
        return "Skipped."
    points = f"{prediction.stake} point{'s' * (prediction.stake > 1)} at stake"
    return f"You answered: *{question.choices[prediction.choice - 1]}* ({points})"


def _form(lesson: Lesson) -> None:
    with st.form(f"lesson_form_{lesson.name}"):
        for place, question in enumerate(lesson.questions, 1):
            numbers = range(1, len(question.choices) + 1)
            st.radio(
                f"**{numbered(lesson, place)}{question.prompt}**", numbers, index=None, key=f"choice_{lesson.name}_{place}",
                format_func=partial(_choice, question),
            )  # fmt: skip
            st.radio(
                "How sure are you? (points at stake)", list(query.STAKES), key=f"stake_{lesson.name}_{place}", horizontal=True,
                format_func=query.STAKES.__getitem__,
            )  # fmt: skip
        st.caption("You win the points if you are right, and lose them if not. Nobody else sees them.")
        if st.session_state.get("lesson_missing") == lesson.name:
            st.error("Choose an answer to each question first.")
        st.form_submit_button(
            "Lock in and watch", key="lesson_commit", type="primary", on_click=query.commit, args=(lesson,)
        )
    if not st.session_state["lesson_asked"]:  # otherwise the gate above has the button
        _skip(lesson)


def _choice(question: Question, place: int) -> str:
    return question.choices[place - 1]


def watch(lab: Lab, person: Person, lesson: Lesson) -> None:
    """Draw the race; before a prediction only its settings and Start."""
    if not query.predictions(lesson.name):
        race.start_blind(lab, person, lesson)
        return
    with st.container(width=COLUMN):
        st.markdown(lesson.sections["watch"])
        links(lesson, "watch")
    race.draw(lab, person, lesson)
    forward("Reveal", lesson, "reveal")


def try_next(lesson: Lesson, known: dict[str, Lesson]) -> None:
    with st.container(width=COLUMN):
        st.markdown(lesson.sections["next"])
        links(lesson, "next")
    before, after = query.neighbours(lesson.name, known)
    st.space("small")
    with st.container(horizontal=True, gap="small", key="lesson_neighbours"):
        if before:
            nav.link("lessons", f"Previous: {before.title}", {"lesson": before.name}, icon="arrow_back")
        if after:
            nav.link("lessons", f"Next: {after.title}", {"lesson": after.name}, icon="arrow_forward")


def links(lesson: Lesson, step: str) -> None:
    for link in lesson.next:
        if link.step == step:
            nav.link(link.page, link.text, _address(lesson, link))


def _address(lesson: Lesson, link: Link) -> dict[str, str]:
    return {"preset": lesson.preset, **link.settings} if link.page == "race" else {}


def forward(label: str, lesson: Lesson, step: str) -> None:
    """Draw the button to the next step, with a key for each step: a browser may send one click twice, and skip a step."""
    if st.session_state.get("lesson_asked"):
        return
    with st.container(key="lesson_next"):
        st.button(label, key=f"to_{step}", icon=":material/arrow_forward:", on_click=query.go, args=(lesson.name, step))


def numbered(lesson: Lesson, place: int) -> str:
    return f"{place}. " if len(lesson.questions) > 1 else ""


def signed(points: int) -> str:
    return f"{points:+d}".replace("-", "−") if points else "0"
