"""The result of a race: its table, or the last lines of its log."""

import streamlit as st

from app.ui import theme
from app.ui.lab import Lab
from ssam.methods import METHODS
from ssam.stats import proportion
from ssam.store import Person, Run
from ssam.store.outcome import outcomes


def result(run: Run) -> None:
    """Draw the table of a finished race; nothing for others."""
    if not (ends := outcomes(run)):
        return
    number = st.column_config.NumberColumn
    lanes = zip(run.spec.lanes, theme.lane_titles(run.spec), ends, strict=True)
    st.dataframe(
        [
            {
                "Lane": title,
                "Sparsity": end.sparsity if METHODS[asked.method].sparse else None,
                "Rho": end.rho if METHODS[asked.method].perturbs else None,
                "Test accuracy": end.said,
                "Test loss": end.test_loss,
                "ms/step": end.step_ms,
                "× SGD": end.ratio,
                "Seconds": end.seconds,
            }
            for asked, title, end in lanes
        ],
        hide_index=True,
        placeholder="–",
        column_config={
            "Sparsity": number(format="percent"),
            "Test loss": number(format="%.3f"),
            "ms/step": number(format="%.1f"),
            "× SGD": number(format="%.2f"),
            "Seconds": number(format="%.1f"),
        },
    )
    for title, end in zip(theme.lane_titles(run.spec), ends, strict=True):
        if end.best_epoch is not None:
            st.caption(f"{title}: the weights of epoch {end.best_epoch:g}, its best by validation accuracy, count.")
    if size := ends[0].test_size:
        about = "; ".join(filter(None, [f"{size:,} test images", proportion.one_image(size)]))
        st.caption(
            f"Last epoch, {about}. With the accuracy: its {proportion.LEVEL} interval from the number of images alone."
        )


def log(lab: Lab, run: Run, person: Person) -> None:
    """Show the last lines of a failed race's log, folded away. Only to its owner: they may name folders of the server."""
    if run.state in ("failed", "interrupted") and person.may_steer(run) and (lines := lab.store.runs.log_tail(run.id)):
        with st.expander("Last lines of the log", key="log_tail"):
            st.code(lines, language=None, wrap_lines=True)
