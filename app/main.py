"""Entry of the app: page settings and navigation, nothing else. Start it with ``python -m streamlit run app/main.py``."""

import gc
import sys
from pathlib import Path

import streamlit as st

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:  # a plain ``streamlit run`` puts only app/ there
    sys.path.insert(0, str(ROOT))


@st.cache_resource(show_spinner=False)
def freeze_garbage(page: str) -> None:
    """Streamlit collects all garbage after every run of a script. What has been imported need not be looked at again.
    Once for each page, which may import more than the others."""
    import pandas  # noqa: F401  the tables and the CSV want it later

    gc.collect()
    gc.freeze()


HERE = ROOT / "app"
st.set_page_config(page_title="SSAM Lab", page_icon=str(HERE / "icon.svg"), layout="wide", initial_sidebar_state=320)
st.logo(str(HERE / "logo.svg"), icon_image=str(HERE / "icon.svg"), size="large")
race = st.Page(ROOT / "pages" / "race.py", title="Race", icon=":material/flag:", default=True)
frontier = st.Page(
    ROOT / "pages" / "frontier.py", title="Frontier", icon=":material/scatter_plot:", url_path="frontier"
)
page = st.navigation([race, frontier], position="top")
page.run()
freeze_garbage(page.url_path)  # once the page is there
st.empty()  # a run that another has overtaken stops here; ending normally it would take the newer run's fragment away
