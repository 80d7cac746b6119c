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
    from app.shell import classroom, identity, nav, projector
    from app.ui import page_chrome

    st.set_page_config(
        page_title="SSAM Lab", page_icon=str(HERE / "icon.svg"), layout="wide", initial_sidebar_state=320
    )
    st.logo(str(HERE / "logo.svg"), icon_image=str(HERE / "icon.svg"), size="large")
    sections: dict[str, list[st.Page]] = {}
    for place, entry in enumerate(nav.PAGES.values()):
        sections.setdefault(entry.section, []).append(
            st.Page(
                ROOT / "pages" / f"{entry.name}.py",
                title=entry.title,
                icon=entry.symbol,
                default=place == 0,
                url_path=entry.name if place else None,
            )
        )
    page = st.navigation(sections, position="top")
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
