"""The class wall: its statistics against slow twins, what counts, what the others are told, and the page."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some
from scipy import stats
from streamlit.testing.v1 import AppTest

from app.ui.lab import Lab
from app.wall import data, payload
from app.wall.data import Walls
from app.wall.payload import Group
from ssam.experiment import parse_spec, preset
from ssam.jobs.client import Client
from ssam.stats.paired import compare, family, sentence
from ssam.store import Person, Store
from tests import fake_class
from tests.components import data_of
from tests.fake_class import CODE, SPEC
from tests.golden import Golden, assert_one_line_error
from tests.hostile import quick
from tests.patience import SECONDS
from tests.people import ALICE, BOB, SESSION, owner

ROOT = Path(__file__).resolve().parents[1]
VALUES = some.lists(some.integers(-50, 50).map(float), min_size=1, max_size=12)

# Statistics


@given(VALUES)
@quick
def test_quartiles_are_numpys(values: list[float]) -> None:
    assert payload.quartiles(values) == pytest.approx(tuple(np.quantile(values, [0.25, 0.5, 0.75])), abs=1e-9)


@given(some.lists(some.dictionaries(some.integers(1, 6).map(float), some.integers(0, 100).map(float)), max_size=8))
@quick
def test_a_band_is_the_quartiles_at_each_epoch(curves: list[dict[float, float]]) -> None:
    rows = {row[0]: row[1:] for row in payload.band(curves)}
    for epoch in range(1, 7):
        reached = [curve[epoch] for curve in curves if epoch in curve]
        assert (epoch in rows) == (len(reached) >= payload.FEWEST_DRAWN)
        if epoch in rows:
            assert rows[epoch] == pytest.approx((len(reached), *np.quantile(reached, [0.25, 0.5, 0.75])))


# What counts


def look(store: Store) -> tuple[Group, ...]:
    return Walls().look(store, CODE).groups


def test_races_with_other_settings_are_never_mixed(store: Store) -> None:
    fake_class.furnish(store, 3)
    rho = SPEC.model_copy(update={"rho": 0.3})
    fake_class.finish(store, "zoe", 0, spec=rho)
    fake_class.finish(store, "zoe", 0, code="OTHER")
    groups = look(store)
    assert [(group.spec.rho, len(group.entries)) for group in groups] == [(0.2, 3), (0.3, 1)]
    assert groups[0].key != groups[1].key


def test_a_seed_counts_once_the_finished_one_first(store: Store) -> None:
    begun = fake_class.begin(store, "ada", 7)
    finished = fake_class.finish(store, "ben", 7)
    fake_class.finish(store, "cleo", 7)
    fake_class.finish(store, "dora", 8)
    (group,) = look(store)
    assert [(entry.race.owner, entry.race.spec.seed) for entry in group.entries] == [("ben", 7), ("dora", 8)]
    assert finished != begun


def test_stopped_and_diverged_ones_are_named_and_not_counted(store: Store, golden: Golden) -> None:
    from ssam.experiment.events import LaneEnded

    fake_class.furnish(store, 3)
    stopped = fake_class.begin(store, "zoe", 10)
    fake_class.advance(store, stopped, range(1, 9))
    assert store.queue.transition(stopped, ("running",), "stopped")
    diverged = fake_class.begin(store, "yan", 11)
    with store.writer(diverged) as writer:
        writer.add(LaneEnded("sam", 5, "diverged"))
    (group,) = look(store)
    assert re.findall(r"\d", payload.counts(group)) == ["5", "3", "1", "1"]
    golden("wall", "how many seeds", payload.counts(group))
    assert payload.row(group, 1, None)[:2] == ["SAM", "3 (1 diverged)"]
    assert payload.row(group, 0, None)[:2] == ["SGD", "3"]


def test_the_table_is_that_of_the_results(store: Store) -> None:
    fake_class.furnish(store, 8)
    (group,) = look(store)
    sgd, sam = (
        [100 * fake_class.accuracy(method, seed, SPEC.epochs, SPEC.epochs) for seed in range(8)]
        for method in ("sgd", "sam")
    )
    low, middle, high = np.quantile(sam, [0.25, 0.5, 0.75])
    compared = family([compare(group.results(lane), group.results(0)) for lane in (1, 2, 3)])
    leads = [a - b for a, b in zip(sam, sgd, strict=True)]
    assert payload.comparisons(group) == dict(zip((1, 2, 3), compared, strict=True))
    exact = stats.ttest_1samp(leads, 0).confidence_interval(0.95)
    assert payload.row(group, 1, compared[0]) == [
        "SAM",
        "8",
        f"{middle:.1f}%",
        payload.row(group, 1, None)[3],
        payload.signed(float(np.mean(leads))),
        f"{payload.signed(exact.low)} to {payload.signed(exact.high)}",
    ]
    assert payload.row(group, 0, None)[4:] == ["–", "–"]
    told = payload.group(group)
    assert told["verdicts"] == [payload.verdict(group, lane, found) for lane, found in enumerate(compared, 1)]
    assert told["verdicts"][0].startswith(sentence("SAM", "SGD", compared[0]))
    assert "8 of 8" in told["verdicts"][0]
    assert [f"{low:.1f}", f"{high:.1f}"] == re.findall(r"\d+\.\d", payload.row(group, 1, None)[3])
    assert told["lanes"][1]["differences"]["mean"] == pytest.approx(np.mean(leads))


def test_too_few_seeds_are_said_to_be_too_few(store: Store, golden: Golden) -> None:
    fake_class.furnish(store, 2)
    (group,) = look(store)
    assert {found.verdict for found in payload.comparisons(group).values()} == {"too few pairs"}
    golden("wall", "too few seeds", *payload.group(group)["verdicts"])
    assert payload.group(group)["lanes"][1]["differences"]["low"] is None


def test_my_run_becomes_one_of_many(store: Store, golden: Golden) -> None:
    fake_class.furnish(store, 12, me="me")
    (group,) = look(store)
    leads = group.differences(1)
    place = sorted(leads.values(), reverse=True).index(leads[0]) + 1
    (mine,) = payload.mine(group, Person("me"))
    said = payload.my_words(group, [mine])
    middle = payload.signed(float(np.median(list(leads.values()))))
    assert_one_line_error(said[0], ["Seed 0", payload.signed(leads[0]), middle, payload.place_of(place), "12"])
    golden("wall", "one's own place", *said)
    assert len(said) == 3
    assert payload.mine(group, Person("stranger")) == []


def floats(text: str) -> Sequence[float]:
    import base64

    return np.frombuffer(base64.b64decode(text), dtype="<f4").tolist()


def test_every_seed_has_its_line(store: Store) -> None:
    fake_class.furnish(store, 4)
    part = fake_class.begin(store, "zoe", 20)
    fake_class.advance(store, part, range(1, 6))
    fake_class.begin(store, "yan", 21)
    told = payload.group(look(store)[0])
    assert told["seeds"] == [0, 1, 2, 3, 20, 21]
    sam = told["lanes"][1]
    assert sam["lengths"] == [15, 15, 15, 15, 5, 0]
    y = floats(sam["y"])
    assert y[60:65] == pytest.approx(
        [100 * fake_class.accuracy("sam", 20, epoch, 15) for epoch in range(1, 6)], abs=1e-3
    )
    assert sam["band"]["n"] == [5] * 5 + [4] * 10
    assert sam["differences"]["values"][4:] == [None, None]
    assert told["lanes"][0]["differences"] is None


def test_long_races_are_thinned_to_their_end(store: Store) -> None:
    fake_class.furnish(store, 3)
    long = SPEC.model_copy(update={"epochs": 200})
    for seed in range(3):
        fake_class.finish(store, "zoe", seed, spec=long)
    told = next(payload.group(group) for group in look(store) if group.spec.epochs == 200)
    lane = told["lanes"][1]
    assert max(lane["lengths"]) <= payload.POINTS + 1
    assert floats(lane["x"])[lane["lengths"][0] - 1] == 200
    assert len(lane["band"]["x"]) <= payload.POINTS + 1


# For all who watch, once


def test_all_who_watch_share_one_wall_and_ended_races_are_read_once(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, asked = SimpleNamespace(now=100.0), []
    monkeypatch.setattr(data, "time", SimpleNamespace(monotonic=lambda: clock.now))
    read = type(store.classes).courses
    monkeypatch.setattr(type(store.classes), "courses", lambda self, keys: asked.append(len(keys)) or read(self, keys))
    fake_class.furnish(store, 5)
    under_way = fake_class.begin(store, "zoe", 9)
    walls = Walls()
    first = walls.look(store, CODE)
    assert all(walls.look(store, CODE) is first for _ in range(30))
    assert first.told(first.groups[0]) is first.told(first.groups[0])
    clock.now += 0.6 * data.PACE
    assert walls.look(store, CODE) is not first
    assert asked == [6, 1]
    fake_class.advance(store, under_way, range(1, 16))
    clock.now += data.PACE
    (group,) = walls.look(store, CODE).groups
    assert group.entries[-1].lanes[0].result is not None
    clock.now += data.PACE
    walls.look(store, CODE)
    assert asked == [6, 1, 1, 0]
    for number in range(data.KEPT + 5):
        walls.look(store, f"CLASS-{number}")
    assert len(walls.newest) == len(walls.ended) == data.KEPT


# Privacy


def test_the_others_learn_neither_whose_a_race_is_nor_its_address(store: Store) -> None:
    ids = fake_class.furnish(store, 4)
    mine = fake_class.finish(store, owner(ALICE), 50)
    zipped = parse_spec({"dataset": "images", "data": "anna-smith-0123456789abcdef.zip"})
    group = look(store)[0]
    app = page(ALICE)
    sent = json.dumps(data_of(app, "wall"), ensure_ascii=False)
    for secret in [*ids, mine, owner(ALICE), "student"]:
        assert secret not in sent
        assert secret not in json.dumps(payload.group(group))
    assert '"mine": [4]' in sent
    assert "Seed 50" in sent
    images = data.grouped([store.classes.races(CODE)[0].__class__(1, "id", "anna", zipped, "queued", None)], {})
    assert "anna" not in payload.title(images[0])


def test_a_stranger_is_told_the_same_but_for_what_is_their_own(store: Store) -> None:
    fake_class.furnish(store, 3, me=owner(ALICE))
    sent = {}
    for token in (ALICE, BOB):
        sent[token] = data_of(page(token), "wall")
    own = ("mine", "words")
    assert {name: value for name, value in sent[ALICE].items() if name not in own} == {
        name: value for name, value in sent[BOB].items() if name not in own
    }
    assert sent[ALICE]["mine"] == [0]
    assert sent[BOB]["mine"] == sent[BOB]["words"] == []


# The page


def page(token: str = ALICE, **address: str) -> AppTest:
    app = AppTest.from_file(str(ROOT / "app" / "main.py"), default_timeout=SECONDS)
    app.session_state[SESSION] = token
    app.session_state["class_code"] = CODE
    app.switch_page("../pages/wall.py")
    for name, value in address.items():
        app.query_params[name] = value
    app.run()
    assert not app.exception
    return app


def test_a_class_without_races_says_so(store: Store, golden: Golden) -> None:
    golden("wall", "without races", *(info.value for info in page().info))


def test_a_code_can_be_typed(store: Store) -> None:
    fake_class.furnish(store, 2)
    app = AppTest.from_file(str(ROOT / "app" / "main.py"), default_timeout=SECONDS)
    app.switch_page("../pages/wall.py").run()
    app.text_input(key="typed_code").set_value("x")
    app.button[0].click().run()
    assert "class code 'x'" in app.error[0].value.replace("\\", "")
    app.text_input(key="typed_code").set_value("may-7kq")
    app.button[0].click().run()
    assert not app.exception
    assert any(CODE in text.value for text in app.markdown)
    assert app.get("bidi_component")


def test_groups_can_be_chosen(store: Store) -> None:
    fake_class.furnish(store, 3)
    fake_class.finish(store, "zoe", 0, spec=preset("demo").spec.model_copy(update={"lanes": SPEC.lanes}))
    app = page()
    box = app.selectbox(key="wall_group")
    assert len(box.options) == 2
    assert box.options[0].endswith("(3)")
    box.select_index(1).run()
    assert not app.exception
    assert data_of(app, "wall")["seeds"] == [0]


def test_a_word_that_an_address_cannot_have_is_told(store: Store) -> None:
    app = page(**{"class": CODE, "colour": "red"})
    assert_one_line_error(app.warning[0].value, ["'colour'"])


def test_the_lab_counts_races_of_a_class(store: Store) -> None:
    fake_class.furnish(store, 2, me=owner(ALICE))
    assert any("1 race" in caption.value for caption in page().caption)
    assert Lab(store, Client(store)).store.classes.count(CODE, owner(ALICE)) == 1


def test_numbers_are_written_as_people_write_them() -> None:
    assert [payload.signed(value) for value in (3.14, -3.14, 0.04, -0.04)] == ["+3.1", "−3.1", "0.0", "0.0"]
