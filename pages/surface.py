"""Toy surface: SGD, SAM and SSAM on a loss of two weights. It all runs in the browser; the server keeps the address."""

import streamlit as st

from app import address, surface, surface_texts, texts

address.leave()
if address.moved(surface.PAGE):
    st.session_state["surface_notice"] = surface.go()
st.markdown("## Two weights, one surface")
if notice := st.session_state.get("surface_notice"):
    st.warning(texts.plain(notice))
surface.show()
surface.write()
with st.expander("What am I seeing?", key="surface_seeing"), st.container(width=860):
    st.markdown("\n\n".join(surface_texts.SEEING))
