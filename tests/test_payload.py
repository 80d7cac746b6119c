"""What goes to the browser has one type, written down for both sides."""

import base64
import json

import numpy as np
import pytest

from app.anatomy import data as anatomy_data
from app.anatomy import view
from app.ui import live_payload, recorded, wire
from app.ui.live_types import Payload
from ssam.markers import DASHES, MARKERS, Style
from ssam.styles import METHOD_STYLES
from tests.payload_declarations import FILES, ROOT, declarations


@pytest.mark.parametrize("module", FILES)
def test_the_declarations_for_the_browser_are_those_of_the_types(module: str) -> None:
    assert (ROOT / FILES[module]).read_text(encoding="utf-8") == declarations(module), (
        "run: python -m tests.payload_declarations"
    )


def test_a_race_has_the_keys_of_its_type_and_no_other() -> None:
    recording = recorded.read(recorded.names()[0])
    race = json.loads(json.dumps(live_payload.race(recording.run, recording.window, "")))
    assert set(race) == set(Payload.__annotations__) - {"heat", "heats", "replay", "before", "inside"}
    lane = Payload.__annotations__["lanes"].__args__[0]
    optional = {"validation_accuracy"}
    for sent in race["lanes"]:
        assert set(sent) == set(lane.__annotations__)
        for name in ("steps", "epochs"):
            assert set(sent[name]) >= set(lane.__annotations__[name].__annotations__) - optional


def test_a_lane_of_the_anatomy_keeps_its_style() -> None:
    """What a page adds to a lane does not hide what draws its line and marker."""
    found = anatomy_data.recorded()
    style = set(wire.LaneStyle.__annotations__)
    for lane in view.told(found, "run", {})["lanes"]:
        sent = wire.lane_style(lane["title"], Style(lane["color"], lane["dash"], lane["symbol"]))
        assert {key: lane[key] for key in style} == sent


def test_numbers_arrive_as_they_were() -> None:
    text = wire.floats([1.5, None, -2.0])
    np.testing.assert_array_equal(np.frombuffer(base64.b64decode(text), "<f4"), [1.5, np.nan, -2.0])


def test_every_style_is_in_the_one_table_of_markers_and_dashes() -> None:
    assert min(len(MARKERS), len(DASHES)) >= 12, "room for more methods"
    for style in METHOD_STYLES.values():
        assert style.symbol in MARKERS
        assert style.dash in DASHES
    drawn = [(marker.filled, marker.open, marker.matplotlib, marker.path) for marker in MARKERS.values()]
    for names in zip(*drawn, strict=True):
        assert len(set(names)) == len(MARKERS), names
    assert Style("#000000", "dot", "star-open").glyph == MARKERS["star"].open
    assert len({str(dash.matplotlib) for dash in DASHES.values()}) == len(DASHES)
