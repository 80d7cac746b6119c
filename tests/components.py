"""What the components of a page are sent."""

import json

from streamlit.testing.v1 import AppTest


def data_of(app: AppTest, name: str) -> dict:
    """The data of the only component ``ssam_NAME`` on the page."""
    (component,) = [part for part in app.get("bidi_component") if part.proto.component_name.endswith(f"ssam_{name}")]
    return json.loads(bytes(component.proto.bytes).decode())
