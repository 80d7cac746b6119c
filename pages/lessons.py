"""Lessons: predict, watch, reveal, try next."""

import streamlit as st

from app import address, classroom, identity, lessons, lessons_reveal, lessons_views, server, texts
from app.server import Lab
from ssam.spec.lessons import Lesson
from ssam.store import Person


def show(lab: Lab, person: Person, lesson: Lesson, known: dict[str, Lesson]) -> None:
    """One lesson, at the step where the reader is."""
    lessons_views.head(lesson, known)
    step = lessons.step(lesson.name)
    if st.session_state["lesson_asked"] or (step == "watch" and not lessons.predictions(lesson.name)):
        lessons_views.gate(lesson)
    if step == "predict":
        lessons_views.predict(lesson)
    elif step == "watch":
        lessons_views.watch(lab, person, lesson)
    elif step == "reveal":
        with st.container(width=lessons_views.COLUMN):
            lessons_reveal.draw(lab, lesson)
    else:
        lessons_views.try_next(lesson, known)


address.leave()
lab = server.lab()
person = identity.person(lab)
known, broken = lessons.everything()
if address.moved(lessons.PAGE):
    lessons.arrive(lab.store, known)
lessons.write()
classroom.bar(lab, switch=False)
if notice := st.session_state["lesson_notice"]:
    st.warning(texts.plain(notice))
name = st.session_state["lesson"]
with st.container(key="lesson"):
    if name:
        show(lab, person, known[name], known)
    else:
        with st.container(width=lessons_views.COLUMN):
            lessons_views.overview(known)
            for problem in broken:
                st.error(texts.plain(f"Left out: {problem}."))

try:
    lab.client.ensure_runner()  # last, so that the page is there while the first runner comes up
except RuntimeError as error:
    st.error(texts.plain(str(error)))
