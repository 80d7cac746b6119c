"""Toy surface: SGD, SAM and SSAM on a loss of two weights. It runs in the browser; the server keeps the address."""

import streamlit as st

from app.surface import query, text

if query.TABLE.moved():
    query.go()
st.markdown("## Two weights, one surface")
query.TABLE.notice()
query.show()
query.write()
with st.expander("What am I seeing?", key="surface_seeing"), st.container(width=860):
    st.markdown("\n\n".join(text.SEEING))
