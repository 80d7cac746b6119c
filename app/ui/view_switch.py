"""The row of buttons that chooses a page's view."""

from collections.abc import Mapping

import streamlit as st


def choose(label: str, titles: Mapping[str, str], key: str) -> str:
    """Draw the buttons, and return which is chosen; ``label`` is for those who hear it."""
    return str(
        st.segmented_control(
            label,
            list(titles),
            key=key,
            required=True,
            format_func=titles.__getitem__,
            label_visibility="collapsed",
            persist_state="session",
        )
    )
