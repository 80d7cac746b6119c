"""People for the tests of the pages. A script that is run by AppTest has no cookies: it keeps who it is in its session."""

from pathlib import Path

from streamlit.testing.v1 import AppTest

from app.shell import identity
from tests.patience import SECONDS

ROOT = Path(__file__).resolve().parents[1]

ALICE, BOB = ("a" * 43, "b" * 43)  # what their browsers' cookies would hold
SESSION = identity.SESSION  # where a session without a cookie keeps the like


def owner(token: str) -> str:
    """What the store knows this browser by."""
    return identity.owner_of(token)


def open_page(name: str = "race", token: str = ALICE, user: dict | None = None, **address: str) -> AppTest:
    """A page as somebody sees it, at an address, as a link to it brings it."""
    app = AppTest.from_file(str(ROOT / "app" / "main.py"), default_timeout=SECONDS)
    app.session_state[SESSION] = token
    if user is not None:
        app.secrets["auth"] = {"client_id": "lab"}
        for field, value in user.items():
            app.user[field] = value
    if name != "race":
        app.switch_page(f"../pages/{name}.py")
    app.query_params.update(address)
    app.run()
    assert not app.exception
    return app


def address_of(app: AppTest) -> dict[str, str]:
    """The words of the address that a page has written."""
    return {name: "".join(value) for name, value in app.query_params.items()}
