"""Lessons: the format, the claims against the measured data, and the way through the page."""

import json
import re
import statistics
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from streamlit.testing.v1 import AppTest

from app.lessons import query as reader
from app.lessons import text as lessons_text
from app.lessons.query import Prediction
from app.shell.url_state import STALE_SECONDS
from app.ui import evidence, live_panel, recorded, run_labels
from app.ui.lesson_content import FOLDER, Claim, Lesson, lessons, read, readable
from ssam.catalogue import DISTURBANCES
from ssam.experiment import ASSETS, parse_spec, preset
from ssam.stats.paired import compare
from ssam.store import Store
from tests import fake_lab
from tests.browser import Watched, at_rest
from tests.components import every
from tests.golden import Golden, assert_one_line_error
from tests.people import ALICE, BOB, open_page, owner

ROOT = Path(__file__).resolve().parents[1]
KNOWN = lessons()
CLAIMS = [
    pytest.param(lesson, claim, id=f"{lesson.name}-{place}")
    for lesson in KNOWN.values()
    for place, claim in enumerate(lesson.claims, 1)
]
GOOD = """+++
title = "A lesson"
minutes = 5
summary = "What it is about."
goal = "say it."
preset = "noisy-labels"

[[questions]]
prompt = "Which?"
choices = ["One", "Another"]
answer = 2
why = "Because."

[[claims]]
text = "SAM is above SGD."
lane = "sam"
minus = "sgd"
value = "test_accuracy"
at_least = 1

[[sources]]
title = "A paper"
arxiv = "2010.01412"

[[next]]
text = "More rho"
settings = { rho = "0.4" }
+++
## Predict
One.

## Watch
Two.

## Reveal
Three.

## Try next
Four.
"""


# The bundled lessons


def test_the_lessons_are_in_order() -> None:
    assert list(KNOWN) == [
        "flat-minima",
        "noisy-labels",
        "sparsity",
        "which-mask",
        "where",
        "cost",
        "clean-labels",
        "tuned-sgd",
        "disturbed-images",
    ]
    for lesson in KNOWN.values():
        assert recorded.of(lesson.spec) == lesson.preset
        assert lesson.spec == preset(lesson.preset).spec


@pytest.mark.parametrize(("lesson", "claim"), CLAIMS)
def test_no_lesson_claims_what_the_data_does_not_say(lesson: Lesson, claim: Claim) -> None:
    measured = evidence.of_claim(claim, lesson)
    finding = evidence.find(claim, measured)
    assert finding, "nothing has been measured that backs this"
    assert claim.evidence == "bench" or len(finding.values) >= 5
    assert finding.holds == (claim.expected == "holds"), lessons_text.per_seed(claim, finding)


def test_a_claim_about_disturbed_images_is_held_against_the_seeds_that_all_contenders_have(tmp_path: Path) -> None:
    head = GOOD.replace('value = "test_accuracy"', 'value = "noise"\nevidence = "disturbed"')
    (path := tmp_path / "90-disturbed.md").write_text(head.replace('"sam"', '"SAM"').replace('"sgd"', '"SGD or AdamW"'))
    lesson = read(path)
    (claim,) = lesson.claims

    def judged(noise: float) -> dict:
        every = {f"{kind} {each.shown:g}": noise for kind, each in DISTURBANCES.items()}
        return {"accuracy": {"clean": 0.8, "disturbed": noise}, "every": every, "seconds": 1.0}

    record = {"SGD or AdamW": {"11": judged(0.6), "10": judged(0.62)}, "SAM": {"10": judged(0.7), "11": judged(0.7)}}
    record["SSAM-F, 50%"] = {"11": judged(0.7)}
    (tmp_path / "registered-disturbed-images.json").write_text(json.dumps({"judged": record}))
    measured = evidence.of_claim(claim, lesson, tmp_path)
    assert list(measured) == ["11"]
    finding = evidence.find(claim, measured)
    assert finding
    assert finding.values == {"11": pytest.approx(10)}
    assert finding.holds
    assert [row["Contender"] for row in lessons_text.disturbed(measured)] == list(record)
    for name in claim.lanes:
        assert name in lessons_text.held_against(claim, lesson)
    path.write_text(path.read_text().replace('lane = "SAM"', 'lane = "sam"'))
    with pytest.raises(ValueError, match=r"claims\.1 lane 'sam'"):
        read(path)


def _by_size(value: float, low: float, high: float) -> str:
    return "low" if value <= low else "high" if value >= high else "between"


def _mean(rows: dict, of: Callable[[dict], float]) -> float:
    return statistics.fmean(of(lanes) for lanes in rows.values())


def _each(rows: dict, of: Callable[[dict], str]) -> str:
    """What holds on every seed, "mixed" where they do not agree."""
    found = {of(lanes) for lanes in rows.values()}
    return found.pop() if len(found) == 1 else "mixed"


def _raced(name: str) -> dict:
    return evidence.rows(evidence.races(name))


EARLY, LATE = "sam:rho=0.1:norm=masked:region=early", "sam:rho=0.5:norm=masked:region=late"
DIAL = "ssam-f:rho=0.216", "ssam-f:rho=0.407:sparsity=0.95"


def _curvature(lanes: dict) -> str:
    return _by_size(lanes["sgd"]["λ1"] / lanes["sam"]["λ1"], 0.5, 2)


def _closer(lanes: dict) -> str:
    to = {name: abs(lanes["ssam-f"]["λ1"] - lanes[name]["λ1"]) for name in ("sgd", "sam")}
    return min(to, key=to.__getitem__)


def _course(lanes: dict) -> str:
    return "stays low" if lanes["sgd"]["best_accuracy"] < 50 else _by_size(lanes["sgd"]["fall"], 0, 3)


def _losses(lanes: dict) -> str:
    return _by_size(lanes["sam"]["train_loss"] - lanes["sgd"]["train_loss"], -0.1, 0.1)


def _share(lanes: dict) -> float:
    sgd, sam, half = (lanes[name]["test_accuracy"] for name in ("sgd", "sam", DIAL[0]))
    return (half - sgd) / (sam - sgd)


def _first(lanes: dict) -> str:
    return max(("ssam-f", "ssam-d", "ssam"), key=lambda name: lanes[name]["test_accuracy"])


def _halves(lanes: dict) -> str:
    return _by_size(lanes[EARLY]["test_accuracy"] - lanes[LATE]["test_accuracy"], -2, 2)


def _dearer(lanes: dict) -> str:
    return _by_size(lanes[EARLY]["step_ratio_to_sgd"] - lanes[LATE]["step_ratio_to_sgd"], -0.1, 0.1)


def _over(rival: str) -> Callable[[dict], float]:
    return lambda lanes: lanes["sam"]["test_accuracy"] - lanes[rival]["test_accuracy"]


def _over_baseline(contender: str, value: str) -> Callable[[dict], float]:
    return lambda lanes: lanes[contender][value] - lanes["SGD or AdamW"][value]


# What the data say, and which choice each thing that they could say would make the right one. So exactly one is right.
ANSWERS = {
    ("flat-minima", 1): (lambda: _each(evidence.flatness(), _curvature), {"high": 1, "low": 2, "between": 3}),
    ("flat-minima", 2): (lambda: _each(evidence.flatness(), _closer), {"sgd": 1, "sam": 2}),
    ("noisy-labels", 1): (lambda: _each(_raced("noisy-labels"), _course), {"between": 1, "low": 1, "high": 2, "stays low": 3}),
    ("noisy-labels", 2): (lambda: _each(_raced("noisy-labels"), _losses), {"low": 1, "high": 2, "between": 3}),
    ("sparsity", 1): (lambda: _by_size(_mean(_raced("sparsity-dial"), _share), 0.25, 0.75), {"between": 1, "high": 2, "low": 3}),
    ("sparsity", 2): (
        lambda: _each(_raced("sparsity-dial"), lambda lanes: _by_size(lanes[DIAL[1]]["step_ratio_to_sgd"], 1.3, 1.7)),
        {"high": 1, "low": 2, "between": 3},
    ),
    ("which-mask", 1): (lambda: _each(_raced("which-mask"), _first), {"ssam-f": 1, "ssam-d": 2, "ssam": 3, "mixed": 4}),
    ("where", 1): (lambda: _each(_raced("where"), _halves), {"low": 1, "high": 2, "between": 3}),
    ("where", 2): (lambda: _each(_raced("where"), _dearer), {"low": 1, "high": 2, "between": 3}),
    ("cost", 1): (lambda: _each(_raced("where"), _dearer), {"between": 1, "high": 2, "low": 3}),
    ("cost", 2): (
        lambda: _by_size(evidence.bench()[""]["ssam-f:ascent_batch=32"]["ratio_to_sgd"] or 0, 1.15, 1.35),
        {"low": 1, "between": 2, "high": 3},
    ),
    ("clean-labels", 1): (lambda: _by_size(_mean(_raced("clean-labels"), _over("sgd")), -2, 2), {"high": 1, "between": 2, "low": 3}),
    ("tuned-sgd", 1): (lambda: _by_size(_mean(_raced("tuned-sgd"), _over("sgd:epochs=6")), -2, 2), {"high": 1, "between": 2, "low": 3}),
    ("tuned-sgd", 2): (lambda: _by_size(_mean(_raced("tuned-sgd"), _over("sgd:weight_decay=0.02")), -2, 2), {"high": 1, "between": 2, "low": 3}),
    ("disturbed-images", 1): (lambda: _by_size(_mean(evidence.disturbed(), _over_baseline("SAM", "test_accuracy")), -1, 1), {"high": 1, "between": 2, "low": 3}),
    ("disturbed-images", 2): (lambda: _by_size(_mean(evidence.disturbed(), _over_baseline("SSAM-F, 50%", "noise")), -5, 5), {"high": 1, "between": 2, "low": 3}),
    ("disturbed-images", 3): (lambda: _by_size(_mean(evidence.disturbed(), _over_baseline("SSAM-F, 50%", "shift")), -5, 5), {"high": 1, "between": 2, "low": 3}),
}  # fmt: skip
QUESTIONS = [(lesson, place) for lesson in KNOWN.values() for place in range(1, len(lesson.questions) + 1)]


@pytest.mark.parametrize(("lesson", "place"), QUESTIONS, ids=[f"{lesson.name}-{place}" for lesson, place in QUESTIONS])
def test_one_choice_of_every_question_is_right_and_the_data_say_which(lesson: Lesson, place: int) -> None:
    question, (outcome, choice_of) = lesson.questions[place - 1], ANSWERS[lesson.name, place]
    assert set(choice_of.values()) == set(range(1, len(question.choices) + 1)), "each choice can be the right one"
    assert choice_of[outcome()] == question.answer


def test_no_measured_number_is_typed_into_a_reveal() -> None:
    """Decimals and percentages are numbers that somebody measured; the page gets them from the data."""
    for lesson in KNOWN.values():
        words = [lesson.sections["reveal"], lesson.summary, lesson.goal]
        words += [question.why for question in lesson.questions] + [claim.text for claim in lesson.claims]
        assert not [found for text in words for found in re.findall(r"\d+[.]\d+|\d+ ?%|\d ?×", text)], lesson.name


def studied(task: str, phase: str, lane: str) -> dict[int, float]:
    """Accuracy in percent by seed, from the study of many settings."""
    rows = json.loads((ASSETS / "measured" / "study.json").read_text(encoding="utf-8"))["rows"]
    found = {
        row["seed"]: 100 * row["accuracy"]
        for row in rows
        if (row["task"], row["phase"], row["lane"]) == (task, phase, lane)
    }
    assert len(found) >= 2
    return found


@pytest.mark.parametrize(
    ("words", "task", "phase", "better", "worse", "least", "most"),
    [
        ("with SAM's own rho it brought even less", "noisy-labels", "search",
         "sam:rho=0.5:norm=masked:region=late", "sam:rho=0.2:norm=masked:region=late", 1, 100),
        ("the early half perturbed along the momentum buffer", "noisy-labels", "final",
         "ssam:rho=1.4:norm=masked:region=early:direction=momentum", "sgd", 5, 100),
        ("a random mask falls well behind Fisher's", "noisy-labels", "search",
         "ssam-f:rho=1.4:direction=momentum", "ssam:rho=1.4:score=random:direction=momentum", 3, 100),
        ("SAM was ahead of the first SGD by less than a point", "clean-labels", "final", "sam:rho=0.1", "sgd", 0, 1),
    ],
)  # fmt: skip
def test_what_a_reveal_says_of_other_races_is_in_the_study(
    words: str, task: str, phase: str, better: str, worse: str, least: float, most: float
) -> None:
    assert any(words in " ".join(lesson.sections["reveal"].split()) for lesson in KNOWN.values())
    above, below = studied(task, phase, better), studied(task, phase, worse)
    assert all(least <= above[seed] - below[seed] <= most for seed in above.keys() & below.keys())
    assert above.keys() & below.keys()


# The format


def written(folder: Path, text: str, name: str = "10-my-lesson.md") -> Path:
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


def test_a_file_is_a_lesson(tmp_path: Path) -> None:
    lesson = read(written(tmp_path, GOOD))
    assert (lesson.name, lesson.title, lesson.minutes) == ("my-lesson", "A lesson", 5)
    assert lesson.sections == {"predict": "One.", "watch": "Two.", "reveal": "Three.", "next": "Four."}
    assert lesson.sources[0].address == "https://arxiv.org/abs/2010.01412"
    assert lessons(tmp_path) == {"my-lesson": lesson}


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ('title = "A lesson"\n', "", "title is missing"),
        ("minutes = 5", "minutes = 0", "minutes '0' must be a whole number from 1 to 60"),
        ("minutes = 5", 'minutes = 5\ncolour = "red"', "'colour' is not a field of a lesson"),
        ("minutes = 5", 'minutes = 5\nname = "x"', "'name' is not a field of a lesson"),
        ('preset = "noisy-labels"', 'preset = "nothing"', "'nothing' is not a preset"),
        ("answer = 2", "answer = 3", "questions.1: answer '3' must be one of the choices, 1 to 2"),
        ('["One", "Another"]', '["One", "One"]', "questions.1: choices must differ"),
        (
            'lane = "sam"',
            'lane = "adam"',
            "claims.1 lane 'adam' must be one of sgd, sgd:weight_decay=0.02, sam, ssam-f, ssam-d",
        ),
        ('value = "test_accuracy"', 'value = "beauty"', "claims.1: value 'beauty' must be one of test_accuracy"),
        ("at_least = 1", "", "claims.1: at_least or at_most must give"),
        ("at_least = 1", "at_least = 3\nat_most = 1", "claims.1: at_least '3' must not be above at_most '1'"),
        ("at_least = 1", "at_least = nan", "claims.1.at_least 'nan' must be a finite number"),
        ('["One", "Another"]', '"One"', "questions.1.choices 'One' must be a list"),
        ('rho = "0.4"', "rho = 0.4", "next.1.settings.rho '0.4' must be text in quotes"),
        ('title = "A lesson"', 'title = "A\\n# B"', "must be one line"),
        ('title = "A lesson"', f'title = "{"x" * 9000}"', "must have at most 60 characters"),
        ('preset = "noisy-labels"', 'preset = "../../etc/passwd"', "'../../etc/passwd' is not a preset"),
        ("minutes = 5", f"minutes = {'[' * 5000}{']' * 5000}", "is nested too deeply"),
        ("at_least = 1", "at_least = 1\npresets = 2", "'claims.1.presets' is not a field"),
        ('minus = "sgd"', 'minus = "sgd"\nover = "sgd"', "claims.1: minus and over cannot both be given"),
        ('arxiv = "2010.01412"', 'url = "javascript:alert(1)"', "sources.1.url 'javascript:alert(1)'"),
        ('arxiv = "2010.01412"', "", "sources.1: url or arxiv must be given"),
        ('rho = "0.4"', 'rho = "99"', "next.1 settings: rho '99' must be a number from 0 to 10"),
        ('text = "More rho"', 'text = "More"\npage = "attic"', "next.1.page 'attic' must be 'race'"),
        ("## Watch\nTwo.\n", "", "sections must be Predict, Watch, Reveal, Try next"),
        ("Three.", "", "sections must be Predict, Watch, Reveal, Try next, each with text"),
        ("minutes = 5", "minutes = ", "Invalid value"),
        ("+++\n## Predict", "## Predict", "must be TOML between two lines +++"),
    ],
)
def test_a_bad_lesson_is_told_in_one_line(tmp_path: Path, right: str, wrong: str, said: str) -> None:
    assert right in GOOD
    with pytest.raises(ValueError, match=re.escape(said)) as caught:
        read(written(tmp_path, GOOD.replace(right, wrong)))
    assert str(caught.value).startswith("10-my-lesson.md: ")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_a_file_that_is_no_text_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "10-bytes.md").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "20-folder.md").mkdir()
    written(tmp_path, GOOD, "30-Bad Name.md")
    written(tmp_path, "", "40-empty.md")
    for name, said in {
        "10-bytes.md": "must be text in UTF-8",
        "20-folder.md": "cannot be read",
        "30-Bad Name.md": "the file's name must be a number, then small letters",
        "40-empty.md": "must be TOML between two lines",
    }.items():
        with pytest.raises(ValueError, match=re.escape(f"{name}: {said}")):
            read(tmp_path / name)


def test_a_file_from_a_windows_editor_is_read(tmp_path: Path) -> None:
    (tmp_path / "10-my-lesson.md").write_bytes(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode())
    assert read(tmp_path / "10-my-lesson.md").sections["next"] == "Four."


def test_one_bad_file_takes_no_other_lesson_away(tmp_path: Path) -> None:
    written(tmp_path, GOOD.replace("minutes = 5", "minutes = 0"), "05-bad.md")
    written(tmp_path, GOOD)
    found, problems = readable(tmp_path)
    assert list(found) == ["my-lesson"]
    (problem,) = problems
    assert_one_line_error(problem, ["05-bad.md", "minutes '0'", "1 to 60"])


def test_names_are_unique(tmp_path: Path) -> None:
    written(tmp_path, GOOD)
    written(tmp_path, GOOD, "20-my-lesson.md")
    with pytest.raises(ValueError, match=r"two lessons .*'my-lesson'"):
        lessons(tmp_path)


# Claims against numbers


def lane(name: str, *accuracies: float | None) -> dict:
    epochs = [
        {"epoch": at + 1.0, "test_accuracy": value, "train_loss": 1.0, "final": at + 1 == len(accuracies)}
        for at, value in enumerate(accuracies)
    ]
    return {"name": name, "test_accuracy": accuracies[-1], "step_ratio_to_sgd": 2.0, "epochs": epochs}


def recorded_as(folder: Path, *seeds: list[dict]) -> Path:
    settings = parse_spec({"seed": 0}, base=preset("noisy-labels").spec).to_strings()
    race = {"settings": settings, "seeds": {str(seed): {"lanes": lanes} for seed, lanes in enumerate(seeds)}}
    (folder / "lessons.json").write_text(json.dumps({"races": {"noisy-labels": race}}), encoding="utf-8")
    return folder


def test_a_fall_is_measured_on_the_same_images(tmp_path: Path) -> None:
    """The last evaluation is on other images than those before: it may be above the best of them."""
    for name in evidence.raced():
        for lanes in evidence.rows(evidence.races(name)).values():
            assert all((values["fall"] or 0.0) >= 0.0 for values in lanes.values())
    rows = evidence.of_claim(claim(), KNOWN["noisy-labels"], recorded_as(tmp_path, [lane("sgd", 0.5, 0.7, 0.65, 0.9)]))
    assert rows["0"]["sgd"]["fall"] == pytest.approx(5)


def claim(**changed: object) -> Claim:
    asked = {"text": "x", "lane": "sam", "minus": "sgd", "value": "test_accuracy", "at_least": 1}
    return Claim.model_validate(asked | changed)


def test_a_claim_is_held_against_every_seed_and_the_mean(tmp_path: Path, golden: Golden) -> None:
    one = [lane("sgd", 0.5, 0.7, 0.6, 0.6), lane("sam", 0.5, 0.8, 0.8)]
    other = [lane("sgd", 0.5, 0.7, 0.7, 0.7), lane("sam", 0.5, 0.7, 0.7)]
    rows = evidence.of_claim(claim(), KNOWN["noisy-labels"], recorded_as(tmp_path, one, other))
    each, mean = (evidence.find(claim(seeds=seeds), rows) for seeds in ("all", "mean"))
    assert each
    assert mean
    assert each.values == {"0": pytest.approx(20), "1": pytest.approx(0)}
    assert each.held == {"0": True, "1": False}
    assert (each.holds, mean.holds) == (False, True)
    assert each.mean == pytest.approx(10)
    assert each.deviation == pytest.approx(14.142, abs=1e-3)
    against = lessons_text.held_against(claim(at_least=0), KNOWN["noisy-labels"])
    said = (lessons_text.verdict(claim(), each), lessons_text.per_seed(claim(), each), against)
    golden("lessons", "a claim that fails", *said)
    assert "1 of 2" in said[0]
    assert re.search(r"\+10\.0 ± 14\.1.*0: \+20\.0.*1: 0\.0", said[1])
    fall = evidence.find(claim(lane="sgd", minus=None, value="fall"), rows)
    assert fall
    assert fall.values == {"0": pytest.approx(10), "1": pytest.approx(0)}
    ratio = evidence.find(claim(minus=None, over="sgd", at_least=None, at_most=1.2), rows)
    assert ratio
    assert ratio.held == {"0": False, "1": True}


def test_a_diverged_seed_does_not_hold(tmp_path: Path) -> None:
    seeds = [lane("sgd", 0.5, 0.6), lane("sam", 0.5, None)]
    rows = evidence.of_claim(claim(), KNOWN["noisy-labels"], recorded_as(tmp_path, seeds))
    for asked in ("all", "mean"):
        finding = evidence.find(claim(seeds=asked), rows)
        assert finding
        assert not finding.holds
        assert finding.values == {"0": None}
        assert "diverged" in lessons_text.per_seed(claim(seeds=asked), finding)


def test_what_was_raced_with_other_settings_is_no_evidence(tmp_path: Path) -> None:
    folder = recorded_as(tmp_path, [lane("sgd", 0.5, 0.6), lane("sam", 0.5, 0.7)])
    record = json.loads((folder / "lessons.json").read_text())
    record["races"]["noisy-labels"]["settings"]["epochs"] = "3"
    (folder / "lessons.json").write_text(json.dumps(record))
    assert evidence.races("noisy-labels", folder / "lessons.json") is None
    assert evidence.find(claim(), {}) is None
    assert evidence.races("noisy-labels", tmp_path / "nothing.json") is None


# The page


def page(token: str = ALICE, **address: str) -> AppTest:
    return open_page("lessons", token, **address)


def click(app: AppTest, key: str) -> AppTest:
    app.button(key=key).click().run()
    assert not app.exception
    return app


def says(app: AppTest) -> str:
    return "\n".join(
        element.value for kind in (app.markdown, app.caption, app.info, app.warning, app.error) for element in kind
    )


def commit_key(app: AppTest) -> str:
    return next(button.key for button in app.button if "Lock in" in button.label)


def test_the_list_says_what_one_can_do_after_each(store: Store) -> None:
    said = says(page())
    for lesson in KNOWN.values():
        assert [words for words in (lesson.summary, lesson.goal) if words not in said] == []


def test_the_list_names_a_file_that_is_not_right(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path, GOOD)
    written(tmp_path, GOOD.replace("answer = 2", "answer = 9"), "20-broken.md")
    monkeypatch.setattr(reader, "FOLDER", tmp_path)
    app = page()
    assert len(app.error) == 1
    assert_one_line_error(app.error[0].value.replace("\\", ""), ["20-broken.md", "questions.1.answer"])
    assert "## A lesson" in says(page(lesson="my-lesson"))


def test_from_prediction_to_reveal(store: Store, golden: Golden) -> None:
    app = page(lesson="noisy-labels")
    app.button(key=commit_key(app)).click().run()
    assert "choice_noisy-labels_1" in {radio.key for radio in app.radio}, "the question stays before an answer"
    app.radio(key="choice_noisy-labels_1").set_value(2)  # right
    app.radio(key="stake_noisy-labels_1").set_value(3)
    app.radio(key="choice_noisy-labels_2").set_value(3)  # wrong
    app.radio(key="stake_noisy-labels_2").set_value(1)
    app.button(key=commit_key(app)).click().run()
    assert not app.exception
    golden("lessons", "watch", says(app))
    said = says(click(app, "to_reveal"))
    golden("lessons", "reveal", said)
    assert [points for points in ("+3 point", "−1 point", "+2 point") if points not in said] == []
    golden("lessons", "next", says(click(app, "to_next")))


def skipped(token: str = ALICE, **address: str) -> AppTest:
    """The page of a lesson, once its prediction has been skipped."""
    app = page(token, **address)
    asked = any(
        button.key == "skip_prediction" for button in app.button
    )  # once for a lesson, whatever page is opened after
    return click(app, "skip_prediction") if asked else app


@pytest.mark.parametrize("name", KNOWN)
def test_every_step_of_every_lesson_shows(store: Store, name: str) -> None:
    for step, section in (("watch", "watch"), ("3", "reveal"), ("next", "next")):
        said = says(skipped(lesson=name, step=step))
        assert f"## {KNOWN[name].title}" in said
        assert KNOWN[name].sections[section] in said


@pytest.mark.parametrize("name", KNOWN)
def test_before_a_prediction_there_are_the_setting_and_start_and_no_answer(
    store: Store, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    shown: list[object] = []
    monkeypatch.setattr(recorded, "draw", lambda *args: shown.append(args))
    monkeypatch.setattr(live_panel, "draw", lambda *args: shown.append(args))
    lesson = KNOWN[name]
    monkeypatch.setattr(fake_lab, "ACCURACIES", (*fake_lab.ACCURACIES,) * 2)
    run = fake_lab.race(store, owner(BOB), lesson.spec.model_copy(update={"seed": 9}))
    answers = [lesson.sections[section] for section in ("watch", "reveal", "next")]
    answers += [question.why for question in lesson.questions] + [claim.text for claim in lesson.claims]
    for address in ({"step": "reveal", "class": "MAY-7KQ", "seed": "own"}, {"step": "watch", "run": run.id}):
        app = page(lesson=name, **address)
        assert not app.exception
        assert shown == []
        assert not [answer for answer in answers if answer in says(app)]
        assert not app.dataframe
        assert not every(app, "plot")
    said = says(app)
    assert run_labels.describe_without_seed(lesson.spec) in said
    assert run_labels.describe_lanes(lesson.spec) in said
    click(app, "lesson_run")
    assert store.runs.newest()[0].owner == owner(ALICE)
    assert shown == [], "it is trained, and shown after the prediction"
    click(app, "skip_prediction")
    assert len(shown) == 1


def test_nothing_that_is_shown_before_a_prediction_leads_to_results() -> None:
    for lesson in KNOWN.values():
        assert {link.page for link in lesson.next if link.step == "predict"} <= {"surface", "anatomy"}


def test_the_reveal_opens_after_a_prediction(store: Store) -> None:
    app = page(lesson="where", step="watch")
    app.segmented_control(key="lesson_step").set_value("reveal").run()
    assert "Claims" not in says(app)
    click(app, "predict_first")
    assert commit_key(app)
    app.segmented_control(key="lesson_step").set_value("reveal").run()
    assert "Claims" not in says(app)
    click(app, "skip_prediction")
    assert "Claims" in says(app)


def test_a_skipped_prediction_counts_as_one_without_points(store: Store) -> None:
    app = skipped(lesson="where", step="reveal")
    assert "Skipped." in says(app)
    assert reader.SKIPPED.points(1) == 0
    app.segmented_control(key="lesson_step").set_value("predict").run()
    assert says(app).count("Skipped.") == 2
    assert not [button for button in app.button if button.key in ("skip_prediction", "lesson_commit")], "it is for good"


def test_an_older_file_that_names_its_recording_is_read_and_plays_only_its_own_race(tmp_path: Path) -> None:
    older = GOOD.replace('preset = "noisy-labels"', 'preset = "fast-ssam"\nrecorded = "noisy-labels"')
    lesson = read(written(tmp_path, older))
    assert lesson.preset == "fast-ssam"
    assert recorded.of(lesson.spec) is None


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ({"lesson": "nothing"}, "lesson 'nothing' must be one of flat-minima, noisy-labels"),
        ({"lesson": "where", "step": "5"}, "step '5' must be one of predict, watch, reveal, next, or 1 to 4"),
        ({"lesson": "where", "run": "no-such"}, "run 'no-such' is no race of this lesson"),
        ({"step": "watch"}, "step needs a lesson"),
        ({"lesson": "where", "colour": "red"}, "'colour' is no setting here; allowed: lesson, step, run"),
        ({"lesson": "<b>"}, "must be one of"),
    ],
)
def test_a_bad_address_gets_one_line(store: Store, address: dict[str, str], said: str) -> None:
    app = page(**address)
    assert len(app.warning) == 1
    assert said in app.warning[0].value.replace("\\", "")


def test_a_race_is_submitted_once_with_a_seed_that_was_not_measured(store: Store) -> None:
    app = click(skipped(lesson="noisy-labels", step="watch"), "lesson_run")
    (run,) = store.runs.newest()
    assert run.spec == KNOWN["noisy-labels"].spec.model_copy(update={"seed": 5})
    assert app.button(key="lesson_run").disabled
    assert "seed 5" in says(app)
    again = skipped(lesson="noisy-labels", step="watch", run=run.id)
    assert "seed 5" in says(again)
    assert "**Someone else's race**" in says(skipped(BOB, lesson="noisy-labels", step="watch", run=run.id))


def test_another_lessons_race_is_not_taken(store: Store) -> None:
    run_id = store.runs.create(preset("demo").spec, "other", owner(ALICE))
    assert len(page(lesson="noisy-labels", run=run_id).warning) == 1


def test_a_race_that_cannot_start_says_why(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise ValueError("queue full")

    monkeypatch.setattr("ssam.jobs.race_client.RaceClient.submit", full)
    app = click(page(lesson="noisy-labels", step="watch"), "lesson_run")
    assert "queue full" in says(app)


def test_lanes_of_claims_are_compared_by_the_rule_of_all_pages() -> None:
    """Two claims about the same lanes, either way round, are one comparison; other lanes are another."""
    lesson = KNOWN["noisy-labels"]
    found = evidence.comparisons(lesson)
    assert len(found) == 3
    assert len({frozenset((claim.lane, claim.minus)) for claim in found}) == 2
    rows = evidence.of_claim(lesson.claims[0], lesson)
    accuracies = {
        lane: {int(s): row[lane]["test_accuracy"] for s, row in rows.items()} for lane in lesson.spec.lane_names
    }
    for claim, compared in found.items():
        alone = compare(accuracies[claim.lane], accuracies[claim.minus])
        assert (compared.mean, compared.interval, compared.comparisons) == (alone.mean, alone.interval, 2)
        assert f"{abs(compared.mean):.2f} points" in lessons_text.compared(claim, lesson, compared)
    assert {compared.verdict for compared in found.values()} > {"better", "worse"}


def test_ones_own_race_is_held_against_the_claims(store: Store) -> None:
    spec = KNOWN["noisy-labels"].spec.model_copy(update={"seed": 9})
    run = fake_lab.race(store, owner(ALICE), spec)
    said = says(skipped(lesson="noisy-labels", step="reveal", run=run.id))
    assert re.search(r"seed 9: \+12\.0", said)  # 81% and 69%, as made up


def test_race_it_yourself_leads_to_the_race(store: Store) -> None:
    app = click(skipped(lesson="where", step="reveal"), "lesson_again")
    (run,) = store.runs.newest()
    assert run.spec.seed == 5
    assert "seed 5" in says(app)


def test_a_race_of_a_class_has_its_code(store: Store) -> None:
    click(page(lesson="noisy-labels", step="watch", **{"class": "MAY-7KQ"}), "lesson_run")
    (run,) = store.runs.newest()
    assert run.class_code == "MAY-7KQ"


def test_without_evidence_the_page_says_so(store: Store, monkeypatch: pytest.MonkeyPatch, golden: Golden) -> None:
    monkeypatch.setattr(evidence, "races", lambda *_: None)
    said = says(skipped(lesson="noisy-labels", step="reveal"))
    golden("lessons", "without evidence", said)
    assert "of 5 seeds" not in said


def test_points() -> None:
    assert Prediction(1, 2).points(1) == 2
    assert Prediction(1, 2).points(3) == -2


def test_the_folder_holds_only_lessons() -> None:
    assert {path.name for path in FOLDER.iterdir()} == {path.name for path in FOLDER.glob("[0-9]*.md")}


# In a browser


def tab_to(page: Page, name: str, most: int = 60) -> None:
    """Moves the focus on with the Tab key until it is on what has this text or label."""
    for _ in range(most):
        page.keyboard.press("Tab")
        focused = page.evaluate(
            "(() => { const at = document.activeElement; if (!at.matches('a, button, input')) return ''; const label = at.closest('label'); return (at.getAttribute('aria-label') ?? '') + (label ?? at).innerText; })()"
        )
        if name in focused:
            return
    raise AssertionError(f"{name!r} cannot be reached with the Tab key")


@pytest.mark.browser
@pytest.mark.slow
def test_a_lesson_by_keyboard_alone(browser: Browser, racing_lab: str) -> None:
    watched = Watched(browser, reduced_motion="reduce")
    page = watched.page
    page.goto(f"{racing_lab}/lessons")
    expect(page.get_by_role("link", name="noisy labels")).to_be_visible()
    tab_to(page, "noisy labels")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="noisy labels")).to_be_visible()
    assert "lesson=noisy-labels&step=predict" in page.url
    at_rest(page)
    for question in (1, 2):
        page.locator(f".st-key-choice_noisy-labels_{question} input").first.focus()
        page.keyboard.press("ArrowDown")  # the second choice: right, both times
        page.keyboard.press("Tab")
        page.keyboard.press("ArrowRight")  # two points
    tab_to(page, "Lock in and watch")
    page.keyboard.press("Enter")
    expect(page.locator('[data-testid="recorded-race"]')).to_be_visible()
    at_rest(page)
    page.locator(".st-key-to_reveal button").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_text("Right", exact=True)).to_have_count(2)
    expect(page.get_by_text("4 points", exact=False).first).to_be_visible()
    assert "step=reveal" in page.url
    page.wait_for_timeout(1000 * STALE_SECONDS)
    page.go_back()
    expect(page.locator('[data-testid="recorded-race"]')).to_be_visible()
    page.reload()
    expect(page.locator('[data-testid="recorded-race"]')).to_be_visible()
    page.context.close()
    assert watched.hosts == {racing_lab.removeprefix("http://")}
    assert [
        said for said in watched.problems if "404" not in said
    ] == []  # Streamlit looks for its server under the page first


@pytest.mark.browser
@pytest.mark.slow
def test_a_lessons_race_is_run_and_found_again(browser: Browser, racing_lab: str) -> None:
    watched = Watched(browser)
    page = watched.page
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"{racing_lab}/lessons?lesson=clean-labels&step=watch")
    page.locator(".st-key-skip_prediction button:visible").click()
    page.locator(".st-key-lesson_run button").click()
    watched.wait("live?.dataset.points > 0")
    assert "run=" in page.url
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.reload()
    watched.wait("live?.dataset.points > 0 && live.dataset.state === 'running'")
    page.locator(".st-key-stop_race button").click()
    watched.wait("live.dataset.state === 'stopped'")
    page.context.close()
    assert [
        said for said in watched.problems if "404" not in said
    ] == []  # Streamlit looks for its server under the page first
