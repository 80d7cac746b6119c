"""Entry of the app: ``python -m streamlit run app/main.py``.

The server imports this file once for the web application, ``app``; each session then runs it as a script, which is the navigation.
"""

import gc
import sys
from pathlib import Path

import streamlit as st

ROOT = Path(__file__).resolve().parents[1]
HERE = ROOT / "app"
SWEEP_SECONDS = 10.0
if str(ROOT) not in sys.path:  # a plain ``streamlit run`` puts only app/ there
    sys.path.insert(0, str(ROOT))


# By section of the navigation: file, title, icon. The first one opens.
PAGES = {
    "": [
        ("race", "Race", "flag"),
        ("runs", "Runs", "history"),
        ("compare", "Compare", "compare_arrows"),
        ("sweeps", "Sweeps", "tune"),
        ("lessons", "Lessons", "school"),
    ],
    "Understand": [
        ("surface", "Toy surface", "show_chart"),
        ("anatomy", "Anatomy of a step", "footprint"),
        ("methods", "Methods", "functions"),
    ],
    "Look inside": [
        ("masks", "Masks", "grid_on"),
        ("flatness", "Flatness", "landscape"),
        ("frontier", "Frontier", "scatter_plot"),
    ],
    "Class": [("wall", "Class wall", "groups"), ("teach", "For teachers", "co_present"), ("system", "System", "dns")],
}


def _page(name: str, title: str, icon: str) -> st.Page:
    default = name == PAGES[""][0][0]
    address = None if default else name
    return st.Page(
        ROOT / "pages" / f"{name}.py", title=title, icon=f":material/{icon}:", default=default, url_path=address
    )


@st.cache_resource(show_spinner=False)
def freeze_garbage(page: str) -> None:
    """What has been imported need not be looked at whenever Python collects garbage. Once for each page, which may import more
    than the others."""
    import pandas  # noqa: F401  the tables and the CSV want it later

    gc.collect()
    gc.freeze()


@st.cache_resource(ttl=SWEEP_SECONDS, show_spinner=False)
def sweep() -> None:
    """Collects what closed pages leave behind. Python by itself waits until there is a quarter more than before the freezing."""
    gc.collect()


def navigation() -> None:
    from app.shell import classroom, identity, projector
    from app.ui import page_chrome

    st.set_page_config(
        page_title="SSAM Lab", page_icon=str(HERE / "icon.svg"), layout="wide", initial_sidebar_state=320
    )
    st.logo(str(HERE / "logo.svg"), icon_image=str(HERE / "icon.svg"), size="large")
    page = st.navigation(
        {section: [_page(*about) for about in pages] for section, pages in PAGES.items()}, position="top"
    )
    st.set_page_config(page_title=f"{page.title} · SSAM Lab")
    page_chrome.draw(page.title)
    identity.account()
    page.run()
    if classroom.presenting():
        projector.draw()
    freeze_garbage(page.url_path)  # once the page is there
    sweep()
    st.empty()  # a run that another has overtaken stops here; ending normally it would take the newer run's fragment away


if __name__ == "__main__":
    navigation()
else:
    from app.shell import middleware

    middleware.prepare()
    app = st.App(__file__, routes=middleware.ROUTES, middleware=middleware.MIDDLEWARE, on_script_error=middleware.tell)
