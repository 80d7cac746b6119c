"""What the components of a page are sent."""

import json

from streamlit.testing.v1 import AppTest


def data_of(app: AppTest, name: str) -> dict:
    """The data of the only component ``ssam_NAME`` on the page."""
    (data,) = every(app, name)
    return data


def every(app: AppTest, name: str) -> list[dict]:
    """The data of all of them."""
    named = [part for part in app.get("bidi_component") if part.proto.component_name.endswith(f"ssam_{name}")]
    return [_merged(bytes(part.proto.bytes).decode()) for part in named]


def _merged(text: str) -> dict:
    """One JSON object a line; the browser gets all of them together."""
    return {name: value for line in text.splitlines() for name, value in json.loads(line).items()}
