"""Controls, curves and tables of the page Compare."""

from collections.abc import Sequence
from functools import partial

import streamlit as st

from app.compare import charts, query, text
from app.compare.groups import Group
from app.shell import fallback
from app.ui import alt_text, legend, plot, run_labels
from app.ui.lab import Lab
from ssam.store import Person


def races(lab: Lab, person: Person) -> None:
    """Draw the choice of races."""
    offered = query.offered(lab, person)
    st.session_state["cmp_runs"] = [run_id for run_id in st.session_state["cmp_runs"] if run_id in offered]
    names = query.recordings(list(offered))
    titles = run_labels.labels([run for run_id, run in offered.items() if run_id not in names])
    titles |= {name: fallback.title(name) for name in names}
    count = len(st.session_state["cmp_runs"])
    with st.expander(f"Races: {count}", key="cmp_races", expanded=not count):
        st.multiselect(
            "Races",
            list(offered),
            key="cmp_runs",
            format_func=lambda run_id: titles.get(run_id, run_id),
            max_selections=query.MOST,
            placeholder="Choose races",
            label_visibility="collapsed",
            persist_state="session",
        )


def controls(every: Sequence[Group], baseline: Group | None) -> None:
    """Draw the choice of lanes, baseline and curve."""
    titles = {group.key: group.title for group in every}
    st.session_state["cmp_baseline"] = baseline.key if baseline else None
    with st.container(key="cmp_bar", horizontal=True, vertical_alignment="bottom", gap="small"):
        st.selectbox(
            "Baseline",
            list(titles),
            key="cmp_baseline",
            format_func=lambda key: titles.get(key, key),
            width=240,
            persist_state="session",
        )
        st.multiselect(
            "Lanes",
            list(titles),
            key="cmp_lanes",
            format_func=lambda key: titles.get(key, key),
            placeholder="All",
            width=320,
            persist_state="session",
        )
        _select("Metric", "show", _curves(every), 180)
        _select("x-axis", "x", charts.X, 140)
        _select("Smoothing", "smooth", {str(last): title for last, title in charts.SMOOTH.items()}, 190)
        if any(len(group.members) > 1 for group in every):
            _select("Seeds", "band", charts.BANDS, 190)


def _curves(every: Sequence[Group]) -> dict[str, str]:
    """Return the available metrics: validation accuracy only if a race holds images out, or an address asks for it."""
    split = any(member.run.spec.validation for group in every for member in group.members)
    wanted = split or st.session_state["cmp_show"] == "validation_accuracy"
    return {name: title for name, title in charts.SHOWN.items() if wanted or name != "validation_accuracy"}


def _select(label: str, name: str, titles: dict[str, str], width: int) -> None:
    st.selectbox(
        label,
        list(titles),
        key=f"cmp_{name}",
        format_func=lambda value: titles[value],
        width=width,
        persist_state="session",
    )


def curves(every: Sequence[Group], shown: Sequence[Group], baseline: Group | None) -> None:
    """Draw the chart, with its alternative text and table."""
    state = st.session_state
    smooth, kind = int(state["cmp_smooth"]), state["cmp_band"]
    figure = charts.figure(every, shown, baseline, state["cmp_x"], state["cmp_show"], smooth, kind)
    drawn = [group for group in every if group in shown or group is baseline]
    legend.draw([(group.style.glyph, group.style.color, _named(group, baseline)) for group in drawn], "cmp_legend")
    if not figure["data"]:
        st.caption("No curve yet: nothing has been evaluated.")
        return
    with st.container(key="cmp_chart"):
        plot.draw(figure, "cmp_plot", alt_text.summary(figure), "compare")
    if said := text.caption(kind, smooth, any(len(group.finished) > 1 for group in drawn)):
        st.caption(said)
    with st.expander("As a table", key="cmp_table"):
        st.table(alt_text.table(figure), border="horizontal", hide_index=True)


def _named(group: Group, baseline: Group | None) -> str:
    count = len(group.finished)
    said = f"{count} seed{'s' * (count != 1)}"
    return f"{group.title}, {'baseline, ' * (group is baseline)}{said}"


def tables(every: Sequence[Group], shown: Sequence[Group], baseline: Group | None) -> None:
    """Draw the results: accuracies and differences, cost, and sharpness if measured."""
    rows = [group for group in every if group in shown or group is baseline]
    st.markdown("### Results over seeds")
    st.markdown(text.summary(rows, baseline))
    st.table(text.accuracy_rows(rows, baseline), border="horizontal", hide_index=True)
    st.markdown("### Cost")
    st.table(text.cost_rows(rows), border="horizontal", hide_index=True)
    if sharp := text.sharpness_rows(rows):
        with st.expander("Sharpness, as measured", key="cmp_sharpness"):
            st.table(sharp, border="horizontal", hide_index=True)
    if said := text.notes(rows):
        st.caption(said)
    st.download_button(
        "CSV",
        partial(csv, rows, baseline),
        "compare.csv",
        "text/csv",
        key="cmp_csv",
        icon=":material/download:",
        on_click="ignore",
    )


def csv(rows: Sequence[Group], baseline: Group | None) -> str:
    """Return all numbers as CSV, a line for each lane."""
    from pandas import DataFrame

    return str(DataFrame(text.table(rows, baseline)).to_csv(index=False))
