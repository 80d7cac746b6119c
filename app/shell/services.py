"""The services behind the pages, made once per server."""

import streamlit as st

from app.ui.lab import Lab
from ssam.jobs.client import Client
from ssam.store import Store


@st.cache_resource(show_spinner=False)
def lab() -> Lab:
    store = Store()
    return Lab(store, Client(store))
