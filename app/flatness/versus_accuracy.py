"""The honest question: over everything that a person has measured, does flatter go with better?"""

from collections import Counter

import streamlit as st

from app import flatness, flatness_charts, flatness_correlation, flatness_texts, legend
from app.flatness_correlation import Point
from app.flatness_panel import grid
from app.server import Lab
from ssam.store import Person

ALL = ""  # tasks


def page(lab: Lab, person: Person) -> None:
    races = lab.store.runs(flatness.RUNS, person.owner)
    points = flatness_correlation.points((race, lab.store.analyses(race.id)) for race in races)
    if not points:
        st.markdown(flatness_texts.NOTHING_MEASURED)
    else:
        _drawn(points)
    with st.container(width=860):
        st.markdown("**Found before, in the literature**" + flatness_texts.LITERATURE)


def _drawn(points: list[Point]) -> None:
    tasks = Counter(point.task for point in points)
    chosen = next(iter(tasks))
    if len(tasks) > 1:
        chosen = st.selectbox(
            "Task",
            [*(task for task, _ in tasks.most_common()), ALL],
            key="flat_task",
            format_func=lambda task: task or "All together (tasks differ in how hard they are)",
            width=520,
        )
    shown = [point for point in points if chosen in (ALL, point.task)]
    legend.draw(legend.methods({point.spec.lanes[point.lane].method for point in shown}), "flat_methods")
    st.caption("Final test accuracy against sharpness. Left is flatter.")
    figures, lines = [], []
    for estimator, (title, _) in flatness_texts.ESTIMATORS.items():
        if own := flatness_correlation.comparable(shown, estimator):
            found = flatness_correlation.correlate((point.value for point in own), (point.accuracy for point in own))
            figures.append(flatness_charts.scatter(own, title))
            lines.append(
                {
                    "Estimator": title,
                    "Correlation with accuracy": flatness_texts.correlation(found),
                    "What that says": flatness_texts.verdict(found),
                    "Measured with": own[0].setting,
                }
            )
    words = " ".join(
        f"{line['Estimator']}: {line['Correlation with accuracy']}. {line['What that says']}" for line in lines
    )
    grid(figures, "better", words, row=3)
    st.table(lines, border="horizontal", hide_index=True)
