"""Toy surface: SGD, SAM and SSAM on a loss of two weights. It all runs in the browser; the server keeps the address."""

import streamlit as st

from app.shell import url_state
from app.surface import query, text
from app.ui import texts

url_state.leave()
if url_state.moved(query.PAGE):
    st.session_state["surface_notice"] = query.go()
st.markdown("## Two weights, one surface")
if notice := st.session_state.get("surface_notice"):
    st.warning(texts.plain(notice))
query.show()
query.write()
with st.expander("What am I seeing?", key="surface_seeing"), st.container(width=860):
    st.markdown("\n\n".join(text.SEEING))
