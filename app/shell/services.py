"""The one seam between the pages and everything behind them, made once per server."""

from dataclasses import dataclass

import streamlit as st

from ssam.jobs.client import Client
from ssam.store import Store


@dataclass(frozen=True)
class Lab:
    """``store`` knows every race; ``client`` has them run."""

    store: Store
    client: Client


@st.cache_resource(show_spinner=False)
def lab() -> Lab:
    store = Store()
    return Lab(store, Client(store))
