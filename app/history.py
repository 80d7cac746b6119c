"""Races that have been: the table of a finished one, and the way back to earlier ones."""

import time

import streamlit as st

from app import controls, start, texts, theme
from app.server import Lab
from ssam.spec import METHODS
from ssam.store import Run


def result(run: Run) -> None:
    """The table of a finished race; nothing for others."""
    if not run.result:
        return
    number = st.column_config.NumberColumn
    lanes = zip(run.spec.lanes, theme.lane_titles(run.spec), run.result["lanes"], strict=True)
    st.dataframe(
        [
            {
                "Lane": title,
                "Sparsity": lane["sparsity"] if METHODS[asked.method].sparse else None,
                "Rho": lane["rho"] if METHODS[asked.method].passes > 1 else None,
                "Test accuracy": None if lane["test_accuracy"] is None else 100 * lane["test_accuracy"],
                "Test loss": lane["test_loss"],
                "ms a step": lane["step_ms_median"],
                "× SGD": lane["step_ratio_to_sgd"],
                "Seconds": lane["seconds"],
            }
            for asked, title, lane in lanes
        ],
        hide_index=True,
        column_config={
            "Sparsity": number(format="percent"),
            "Test accuracy": number(format="%.1f %%"),
            "Test loss": number(format="%.3f"),
            "ms a step": number(format="%.1f"),
            "× SGD": number(format="%.2f"),
            "Seconds": number(format="%.1f"),
        },
    )


def csv(lab: Lab, run_id: str) -> str:
    """Every evaluation of the race, one line each."""
    table = lab.store.table(run_id)
    return "" if table is None else table.to_csv(index=False)


def recent(lab: Lab, shown: Run | None) -> None:
    """The newest races to open again, folded away."""
    others = [run for run in lab.store.runs(limit=12) if shown is None or run.id != shown.id]
    if not others:
        return
    with st.expander("Recent races"):
        for run in others:
            ago = texts.duration(time.time() - run.created)
            label = f"{start.describe(run.spec)} ({texts.STATES[run.state].lower()}, {ago} ago)"
            st.button(label, key=f"open_{run.id}", type="tertiary", on_click=_open, args=(run,))


def _open(run: Run) -> None:
    st.session_state["run"] = run.id
    controls.fill(run.spec)
