"""The lengths of the perturbations: how they are counted, and that every text tells those of the recordings."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from app.ui import live_payload, quoted_numbers, recorded
from benchmarks import radius
from ssam.experiment import ASSETS
from ssam.methods import METHODS
from ssam.store import LaneWindow
from tests.browser import Watched

ROOT = Path(__file__).resolve().parents[1]
RECORD = json.loads(radius.FILE.read_text(encoding="utf-8"))


def lane_of(steps: dict[str, list[float | None]]) -> LaneWindow:
    return replace(recorded.read("noisy-labels").window.lanes[1], steps=steps)


def test_a_mean_radius_counts_every_step_once() -> None:
    """Bins of two steps, 1–2 and 3–4, and a last one of step 5 alone."""
    lane = lane_of({"step": [1.5, 3.5, 5.0], "radius": [0.1, 0.2, 0.4]})
    assert lane.mean_radius == pytest.approx((2 * 0.1 + 2 * 0.2 + 0.4) / 5)
    assert lane.mean_square_radius == pytest.approx((2 * 0.01 + 2 * 0.04 + 0.16) / 5)
    assert lane_of({"step": [1.5, 3.5], "radius": [None, 0.2]}).mean_radius == pytest.approx(0.2)


def test_what_has_no_radius_has_no_mean() -> None:
    assert lane_of({"step": [1.0, 2.0], "radius": [None, None]}).mean_radius is None
    assert lane_of({}).mean_radius is None, "a look that is kept without its curves"


def test_the_file_is_what_the_recordings_say() -> None:
    assert radius.measured() == RECORD
    assert RECORD["races"].keys() == set(recorded.names())


def test_a_masks_share_is_that_of_its_weights_only_at_random() -> None:
    """A random half keeps √½ of the length; Fisher's half keeps far more, and the squares add up to the length."""
    rows = {row["lane"]: row for row in RECORD["races"]["which-mask"]["lanes"]}
    assert rows["ssam"]["length"] == pytest.approx(0.5**0.5, abs=0.01)
    assert rows["ssam"]["square"] == pytest.approx(0.5, abs=0.01)
    assert rows["ssam-f"]["length"] == pytest.approx(0.93, abs=0.01)
    assert rows["ssam-f"]["square"] == pytest.approx(0.86, abs=0.01)
    for race in RECORD["races"].values():
        for row in race["lanes"]:
            assert row["radius"] <= row["rho"] * 1.0001
            assert row["length"] is None or row["square"] >= row["length"] ** 2 - 1e-3
            assert row["length"] is None or row["radius"] == pytest.approx(row["length"] * row["rho"], abs=1e-4)


@pytest.mark.parametrize("name", recorded.names())
def test_the_panel_tells_each_lanes_rho_and_length(name: str) -> None:
    recording = recorded.read(name)
    told = live_payload.race(recording.run, recording.window, "")["lanes"]
    known = {row["lane"]: row for row in RECORD["races"][name]["lanes"]}
    for lane in told:
        if row := known.get(lane["name"]):
            assert lane["radius"] == pytest.approx(row["radius"], abs=1e-4)
            assert lane["rho"] == row["rho"]
            assert f"ρ {row['rho']:g}" in lane["settings"]
        else:
            assert lane["radius"] is None


@pytest.mark.parametrize("name", recorded.names())
def test_a_sentence_has_the_length_of_every_lane(name: str) -> None:
    said = quoted_numbers.lengths(name)
    for row in RECORD["races"][name]["lanes"]:
        assert re.search(rf"{row['radius']:.3f} .*{row['rho']:g}", said)
        method = next(method for method in METHODS if row["lane"].partition(":")[0] == method)
        if METHODS[method].sparse and row["length"]:
            assert f"{100 * row['length']:.1f}%" in said


def row_of(race: str, lane: str) -> dict:
    return next(row for row in RECORD["races"][race]["lanes"] if row["lane"] == lane)


def test_the_table_in_the_docs_is_the_files() -> None:
    text = (ROOT / "docs" / "measured.md").read_text(encoding="utf-8")
    part = text.partition("## How long the perturbations are\n")[2].partition("\n## ")[0]
    found = re.findall(r"^\| (?!lane|-)(.*) \|$", part, re.MULTILINE)
    rows = [
        row_of("sparsity-dial", "sam"),
        *(row for row in RECORD["races"]["sparsity-dial"]["lanes"] if row["lane"].startswith("ssam-f")),
        row_of("which-mask", "ssam-d"),
        row_of("which-mask", "ssam"),
    ]
    shown = [cells.split(" | ")[1:] for cells in found]
    assert shown == [
        [f"{100 - 100 * row['sparsity']:g}%", f"{row['rho']:g}", f"{row['radius']:.3f}"]
        + [f"{100 * row[share]:.1f}%" for share in ("length", "square")]
        for row in rows
    ]


def test_every_length_in_the_readme_is_a_recordings() -> None:
    """Numbers of three decimals in what is said of lengths."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    about = [part for part in re.split(r"\n\n|\n- |\n\*\*|\n## ", text) if re.search(r"‖m⊙ε‖|length", part)]
    found = {number for part in about for number in re.findall(r"\b0\.\d{3}\b", part)}
    assert found
    assert found <= {f"{row['radius']:.3f}" for race in RECORD["races"].values() for row in race["lanes"]}
    shares = {share for part in about for share in re.findall(r"\b\d\d\.\d(?=%)", part)}
    known = {
        f"{100 * row['length']:.1f}" for race in RECORD["races"].values() for row in race["lanes"] if row["length"]
    }
    assert shares <= known


def test_no_text_calls_half_of_the_weights_half_of_the_perturbation() -> None:
    for path in (
        *ASSETS.glob("lessons/*.md"),
        *ASSETS.glob("methods/*.md"),
        *ASSETS.glob("presets/*.json"),
        ROOT / "README.md",
    ):
        text = " ".join(path.read_text(encoding="utf-8").split())
        wrong = re.findall(r"(?:half|most) (?:of )?(?:the|its) perturbation(?!'s)", text, re.IGNORECASE)
        assert not [one for one in wrong if f"not {one}" not in text], path.name


@pytest.mark.browser
def test_a_card_and_the_curves_footer_tell_the_length(browser: Browser, new_lab: str) -> None:
    watched = Watched(browser, reduced_motion="reduce")
    page = watched.page
    page.goto(new_lab)
    page.wait_for_selector('[data-testid="recorded-race"]')
    page.locator('[data-panel="steps"] select').select_option("radius")
    footer = page.locator('[data-panel="steps"] footer')
    for row in RECORD["races"]["noisy-labels"]["lanes"]:
        title = METHODS[row["lane"]].title
        card = page.locator(".card", has=page.get_by_role("heading", name=title, exact=True)).locator(
            '[data-part="settings"]'
        )
        expect(card).to_be_visible()
        expect(card).to_contain_text(f"ρ {row['rho']:g}")
        expect(card).to_contain_text(f"{row['radius']:.3f}")
        expect(footer).to_have_text(re.compile(rf"{title} {row['radius']:.3f} .*{row['rho']:g}"))
    expect(footer).to_contain_text("SGD")
    assert watched.problems == []
    page.context.close()
