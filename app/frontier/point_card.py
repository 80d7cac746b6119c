"""The numbers of the page Frontier: one point on a card, all of them in a table."""

import streamlit as st

from app.frontier import text
from app.shell import nav, url_state
from app.ui import texts, theme
from app.ui.tradeoff import Point, Task


def card(task: Task, point: Point) -> None:
    """Draw one point: what the lane does, its numbers, its seeds, its race."""
    with st.container(border=True, key="frontier_card"):
        st.subheader(theme.lane_title(point.lane), anchor=False)
        st.caption(text.seeds(point) + (f", on {point.place}" if point.place else ""))
        st.markdown(text.words(point.lane, point.sparsity))
        st.table(text.facts(point), border="horizontal", hide_index=True, hide_header=True)
        where = {"run": point.run} if point.run else url_state.of(task.race(point))
        label = "Open this race" if point.run else f"Race it against SGD and SAM, seed {point.trials[0].seed}"
        if not point.run and task.spec.data:
            st.caption(f"It needs the images {texts.plain(task.spec.data)}: upload them on the race page.")
        nav.link("race", label, where)


def table(task: Task) -> None:
    number, percent = st.column_config.NumberColumn, st.column_config.NumberColumn(format="percent")
    formats = {
        "%.1f": ("Accuracy", "± sd"),
        "%+.1f": ("Gain over SGD",),
        "%.2f": ("Step time / SGD", "Predicted", "Total time / SGD"),
    }
    columns = {name: number(format=form) for form, names in formats.items() for name in names}
    columns |= {name: percent for name in ("Share of SAM's gain", "Sparsity")}
    st.dataframe(text.table(task), hide_index=True, placeholder="–", column_config=columns)
    st.download_button(
        "CSV",
        text.as_csv(task),
        f"frontier-{task.key}.csv",
        "text/csv",
        key="frontier_csv",
        icon=":material/download:",
        on_click="ignore",
    )
