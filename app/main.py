"""Entry of the app: ``python -m streamlit run app/main.py``.

The server imports this file once for the web application, ``app``; each session then runs it as a script, which is the navigation.
"""

import gc
import sys
from pathlib import Path

import streamlit as st

ROOT = Path(__file__).resolve().parents[1]
HERE = ROOT / "app"
if str(ROOT) not in sys.path:  # a plain ``streamlit run`` puts only app/ there
    sys.path.insert(0, str(ROOT))


@st.cache_resource(show_spinner=False)
def freeze_garbage(page: str) -> None:
    """What has been imported need not be looked at whenever Python collects garbage. Once for each page, which may import more
    than the others."""
    import pandas  # noqa: F401  the tables and the CSV want it later

    gc.collect()
    gc.freeze()


def navigation() -> None:
    from app import identity

    st.set_page_config(
        page_title="SSAM Lab", page_icon=str(HERE / "icon.svg"), layout="wide", initial_sidebar_state=320
    )
    st.logo(str(HERE / "logo.svg"), icon_image=str(HERE / "icon.svg"), size="large")
    pages = ROOT / "pages"
    race = st.Page(pages / "race.py", title="Race", icon=":material/flag:", default=True)
    masks = st.Page(pages / "masks.py", title="Masks", icon=":material/grid_on:", url_path="masks")
    frontier = st.Page(pages / "frontier.py", title="Frontier", icon=":material/scatter_plot:", url_path="frontier")
    flatness = st.Page(pages / "flatness.py", title="Flatness", icon=":material/landscape:", url_path="flatness")
    system = st.Page(pages / "system.py", title="System", icon=":material/dns:", url_path="system")
    page = st.navigation([race, masks, frontier, flatness, system], position="top")
    identity.account()
    page.run()
    freeze_garbage(page.url_path)  # once the page is there
    st.empty()  # a run that another has overtaken stops here; ending normally it would take the newer run's fragment away


if __name__ == "__main__":
    navigation()
else:
    from app import asgi

    asgi.prepare()
    app = st.App(__file__, routes=asgi.ROUTES, middleware=asgi.MIDDLEWARE, on_script_error=asgi.tell)
