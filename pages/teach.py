"""For teachers: links for a class, and a plan for 45 minutes."""

import streamlit as st

from app.shell import classroom, projector, services, url_state
from app.teach import link_builder, text

url_state.leave()
lab = services.lab()
classroom.bar(lab, switch=False)
st.markdown("## For teachers")
st.markdown(text.TEACH)
build, guide = st.columns([3, 2], gap="large")
with build, st.container(border=True, key="link_builder"):
    st.markdown("### A link for the class")
    link_builder.form()
with guide:
    st.markdown(text.KEYS.format(keys=projector.table()))
with st.expander("Teacher's guide: 45 minutes", key="guide"), st.container(width=860):
    st.markdown(text.guide())
