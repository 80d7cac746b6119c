"""Methods: a card for each, and all of them compared."""

import streamlit as st

from app.methods import index as methods_index
from app.methods import measured
from app.methods import view as methods_view
from app.methods.cards import Card, cards
from app.shell.address import Table
from app.ui import view_switch


def page(known: dict[str, Card], table: Table) -> None:
    st.markdown("## What each method does, its cost and memory")
    table.notice()
    view = view_switch.choose("View", methods_view.VIEWS, "methods_view")
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
