"""Methods: a card for each, and all of them compared."""

import streamlit as st

from app.methods import index as methods_index
from app.methods import measured
from app.methods import view as methods_view
from app.methods.cards import Card, cards
from app.shell.address import Table


def page(known: dict[str, Card], table: Table) -> None:
    st.markdown("## What each method does, costs and keeps")
    table.notice()
    view = st.segmented_control(
        "View",
        list(methods_view.VIEWS),
        key="methods_view",
        required=True,
        format_func=methods_view.VIEWS.__getitem__,
        label_visibility="collapsed",
        persist_state="session",
    )
    table.push_url()
    found = measured.everything()
    if view == "compare":
        methods_view.compare(list(known.values()), found)
        return
    chosen = st.session_state["methods_method"]
    index, card = st.columns([1, 4], gap="large")
    with index:
        methods_index.draw(known.values(), chosen, methods_view.chosen)
    with card:
        methods_view.draw(known[chosen], found)


every = cards()
table = methods_view.table(every)
if table.moved():
    table.complain(table.load_from_url())
page(every, table)
