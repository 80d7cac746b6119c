"""Recorded races: the file, and its playback by the live panel."""

import time
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from app import recorded
from ssam.spec import RaceSpec, presets
from ssam.spec.events import LaneEnded
from ssam.store import Store
from ssam.store.recording import DIGITS, load, save
from tests.browser import LIVE, Watched
from tests.fake_race import FakeRace
from tests.race_page import page

RECORDED = '[data-testid="recorded-race"]'


def finished(store: Store) -> str:
    """A made-up race of 20 steps a lane."""
    spec = RaceSpec(lanes="sgd,ssam-f", epochs=2)
    run_id = store.create_run(spec, "once", owner="somebody")
    store.take(run_id, "cpu")
    with store.writer(run_id) as writer:
        for event in FakeRace(spec, store.home, store.home, 1).events():
            writer.add(event)
            if isinstance(event, LaneEnded):
                assert event.step == 20
    store.move(run_id, ("starting",), "finished")
    return run_id


def close(mine: object, theirs: object) -> bool:
    """Whether two trees agree to the digits that are kept."""
    if isinstance(mine, dict) and isinstance(theirs, dict):
        return mine.keys() == theirs.keys() and all(close(mine[key], theirs[key]) for key in mine)
    if isinstance(mine, (list, tuple)) and isinstance(theirs, (list, tuple)):
        return len(mine) == len(theirs) and all(map(close, mine, theirs))
    return theirs == pytest.approx(mine, rel=10 ** (1 - DIGITS)) if isinstance(mine, float) else mine == theirs


def test_a_recording_holds_what_the_panel_draws(store: Store, tmp_path: Path) -> None:
    run_id = finished(store)
    save(store, run_id, {"command": "c"}, tmp_path / "new" / "it.json.gz")
    recording = load(tmp_path / "new" / "it.json.gz")
    run, window = store.run(run_id), store.window(run_id)
    assert run
    assert window
    assert recording.about == {"command": "c"}
    assert recording.run.spec == run.spec
    assert recording.run.owner == "", "nobody is told of"
    assert close(run.result, recording.run.result)
    for kept, lane in zip(recording.window.lanes, window.lanes, strict=True):
        assert close(lane.steps, kept.steps)
        assert close(lane.epochs, kept.epochs)
    mask = window.lanes[1].masks[-1]
    picture = store.heatmap(run_id, "ssam-f", "conv.weight", mask["step"])
    assert recording.pictures["ssam-f", "conv.weight", mask["step"]] == picture


def test_the_same_race_gives_the_same_file(store: Store, tmp_path: Path) -> None:
    run_id = finished(store)
    for name in ("a", "b"):
        save(store, run_id, {}, tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_only_a_finished_race_is_recorded(store: Store, tmp_path: Path) -> None:
    run_id = store.create_run(RaceSpec(), "once")
    for wrong in (run_id, "nobody's"):
        with pytest.raises(ValueError, match="is not a finished race"):
            save(store, wrong, {}, tmp_path / "it")


@pytest.mark.parametrize("name", recorded.names())
def test_every_bundled_recording_is_its_presets_race(name: str) -> None:
    recording = recorded.read(name)
    assert recording.run.spec == presets()[name].spec.model_copy(update={"seed": recording.run.spec.seed})
    assert recording.run.state == "finished"
    assert all(lane.state == "finished" and lane.points > 100 for lane in recording.window.lanes)
    assert recorded.about(name, recording).startswith(f"{presets()[name].title} · ")
    assert (recorded.FOLDER / f"{name}{recorded.SUFFIX}").stat().st_size < 500_000
    for lane in recording.window.lanes:
        for mask in lane.masks:
            assert (lane.name, recording.window.layers[0]["name"], mask["step"]) in recording.pictures


def test_the_default_preset_has_a_recording_and_unknown_names_are_told_what_there_is() -> None:
    first = next(iter(presets()))
    assert first in recorded.names()
    assert recorded.of_preset("custom") == first
    with pytest.raises(ValueError, match=f"'../../x' is not a recorded race; allowed: .*{first}"):
        recorded.read("../../x")


def opened(browser: Browser, new_lab: str, **context: str) -> tuple[Watched, Page]:
    watched = Watched(browser, **context)
    watched.page.goto(new_lab)
    watched.page.wait_for_selector(RECORDED)
    return watched, watched.page


def points(page: Page) -> int:
    return int(page.locator(RECORDED).get_attribute("data-points") or 0)


def epoch(page: Page) -> float:
    return float(page.locator(".replay input").input_value())


@pytest.mark.browser
def test_on_opening_a_recorded_race_moves_and_says_what_it_is(browser: Browser, new_lab: str) -> None:
    begin = time.monotonic()
    watched, page = opened(browser, new_lab)
    speed = page.get_by_label("Speed of the playback")
    lanes = recorded.read(recorded.of_preset("custom")).window.lanes
    length = sum(lane.seconds for lane in lanes) / float(speed.input_value())
    assert 8 <= length < 4 * 8, "it can be followed, and nobody waits for its end"
    speed.select_option("1")  # a slow machine would find it at its end
    page.wait_for_function(f"document.querySelector('{RECORDED}').dataset.points > 5")
    print(f"\nopen to a moving curve: {time.monotonic() - begin:.2f} s")
    expect(page.locator(".replay small")).to_contain_text("Recorded raceNoisy labels · ")
    expect(page.locator(".replay small")).to_contain_text("seed 0")
    assert page.locator(LIVE).count() == 0, "it is no live race"
    expect(page.locator(".st-key-start_race button")).to_be_enabled()

    page.get_by_role("button", name="Pause").click()
    held = epoch(page)
    time.sleep(0.7)
    assert epoch(page) == held
    page.get_by_role("button", name="+1 epoch").click()
    assert epoch(page) == int(held) + 1
    expect(page.locator("[data-part=accuracy]").first).to_contain_text("%")

    scrub = page.locator(".replay input")
    scrub.focus()
    page.keyboard.press("End")
    assert epoch(page) == 15
    expect(page.locator(".slide output")).to_have_text("at the start of epoch 15 of 15")
    expect(page.locator("[data-part=of]").first).to_have_text("on all 10,000 test images")
    whole = points(page)
    page.keyboard.press("Home")
    page.wait_for_function(f"document.querySelector('{RECORDED}').dataset.points < {whole / 4}")
    page.get_by_label("Speed of the playback").select_option("4")
    page.get_by_role("button", name="Play").press("Enter")
    page.wait_for_function(f"document.querySelector('{RECORDED}').dataset.points == {whole}")
    expect(page.get_by_role("button", name="Again")).to_be_visible()
    assert watched.problems == []
    page.context.close()


@pytest.mark.browser
def test_the_masks_of_another_layer_and_epoch_are_played_too(browser: Browser, new_lab: str) -> None:
    watched, page = opened(browser, new_lab, reduced_motion="reduce")
    assert epoch(page) == 15, "nothing moves by itself where motion is not wanted"
    expect(page.get_by_role("button", name="Again")).to_be_visible()
    label = page.locator(".maps canvas").first
    before = label.get_attribute("aria-label")
    page.locator(".layer").select_option(index=0)
    expect(label).not_to_have_attribute("aria-label", before or "")
    page.locator(".slide input").focus()
    page.keyboard.press("Home")
    expect(page.locator(".slide output")).to_have_text("at the start of epoch 1 of 15")
    expect(page.locator(".maps small").nth(1)).to_have_text("the first mask")
    assert watched.problems == []
    page.context.close()


def test_another_preset_shows_its_own_recording_or_the_first(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []
    monkeypatch.setattr(recorded, "draw", drawn.append)
    at = page()
    at.selectbox(key="preset").set_value("quick").run()
    at.selectbox(key="preset").set_value("clean-labels").run()
    assert drawn == ["noisy-labels", "noisy-labels", "clean-labels"]
