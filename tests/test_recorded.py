"""Recorded races: the file, and its playback by the live panel."""

import re
import time
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from streamlit.testing.v1 import AppTest

from app.shell import share_link
from app.ui import about_charts, component, recorded, run_labels, texts
from app.ui.lesson_content import lessons
from ssam.experiment import RaceSpec, parse_spec, presets
from ssam.experiment.events import LaneEnded
from ssam.experiment.presets import Preset
from ssam.store import Store
from ssam.store.race_file import DIGITS, load, save
from tests import fake_lab
from tests.browser import LIVE, Watched
from tests.fake_race import FakeRace
from tests.people import ALICE, owner
from tests.race_page import page

RECORDED = '[data-testid="recorded-race"]'


def finished(store: Store) -> str:
    """A made-up race of 20 steps a lane."""
    spec = RaceSpec(lanes="sgd,ssam-f", epochs=2)
    run_id = store.runs.create(spec, "once", owner="somebody")
    store.queue.assign(run_id, "cpu")
    with store.writer(run_id) as writer:
        for event in FakeRace(spec, store.home, store.home, 1).events():
            writer.add(event)
            if isinstance(event, LaneEnded):
                assert event.step == 20
    store.queue.transition(run_id, ("starting",), "finished")
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
    run, window = store.runs.get(run_id), store.curves.window(run_id)
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
    picture = store.curves.heatmap(run_id, "ssam-f", "conv.weight", mask["step"])
    assert recording.pictures["ssam-f", "conv.weight", mask["step"]] == picture


def test_the_same_race_gives_the_same_file(store: Store, tmp_path: Path) -> None:
    run_id = finished(store)
    for name in ("a", "b"):
        save(store, run_id, {}, tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_only_a_finished_race_is_recorded(store: Store, tmp_path: Path) -> None:
    run_id = store.runs.create(RaceSpec(), "once")
    for wrong in (run_id, "nobody's"):
        with pytest.raises(ValueError, match="finished race"):
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


def test_the_default_preset_is_recorded_and_unknown_names_are_told_what_there_is() -> None:
    first, entry = next(iter(presets().items()))
    assert recorded.of(entry.spec) == first
    with pytest.raises(ValueError, match=rf"'../../x' .*allowed: .*{first}"):
        recorded.read("../../x")


def test_a_recording_is_of_a_race_only_where_all_but_the_device_is_equal() -> None:
    for name in recorded.names():
        spec = recorded.read(name).run.spec
        assert recorded.of(spec) == name
        assert recorded.of(parse_spec({"device": "cuda:0"}, spec)) == name
        for field, other in {
            "seed": 7,
            "rho": 0.4,
            "epochs": 21,
            "label_noise": 0.1,
            "lanes": "sgd,sam",
            "weight_decay": 0.02,
        }.items():
            assert recorded.of(parse_spec({field: other}, spec)) is None, field


def test_the_nearest_recording_is_offered_with_what_sets_it_apart() -> None:
    default = next(iter(presets().values())).spec
    assert recorded.nearest(default.model_copy(update={"rho": 0.4})) == "noisy-labels"
    assert recorded.nearest(presets()["clean-labels"].spec.model_copy(update={"seed": 3})) == "clean-labels"
    assert recorded.nearest(parse_spec({"lanes": "sgd,sam,sam:rho=0.5:norm=masked:region=late"}, default)) == "where"
    apart = recorded.difference("noisy-labels", parse_spec({"rho": 0.4, "label_noise": 0, "device": "cpu"}, default))
    for said in ("Rho 0.2", "0.4", "40%", "0%"):
        assert said in apart
    assert "evice" not in apart


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
    watched, page = opened(browser, new_lab)
    speed = page.locator(".replay select")
    lanes = recorded.read("noisy-labels").window.lanes
    length = sum(lane.seconds for lane in lanes) / float(speed.input_value())
    assert 8 <= length < 4 * 8, "it can be followed, and nobody waits for its end"
    page.wait_for_function(f"document.querySelector('{RECORDED}').dataset.points > 5")
    expect(page.locator(".replay small")).to_contain_text("Noisy labels")
    expect(page.locator(".replay small")).to_contain_text("seed 0")
    assert page.locator(LIVE).count() == 0, "it is no live race"
    expect(page.locator(".st-key-start_race button")).to_be_enabled()

    speed.select_option("1")
    page.locator(".replay input").focus()
    page.keyboard.press("Home")  # a slow machine may find it at its end
    page.get_by_role("button", name="Play").click()
    page.wait_for_function("document.querySelector('.replay input').value > 0")
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
    expect(page.locator(".slide output")).to_contain_text("15 of 15")
    expect(page.locator("[data-part=of]").first).to_have_text(re.compile(r"± 0\.9 .*15, .*10,000"))
    whole = points(page)
    page.keyboard.press("Home")
    page.wait_for_function(f"document.querySelector('{RECORDED}').dataset.points < {whole / 4}")
    page.locator(".replay select").select_option("12")
    page.get_by_role("button", name="Play").press("Enter")
    page.wait_for_function(f"document.querySelector('{RECORDED}').dataset.points == {whole}")
    expect(page.get_by_role("button", name="Replay")).to_be_visible()
    assert watched.problems == []
    page.context.close()


@pytest.mark.browser
def test_one_more_epoch_is_the_next_after_the_one_that_is_shown(browser: Browser, new_lab: str) -> None:
    _, page = opened(browser, new_lab, reduced_motion="reduce")
    module = f"/app/static/{component.VERSION}/ui/live/replay.js"
    script = """async ([module, from]) => {
      const { Player } = await import(module);
      const seen = [], player = new Player((epoch) => seen.push(epoch));
      player.begin({ epochs: 15, replay: { label: "", about: "", seconds: 100 } });
      player.move(from);
      const before = player.when.textContent;
      player.next.click();
      return { before, after: player.when.textContent, scrub: Number(player.scrub.value), epoch: seen.at(-1) };
    }"""
    for place, shown, after in (
        (0, "0.0", 1),
        (0.97, "0.9", 1),
        (1, "1.0", 2),
        (6.999, "6.9", 7),
        (14.2, "14.2", 15),
        (15, "15.0", 15),
    ):
        found = page.evaluate(script, [module, place])
        assert shown in found["before"], "no epoch is named before its end is shown"
        assert (found["epoch"], found["scrub"]) == (after, after)
        assert f"{after}.0 of 15" in found["after"]
    page.context.close()


@pytest.mark.browser
def test_the_masks_of_another_layer_and_epoch_are_played_too(browser: Browser, new_lab: str) -> None:
    watched, page = opened(browser, new_lab, reduced_motion="reduce")
    assert epoch(page) == 15, "nothing moves by itself where motion is not wanted"
    expect(page.get_by_role("button", name="Replay")).to_be_visible()
    label = page.locator(".maps canvas").first
    before = label.get_attribute("aria-label")
    page.locator(".layer").select_option(index=0)
    expect(label).not_to_have_attribute("aria-label", before or "")
    page.locator(".slide input").focus()
    page.keyboard.press("Home")
    expect(page.locator(".slide output")).to_contain_text("1 of 15")
    expect(page.locator(".maps small").nth(1)).to_have_text("the first mask")
    assert watched.problems == []
    page.context.close()


@pytest.mark.browser
@pytest.mark.slow
def test_a_lane_that_ended_early_shows_its_end(browser: Browser, new_lab: str) -> None:
    watched, page = opened(browser, f"{new_lab}/?preset=tuned-sgd", reduced_motion="reduce")
    page.locator(f"{RECORDED} .card").first.wait_for()
    position = page.locator(".replay input[type=range]")
    for epoch, shown in ((5.5, "2,000"), (7, "10,000")):
        position.fill(str(epoch))
        expect(page.locator(f"{RECORDED} .card").nth(1)).to_contain_text(shown)
        expect(page.locator(f"{RECORDED} .card").nth(0)).to_contain_text("2,000")
    assert watched.problems == []
    page.context.close()


# What a page shows is the race of its form, or is called another one


STRANGE = {"custom": {"rho": "0.4"}, "a seed": {"seed": "3"}, "cifar": {"dataset": "cifar10"}}
SETTINGS = {f"preset {name}": {"preset": name} for name in presets()} | STRANGE
SETTINGS |= {
    f"{lesson.name}: {link.text}": {"preset": lesson.preset, **link.settings}
    for lesson in lessons().values()
    for link in lesson.next
    if link.page == "race"
}
SETTINGS |= {
    f"{lesson.name}: claim of {claim.preset}": {"preset": claim.preset}
    for lesson in lessons().values()
    for claim in lesson.claims
    if claim.preset
}
VERDICTS = ("memoris", "rises, then falls", "keeps up", "by heart", "does not help")


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """What has been played back, by name and, where it is not the form's race, label."""
    played: list[tuple[str, ...]] = []
    monkeypatch.setattr(recorded, "draw", lambda *args, **_: played.append(args))
    return played


def says(app: AppTest) -> str:
    kinds = (app.title, app.header, app.subheader, app.markdown, app.caption, app.info, app.warning, app.error)
    return "\n".join(element.value for kind in kinds for element in kind)


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_no_setting_plays_another_race_unasked(store: Store, drawn: list, settings: dict[str, str]) -> None:
    app = page(**settings)
    assert not app.exception
    spec = share_link.read_settings(settings)
    if name := recorded.of(spec):
        assert drawn == [(name,)]
        assert texts.RECORDED in says(app)
        return
    assert drawn == []
    said = says(app)
    assert texts.NOT_RECORDED in said
    assert texts.RECORDED not in said
    assert run_labels.describe(spec) in said
    assert run_labels.describe_lanes(spec) in said
    assert not [word for word in VERDICTS if word in said]
    other = recorded.nearest(spec)
    assert presets()[other].title in app.button(key="watch_other").label
    app.button(key="watch_other").click().run()
    assert [name for name, _ in drawn] == [other]
    assert "another" in drawn[0][1].lower()
    assert texts.plain(recorded.difference(other, spec)) in says(app)


@pytest.mark.parametrize("name", presets())
def test_a_class_is_shown_the_setting_and_start_only(store: Store, drawn: list, name: str) -> None:
    app = page(preset=name, seed="own", hide="sidebar", **{"class": "MAY-7KQ"})
    assert not app.exception
    said, spec = says(app), presets()[name].spec
    assert drawn == []
    assert run_labels.describe_without_seed(spec) in said
    assert run_labels.describe_lanes(spec) in said
    assert not [word for word in (*VERDICTS, texts.RECORDED, texts.NOT_RECORDED) if word in said]
    assert not app.button(key="start_race").disabled
    assert "watch_other" not in [button.key for button in app.button]


def test_the_settings_are_walked_one_after_the_other_as_a_stranger_does(store: Store, drawn: list) -> None:
    """In one session, so that nothing is left over from the setting before."""
    app = page()
    for name in presets():
        drawn.clear()
        app.selectbox(key="preset").set_value(name).run()
        assert drawn == ([(name,)] if name in recorded.names() else [])
    app.selectbox(key="dataset").set_value("images").run()
    drawn.clear()
    app.run()
    assert drawn == [], "own images, none of which are there yet"
    assert texts.RECORDED not in says(app)


def test_another_race_goes_away_once_the_setting_changes(store: Store, drawn: list) -> None:
    app = page(preset="fast-ssam")
    app.button(key="watch_other").click().run()
    assert len(drawn) == 1
    app.number_input(key="epochs").set_value(4).run()
    assert len(drawn) == 1
    assert app.button(key="watch_other")


def test_the_page_says_so_where_the_shown_race_is_not_the_one_in_the_form(store: Store) -> None:
    run = fake_lab.race(store, owner(ALICE))
    same = page(run=run.id)
    assert not [info for info in same.info if "form" in info.value]
    app = page(run=run.id)
    app.number_input(key="rho").set_value(0.35).run()
    (info,) = [info.value for info in app.info if "form" in info.value]
    assert "0.35" in info
    assert f"{run.spec.rho:g}" in info
    app.number_input(key="rho").set_value(run.spec.rho).run()
    assert not [info for info in app.info if "form" in info.value]


def test_what_such_races_show_is_said_of_a_finished_one_and_of_no_other() -> None:
    noisy, clean = presets()["noisy-labels"].spec, presets()["clean-labels"].spec
    numbers = about_charts.MEASURED["noisy-labels"]
    assert numbers
    assert numbers in about_charts.seeing(noisy.model_copy(update={"seed": 9}), True)["accuracy"]
    for spec, finished in ((noisy, False), (clean, True), (parse_spec({"rho": 0.4}, noisy), True)):
        told = about_charts.seeing(spec, finished)
        assert numbers not in told["accuracy"]
        assert any("memoris" in text for text in (*told["accuracy"], *told["steps"])) == bool(
            finished and spec.label_noise
        )


@pytest.mark.parametrize("entry", presets().values(), ids=presets())
def test_the_summary_of_a_preset_asks_and_tells_no_result(entry: Preset) -> None:
    assert not re.search(r"\b(gains?|cheap(er)?|better|beats?|less|heart|memoris\w+)\b", entry.summary)


@pytest.mark.browser
def test_a_recorded_card_has_rho_and_sparsity_and_another_race_is_called_so(browser: Browser, new_lab: str) -> None:
    watched, page = opened(browser, new_lab, reduced_motion="reduce")
    settings = page.locator(f"{RECORDED} .card [data-part=settings]")
    expect(settings.nth(2)).to_contain_text("ρ 0.2")
    expect(settings.nth(3)).to_contain_text("sparsity 50%")
    expect(settings.nth(3)).to_be_visible()
    rho = page.locator(".st-key-rho input")
    for typed, count in (("0.4", 0), ("0.2", 1)):  # the recording goes with its race, and comes back with it
        rho.fill(typed)
        rho.press("Enter")
        expect(page.locator(RECORDED)).to_have_count(count)
    page.goto(f"{new_lab}/?preset=fast-ssam")
    page.locator(".st-key-watch_other button").click()
    expect(page.locator(".replay small b")).to_contain_text("Another race")
    page.goto(f"{new_lab}/?preset=noisy-labels&class=MAY-7KQ&seed=own&hide=sidebar")
    expect(page.locator(".st-key-start_race button")).to_be_enabled()
    assert page.locator(RECORDED).count() == 0
    assert [said for said in watched.problems if "404" not in said] == []
    page.context.close()
