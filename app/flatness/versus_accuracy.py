"""Over all lanes that a person has measured: are flatter ones more accurate?"""

from collections import Counter

import streamlit as st

from app.flatness import charts, correlation, text
from app.flatness.correlation import Point
from app.ui import estimators, legend, run_picker
from app.ui.chart_grid import grid
from app.ui.lab import Lab
from ssam.store import Person

ALL = ""  # tasks


def page(lab: Lab, person: Person) -> None:
    races = lab.store.runs.newest(run_picker.OFFERED, person.owner)
    points = correlation.points((race, lab.store.analyses.of_race(race.id)) for race in races)
    if not points:
        st.markdown(text.NOTHING_MEASURED)
    else:
        draw(points)
    literature()


def literature() -> None:
    with st.container(width=860):
        st.markdown("**In the literature**" + text.LITERATURE)


def draw(points: list[Point]) -> None:
    """Draw each estimator against accuracy, with its correlation."""
    tasks = Counter(point.task for point in points)
    chosen = next(iter(tasks))
    if len(tasks) > 1:
        chosen = st.selectbox(
            "Task",
            [*(task for task, _ in tasks.most_common()), ALL],
            key="flat_task",
            format_func=lambda task: task or "All together (tasks differ in difficulty)",
            width=520,
        )
    shown = [point for point in points if chosen in (ALL, point.task)]
    legend.draw(legend.methods({point.spec.lanes[point.lane].method for point in shown}), "flat_methods")
    open_markers = any(point.trains_otherwise for point in shown)
    st.caption(f"Final test accuracy against sharpness. Left is flatter.{text.OPEN * open_markers}")
    figures, lines = [], []
    for estimator, (title, _) in estimators.ESTIMATORS.items():
        if own := correlation.comparable(shown, estimator):
            found = correlation.correlate((point.value for point in own), (point.accuracy for point in own))
            figures.append(charts.scatter(own, title))
            lines.append(
                {
                    "Estimator": title,
                    "Correlation with accuracy": text.correlation(found),
                    "Conclusion": text.verdict(found),
                    "Measured with": own[0].setting,
                }
            )
    words = " ".join(
        f"{line['Estimator']}: {line['Correlation with accuracy']}. {line['Conclusion']}" for line in lines
    )
    grid(figures, "better", words, row=3)
    st.table(lines, border="horizontal", hide_index=True)
