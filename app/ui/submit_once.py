"""A button that submits once, however often it is pressed."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st


@contextmanager
def submit_once(name: str, notice: str = "", failed: str = "Not started") -> Iterator[str]:
    """Give the id of what a button asks for: the same at each press, until it has worked.

    An error of the block becomes one line in the session state, under ``notice``, else ``NAME_notice``.
    """
    request, notice = f"{name}_request", notice or f"{name}_notice"
    st.session_state[notice] = ""
    try:
        yield st.session_state.setdefault(request, secrets.token_urlsafe(16))
    except (ValueError, PermissionError, RuntimeError) as error:  # a limit is reached, or no runner comes up
        st.session_state[notice] = f"{failed}: {error}."
    else:
        del st.session_state[request]
