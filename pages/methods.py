"""Methods: a card for each, and all of them compared."""

import streamlit as st

from app import address, methods, methods_index, methods_measured, texts
from ssam.spec.cards import Card, cards


def page(known: dict[str, Card]) -> None:
    st.markdown("## What each method does, costs and keeps")
    if notice := st.session_state["methods_notice"]:
        st.warning(texts.plain(notice))
    view = st.segmented_control(
        "View",
        list(methods.VIEWS),
        key="methods_view",
        required=True,
        format_func=methods.VIEWS.__getitem__,
        label_visibility="collapsed",
        persist_state="session",
    )
    methods.write()
    found = methods_measured.everything()
    if view == "compare":
        methods.compare(list(known.values()), found)
        return
    chosen = st.session_state["methods_method"]
    index, card = st.columns([1, 4], gap="large")
    with index:
        methods_index.draw(known.values(), chosen, methods.chosen)
    with card:
        methods.draw(known[chosen], found)


address.leave()
every = cards()
if address.moved(methods.PAGE):
    st.session_state["methods_notice"] = methods.go(every)
page(every)
