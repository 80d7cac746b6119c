"""Charts side by side, each with a sentence and a table."""

from collections.abc import Sequence
from typing import Any

import streamlit as st

from app.ui import alt_text, plot, texts
from app.ui.chart_base import Figure

ROW = 4  # charts side by side


def grid(figures: Sequence[Figure], key: str, words: str, row: int = ROW, config: dict[str, Any] = plot.CONFIG) -> None:
    """Draw charts side by side, at most ``row`` in a row, each with an alternative text, and all as tables below."""
    wide = min(row, max(1, len(figures)))
    with st.container(key=f"flat_figures_{key}"):
        for begin in range(0, len(figures), wide):
            columns = st.columns(wide, gap="small")
            for place, figure in enumerate(figures[begin : begin + wide], begin):
                with columns[place - begin], st.container(key=f"flat_chart_{key}_{place}"):
                    said = alt_text.summary(figure) or words
                    plot.draw(figure, f"flat_plot_{key}_{place}", said, f"{key}-{place + 1}", config)
        if figures:
            with st.expander("As a table" if len(figures) == 1 else "As tables", key=f"flat_tables_{key}"):
                for figure in figures:
                    st.caption(texts.plain(alt_text.title(figure)))
                    st.table(list(map(_plain, alt_text.table(figure))), border="horizontal", hide_index=True)


def _plain(row: dict[str, str]) -> dict[str, str]:
    """Return a row as Markdown that shows it literally: it may hold class names of somebody's images."""
    return {texts.plain(name): texts.plain(value) for name, value in row.items()}
