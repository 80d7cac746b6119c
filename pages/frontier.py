"""Frontier: accuracy against step time for everything that was tried, with links to the races."""

import streamlit as st

from app.frontier import charts, point_card, text
from app.shell import identity, nav, services, url_state
from app.ui import legend, plot, tradeoff_sources
from app.ui.tradeoff import Point, Task
from app.ui.tradeoff_sources import Study
from ssam.methods import METHODS

CLOSE = 1.1  # SGD steps
RUNS = 200  # own races, the latest, that are included
ALL, FINALISTS = "all", "finalists"
SHOWN = {ALL: "Everything tried", FINALISTS: "Finalists only"}


def filters(task: Task) -> list[Point]:
    """Draw the filters; return the remaining points."""
    points = list(task.points)
    if {"final", "search"} <= {point.source for point in points}:
        show = st.segmented_control(
            "Show",
            [ALL, FINALISTS],
            default=ALL,
            required=True,
            key="show",
            format_func=lambda choice: SHOWN[choice],
        )
        points = [point for point in points if show == ALL or point.source != "search"]
    if st.toggle("Sparsity ≥ 50%", key="sparse"):
        points = [point for point in points if point.sparsity > 0.495 or not METHODS[point.lane.method].perturbs]
    if st.toggle(f"Step time ≤ {CLOSE}× SGD", key="close"):
        points = [point for point in points if point.ratio is not None and point.ratio <= CLOSE]
    return points


def clicked(point: str) -> None:
    """Select the clicked point."""
    st.session_state["point"] = point


def page(study: Study | None, tasks: list[Task]) -> None:
    st.markdown("## Accuracy vs cost per step")
    with st.container(horizontal=True, vertical_alignment="bottom"):
        titles = {task.key: task.title for task in tasks}
        key = st.selectbox(
            "Task", list(titles), key="task", format_func=lambda key: titles[key], width=380, persist_state="session"
        )
        task = next(task for task in tasks if task.key == key)
        shown = filters(task)
    known = {point.key: point for point in task.points}
    chosen = known.get(st.session_state.get("point") or "")
    chart, aside = st.columns([7, 3])
    with chart, st.container(key="frontier_chart"):
        legend.draw(legend.methods({point.lane.method for point in shown}), "frontier_legend")
        tuned = tradeoff_sources.tuned_sgd(task)
        figure = charts.figure(task, shown, chosen, tuned)
        plot.draw(figure, "frontier_plot", text.summary(task, shown), "frontier", on_point=clicked)
        if below := charts.hidden(task, shown):
            st.caption(f"{below} of the points lie below the chart; they are in the table.")
    with aside:
        st.selectbox(
            "Point",
            sorted(known, key=lambda key: known[key].source == "search"),  # finalists first
            index=None,
            key="point",
            format_func=lambda key: text.option(known[key]),
            placeholder="Click one in the chart, or choose here",
            persist_state="session",
        )
        if chosen:
            point_card.card(task, chosen)
        elif best := text.on_the_line(shown):
            st.caption("Pareto front, by step time:")
            st.table(best, border="horizontal", hide_index=True, hide_header=True)
    with st.container(width=860):
        st.markdown(text.axes(shown))
        if tuned:
            st.markdown(text.tuned(tuned))
        st.markdown(text.late_half(task))
    with st.expander("All points as a table"):
        point_card.table(task)
    if study and key in (known_task.key for known_task in study.tasks):
        st.caption(text.tried(study, task))


url_state.leave()
lab = services.lab()
study = tradeoff_sources.study()
tasks = tradeoff_sources.with_own(study.tasks if study else (), lab.store.runs.newest(RUNS, identity.person(lab).owner))
if tasks:
    with st.container(key="frontier"):
        page(study, tasks)
else:
    st.markdown(text.EMPTY)
    nav.link("race", "To the race")
