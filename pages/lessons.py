"""Lessons: predict, watch, reveal, try next."""

import streamlit as st

from app.lessons import query, reveal, views
from app.shell import classroom, identity, services
from app.ui import texts
from app.ui.lab import Lab
from app.ui.lesson_content import Lesson
from ssam.store import Person


def show(lab: Lab, person: Person, lesson: Lesson, known: dict[str, Lesson]) -> None:
    """Draw one lesson at the reader's step."""
    views.head(lesson, known)
    step = query.step(lesson.name)
    if st.session_state["lesson_asked"] or (step == "watch" and not query.predictions(lesson.name)):
        views.gate(lesson)
    if step == "predict":
        views.predict(lesson)
    elif step == "watch":
        views.watch(lab, person, lesson)
    elif step == "reveal":
        with st.container(width=views.COLUMN):
            reveal.draw(lab, lesson)
    else:
        views.try_next(lesson, known)


lab = services.lab()
person = identity.person(lab)
known, broken = query.everything()
table = query.table(known)
if table.moved():
    query.arrive(lab.store, known)
query.write(known)
classroom.bar(lab, switch=False)
table.notice()
name = st.session_state["lesson"]
with st.container(key="lesson"):
    if name:
        show(lab, person, known[name], known)
    else:
        with st.container(width=views.COLUMN):
            views.overview(known)
            for problem in broken:
                st.error(texts.plain(f"Left out: {problem}."))

try:
    lab.client.runner.ensure()  # last, so that the page is drawn while the first runner starts
except RuntimeError as error:
    st.error(texts.plain(str(error)))
