"""The list of all lessons, and what their steps show but for the reveal."""

from functools import partial

import streamlit as st

from app import lessons, lessons_race
from app.server import Lab
from ssam.spec.lessons import SECTIONS, STEPS, Lesson, Link, Question
from ssam.store import Person

ICONS = {"surface": "show_chart", "anatomy": "footprint", "masks": "grid_on", "flatness": "landscape", "frontier": "scatter_plot", "methods": "functions", "race": "flag"}  # fmt: skip
COLUMN = 860  # pixels: lines that can be read


def overview(known: dict[str, Lesson]) -> None:
    """All lessons, with what one can say after each."""
    st.markdown("## Lessons")
    st.markdown(
        "Each one: **predict**, with points on it; **watch** the race, recorded or your own; see what the numbers **reveal**. Any order will do."
    )
    total, asked = lessons.points(known)
    if asked:
        st.caption(
            f"{signed(total)} point{'s' * (abs(total) != 1)} from {asked} question{'s' * (asked != 1)}, in this session."
        )
    for place, lesson in enumerate(known.values(), 1):
        with st.container(border=True, key=f"lesson_card_{lesson.name}", gap="xsmall"):
            with st.container(horizontal=True, vertical_alignment="center", gap="small"):
                st.page_link(
                    "../pages/lessons.py", label=f"**{place} · {lesson.title}**", query_params={"lesson": lesson.name}
                )
                st.caption(f"{lesson.minutes} min{_progress(lesson)}", width="content")
            st.markdown(f"{lesson.summary} After it you can {lesson.goal}")


def _progress(lesson: Lesson) -> str:
    if lessons.has_seen(lesson.name):
        return " · seen"
    return " · predicted" if lessons.predictions(lesson.name) else ""


def head(lesson: Lesson, known: dict[str, Lesson]) -> None:
    """Where one is: among the lessons, and in this one."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.page_link("../pages/lessons.py", label="All lessons", icon=":material/arrow_back:")
        total, asked = lessons.points(known)
        counted = f" · {signed(total)} point{'s' * (abs(total) != 1)}" if asked else ""
        st.caption(
            f"Lesson {list(known).index(lesson.name) + 1} of {len(known)} · {lesson.minutes} min{counted}",
            width="content",
        )
    st.markdown(f"## {lesson.title}")
    st.session_state["lesson_step"] = lessons.step(lesson.name)
    st.segmented_control(
        "Step of the lesson",
        STEPS,
        key="lesson_step",
        required=True,
        format_func=lambda step: f"{STEPS.index(step) + 1} {SECTIONS[step]}",
        label_visibility="collapsed",
        on_change=lambda: lessons.go(lesson.name, st.session_state["lesson_step"]),
    )


def asked_anyway(lesson: Lesson) -> None:
    """Before a prediction the reveal asks once."""
    if not (wanted := st.session_state.get("lesson_asked")):
        return
    with st.container(border=True, key="lesson_gate"):
        st.markdown("You have not predicted yet, and this shows the answer.")
        with st.container(horizontal=True, gap="small"):
            st.button(
                "Predict first", key="predict_first", type="primary", on_click=lessons.go, args=(lesson.name, "predict")
            )
            with st.container(key="lesson_next", width="content"):
                st.button("Show me anyway", key="show_anyway", on_click=lessons.go, args=(lesson.name, wanted, True))


def predict(lesson: Lesson) -> None:
    with st.container(width=COLUMN):
        st.markdown(lesson.sections["predict"])
        links(lesson, "predict")
        if made := lessons.predictions(lesson.name):
            for place, (question, prediction) in enumerate(zip(lesson.questions, made, strict=True), 1):
                st.markdown(f"**{numbered(lesson, place)}{question.prompt}**")
                st.markdown(
                    f"You said: *{question.choices[prediction.choice - 1]}* ({prediction.stake} point{'s' * (prediction.stake > 1)} on it)"
                )
            forward("Watch", lesson, "watch")
        elif lessons.has_seen(lesson.name):
            st.caption("You have seen the reveal: there is nothing left to win here.")
            for place, question in enumerate(lesson.questions, 1):
                st.markdown(
                    f"**{numbered(lesson, place)}{question.prompt}**\n"
                    + "".join(f"\n- {choice}" for choice in question.choices)
                )
            forward("Watch", lesson, "watch")
        else:
            _form(lesson)


def _form(lesson: Lesson) -> None:
    with st.form(f"lesson_form_{lesson.name}"):
        for place, question in enumerate(lesson.questions, 1):
            numbers = range(1, len(question.choices) + 1)
            st.radio(
                f"**{numbered(lesson, place)}{question.prompt}**", numbers, index=None, key=f"choice_{lesson.name}_{place}",
                format_func=partial(_choice, question),
            )  # fmt: skip
            st.radio(
                "Points on it", list(lessons.STAKES), key=f"stake_{lesson.name}_{place}", horizontal=True,
                format_func=lessons.STAKES.__getitem__,
            )  # fmt: skip
        st.caption(
            "Right wins the points, wrong loses them. They count for this session only, and nobody else sees them."
        )
        if st.session_state.get("lesson_missing") == lesson.name:
            st.error("Choose an answer first, to each question.")
        st.form_submit_button(
            "Commit and watch", key="lesson_commit", type="primary", on_click=lessons.commit, args=(lesson,)
        )
    forward("Watch without predicting", lesson, "watch")


def _choice(question: Question, place: int) -> str:
    return question.choices[place - 1]


def watch(lab: Lab, person: Person, lesson: Lesson) -> None:
    with st.container(width=COLUMN):
        st.markdown(lesson.sections["watch"])
        links(lesson, "watch")
    lessons_race.draw(lab, person, lesson)
    forward("Reveal", lesson, "reveal")


def try_next(lesson: Lesson, known: dict[str, Lesson]) -> None:
    with st.container(width=COLUMN):
        st.markdown(lesson.sections["next"])
        links(lesson, "next")
    before, after = lessons.neighbours(lesson.name, known)
    st.space("small")
    with st.container(horizontal=True, gap="small", key="lesson_neighbours"):
        if before:
            st.page_link(
                "../pages/lessons.py",
                label=f"Before: {before.title}",
                icon=":material/arrow_back:",
                query_params={"lesson": before.name},
            )
        if after:
            st.page_link(
                "../pages/lessons.py",
                label=f"Next: {after.title}",
                icon=":material/arrow_forward:",
                query_params={"lesson": after.name},
            )


def links(lesson: Lesson, step: str) -> None:
    for link in lesson.next:
        if link.step == step:
            st.page_link(
                f"../pages/{link.page}.py",
                label=link.text,
                icon=f":material/{ICONS[link.page]}:",
                query_params=_address(lesson, link),
            )


def _address(lesson: Lesson, link: Link) -> dict[str, str]:
    return {"preset": lesson.preset, **link.settings} if link.page == "race" else {}


def forward(label: str, lesson: Lesson, step: str) -> None:
    """The way on. A key of its own for each step: a browser may send one click twice, and the second would go one further."""
    if st.session_state.get("lesson_asked"):
        return
    with st.container(key="lesson_next"):
        st.button(
            label, key=f"to_{step}", icon=":material/arrow_forward:", on_click=lessons.go, args=(lesson.name, step)
        )


def numbered(lesson: Lesson, place: int) -> str:
    return f"{place}. " if len(lesson.questions) > 1 else ""


def signed(points: int) -> str:
    return f"{points:+d}".replace("-", "−") if points else "0"
