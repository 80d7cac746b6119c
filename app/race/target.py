"""What each lane of a finished race took to an accuracy that the reader moves."""

import streamlit as st

from app.ui import texts, theme
from app.ui.lab import Lab
from ssam.store import Run
from ssam.store.target import reached, usual_target


@st.fragment
def to_target(lab: Lab, run: Run) -> None:
    """Nothing for a race that has not finished."""
    table = lab.store.curves.epochs_table(run.id) if run.result else None
    if table is None:
        return
    rows = table.to_dict("records")
    titles = dict(zip(run.spec.lane_names, theme.lane_titles(run.spec), strict=True))
    courses = {title: [row for row in rows if row["lane"] == name] for name, title in titles.items()}
    if (usual := usual_target(courses.values())) is None:
        return
    with st.container(key="to_target"):
        target = st.slider(
            "Cost to reach a test accuracy of", 1, 100, round(100 * usual), format="%d%%", key=f"target_{run.id}"
        )
        firsts = {title: reached(course, target / 100) for title, course in courses.items()}
        st.dataframe(
            [
                {"Lane": title, "Gradients": first.gradients, "Seconds": first.seconds, "Epoch": first.epoch}
                for title, first in firsts.items()
                if first
            ],
            hide_index=True,
            column_config={"Seconds": st.column_config.NumberColumn(format="%.1f")},
        )
        never = [title for title, first in firsts.items() if first is None]
        said = f"Never reached by {'; '.join(never)}. " * bool(never)
        st.caption(
            texts.plain(
                f"{said}Counted to the first evaluation at or above {target}%, not interpolated; mask refreshes take no gradients."
            )
        )
