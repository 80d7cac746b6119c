"""Method cards: what a file must hold, code cut from the installed source, memory, measured numbers, and the page."""

import importlib
import inspect
import json
import re
import statistics
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch
from playwright.sync_api import Browser, expect
from streamlit.testing.v1 import AppTest

from app.methods import index, measured, view
from app.methods import table as methods_table
from app.methods import text as methods_text
from app.methods.cards import FOLDER, GROUPS, SECTIONS, Card, cards, citations, read
from app.methods.source_excerpt import excerpt
from app.shell import url_state
from app.ui import theme
from ssam.data import load_dataset
from ssam.engine.lane import Lane
from ssam.experiment import LaneSpec, RaceSpec, parse_spec
from ssam.methods import METHODS
from ssam.models import build_model, stage_shares
from ssam.store import Store
from tests.browser import Watched, app_server
from tests.patience import SECONDS
from tests.people import ALICE, SESSION

ROOT = Path(__file__).resolve().parents[1]
CARDS = cards()
REFERENCES = sorted({reference for card in CARDS.values() for reference in card.code})

CARD = """+++
title = "SAM"
summary = "Uphill first."
group = "methods"
method = "sam"
lanes = ["sam:rho=0.1"]
passes = 2
equation = '''w'''
source = "Foret et al."
arxiv = "2010.01412"
cite = ["foret2021sharpness"]
code = ["ssam.optim.sam:SAM.step"]
+++
## What it does
Something.

## What it costs
Something.

## Memory
Something.

## Caveats
Something.
"""


def file(folder: Path, old: str = "", new: str = "") -> Path:
    """The card above with one thing changed."""
    assert old in CARD
    path = folder / "20-sam.md"
    path.write_text(CARD.replace(old, new, 1) if old else CARD, encoding="utf-8")
    return path


# The files


def test_every_method_has_a_card_of_its_own() -> None:
    for name, method in METHODS.items():
        assert CARDS[name].method == name
        assert CARDS[name].title == method.title
        assert CARDS[name].passes == LaneSpec(method=name).passes
    assert {card.group for card in CARDS.values()} == set(GROUPS)
    assert all(tuple(card.sections) == SECTIONS for card in CARDS.values())


def test_a_card_is_read(tmp_path: Path) -> None:
    card = read(file(tmp_path))
    assert (card.name, card.title, card.passes, card.exact) == ("sam", "SAM", 2, True)
    assert str(card.lanes[0]) == "sam:rho=0.1"
    assert read(file(tmp_path, 'arxiv = "2010.01412"\n')).arxiv == ""


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("+++\ntitle", "title", "must be TOML between two lines [+]{3}, then Markdown"),
        ('title = "SAM"', "title = SAM", "Invalid value"),
        ('title = "SAM"\n', "", "title is missing"),
        ('title = "SAM"', 'title = " "', "title must be a text, not ' '"),
        ("passes = 2", "passes = true", "passes must be a number, not 'True'"),
        ("passes = 2", "passes = 1", "passes must be 2, as the first lane makes, not 1"),
        ("passes = 2", "passes = 2\ncolour = 'red'", "'colour' is not a field; allowed: title, summary"),
        ('group = "methods"', 'group = "best"', "group 'best' must be one of methods, steps, masks"),
        ('method = "sam"', 'method = "adam"', "method 'adam' must be one of sgd, sam"),
        ('method = "sam"', 'method = "sgd"', "method must be that of the first lane, 'sam', not 'sgd'"),
        ('["sam:rho=0.1"]', "[]", "lanes must name at least one lane"),
        ("sam:rho=0.1", "sam:rho=-1", "lanes 'sam:rho=-1': rho '-1' must be a number from 0 to 10"),
        ('["sam:rho=0.1"]', "[1]", "lanes must be a list of texts, not '.1.'"),
        ("2010.01412", "https://a.b", "arxiv 'https://a.b' must be a number such as 2010.01412"),
        ("foret2021sharpness", "nobody2021", "cite 'nobody2021' must be one of references.bib: "),
        ('["ssam.optim.sam:SAM.step"]', "[]", "code must name at least one module:name"),
        ("ssam.optim.sam:SAM.step", "os:system", "code 'os:system' must be a module:name such as"),
        (
            "## Caveats\nSomething.",
            "## Caveats\n",
            "sections must be What it does, What it costs, Memory, Caveats",
        ),
        ("## Memory", "## What it has", "sections must be"),
    ],
)
def test_a_wrong_card_is_refused_in_one_line_that_names_file_and_field(
    tmp_path: Path, old: str, new: str, said: str
) -> None:
    with pytest.raises(ValueError, match=said) as error:
        read(file(tmp_path, old, new))
    assert str(error.value).startswith("20-sam.md: ")
    assert "\n" not in str(error.value)


def test_two_cards_cannot_share_a_name(tmp_path: Path) -> None:
    file(tmp_path)
    (tmp_path / "30-sam.md").write_text(CARD, encoding="utf-8")
    with pytest.raises(ValueError, match=r"two cards .*'sam'"):
        cards(tmp_path)


@pytest.mark.parametrize("card", CARDS.values(), ids=lambda card: card.name)
def test_no_measured_number_is_typed_into_a_card(card: Card) -> None:
    """They would not change when the measurement does."""
    words = re.sub(r"\$[^$]*\$|`[^`]*`", "", "\n".join([card.summary, *card.sections.values()]))
    assert not re.search(r"\d[.,]\d|\d\s*%|±", words), words


def test_every_reference_is_cited_by_a_card() -> None:
    assert {key for card in CARDS.values() for key in card.cite} == set(citations())
    for card in CARDS.values():
        assert card.cite
        assert not card.arxiv or any(card.arxiv in citations()[key] for key in card.cite), card.name


# The code


@pytest.mark.parametrize("reference", REFERENCES)
def test_the_code_shown_is_the_code_that_runs(reference: str) -> None:
    module, _, name = reference.partition(":")
    target = importlib.import_module(module)
    for part in name.split("."):
        target = getattr(target, part)
    found = excerpt(reference)
    assert found.text == textwrap.dedent(inspect.getsource(target)).rstrip("\n")
    lines = (ROOT / found.file).read_text(encoding="utf-8").splitlines()
    assert textwrap.dedent("\n".join(lines[found.first - 1 : found.last])) == found.text


def test_decorators_belong_to_what_is_shown() -> None:
    assert excerpt("ssam.optim.sam:SAM.restore").text.startswith("@torch.no_grad()\ndef restore")
    assert excerpt("ssam.training.mask_bits:packed").file == "ssam/training/mask_bits.py"
    assert excerpt("ssam:__getattr__").file == "ssam/__init__.py"


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("ssam.optim.sam:SAM.leap", "sam.py has no 'SAM.leap'"),
        ("ssam.optim.sam:step", "sam.py has no 'step'"),
        ("ssam.optim.fast:SAM", "there is no module 'ssam.optim.fast'"),
        ("no_such_package.sam:SAM", "there is no module 'no_such_package.sam'"),
    ],
)
def test_code_that_is_not_there_is_told_in_one_line(reference: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        excerpt(reference)


def test_showing_code_never_imports_torch() -> None:
    check = (
        "import sys; from app.methods.cards import cards; from app.methods.source_excerpt import excerpt; "
        "[excerpt(reference) for card in cards().values() for reference in card.code]; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", check], cwd=ROOT, check=False).returncode == 0


# What a step holds


def lane_of(card: Card, home: Path) -> tuple[Lane, torch.Tensor, torch.Tensor]:
    """The card's lane in a small race, and a batch."""
    spec = parse_spec(
        {"lanes": (card.lanes[0],), "batch_size": 64, "train_size": 128, "fisher_samples": 16, "epochs": 1}
    )
    dataset = load_dataset(spec, home, progress=lambda message, fraction=None: None)
    batches = dataset.batches(spec, torch.device("cpu"), True)
    model = build_model(spec.model, channels=1, classes=10, size=28, seed=0).to(memory_format=torch.channels_last)
    x, y = batches.get(0)
    return Lane(spec, spec.lanes[0], "lane", model, batches, stage_shares(model, batches.shape)), x, y


def size(tensors: list[torch.Tensor]) -> int:
    return sum(tensor.nbytes for tensor in tensors)


@pytest.mark.parametrize("name", CARDS)
def test_the_memory_on_a_card_is_what_its_lane_holds(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In copies of the weights, beyond the weights and the one momentum buffer each that SGD has."""
    memory = CARDS[name].memory
    lane, x, y = lane_of(CARDS[name], tmp_path)
    weights = list(lane.model.parameters())
    held = [0]
    if lane.sam is not None:
        restore, sam = lane.sam.restore, lane.sam

        def watched() -> None:
            held.append(size([saved for _, saved in sam._saved] + list((sam.rules._first or {}).values())))
            restore()

        monkeypatch.setattr(lane.sam, "restore", watched)
    for _ in range(3):  # a free direction has none in the first step
        lane.step(x, y)
    state = [value for entry in lane.base.state.values() for value in entry.values() if isinstance(value, torch.Tensor)]
    assert size(state) == size(weights), "one momentum buffer, whatever wraps the optimizer"
    masks = list((lane.sam.masks or {}).values()) if lane.sam else []
    gradients = [p.grad for p in weights if p.grad is not None]
    kept = list(lane.sam.rules.kept.values()) if lane.sam else []
    assert size(masks + gradients + kept) == memory.between * size(weights)
    if memory.part:
        assert lane.sam is not None
        assert held[-1] == size(list(lane.sam.perturbed_parameters())) < size(weights)
    else:
        assert held[-1] == memory.during * size(weights)


# What was measured


def test_numbers_are_those_of_the_files() -> None:
    study = json.loads((ROOT / "assets" / "measured" / "study.json").read_text(encoding="utf-8"))

    def rows(lane: str) -> dict[int, dict]:
        found = [row for row in study["rows"] if row["task"] == "noisy-labels" and row["phase"] == "final"]
        return {row["seed"]: row for row in found if row["lane"] == lane}

    card = CARDS["sam"]
    sam, sgd = rows(str(card.lanes[0])), rows("sgd")
    found = measured.lesson(card.lanes, measured.everything(), methods_text.NOISE)
    assert found
    assert [trial.seed for trial in found.point.trials] == sorted(sam)
    gains = [100 * (sam[seed]["accuracy"] - sgd[seed]["accuracy"]) for seed in sorted(sam)]
    assert found.gains == pytest.approx(gains)
    told = methods_text.gain(card, found)
    assert told == f"{statistics.fmean(gains):+.1f} ± {statistics.stdev(gains):.1f}"
    assert methods_text.ratio(found) == f"{statistics.median(row['step_ratio'] for row in sam.values()):.2f}"
    assert methods_text.seeds(found).startswith(f"{len(sam)} (")


def test_a_lane_of_the_lessons_counts_with_its_own_seeds() -> None:
    record = json.loads((ROOT / "assets" / "measured" / "lessons.json").read_text(encoding="utf-8"))
    seeds = record["races"]["noisy-labels"]["seeds"]
    lanes = {seed: {lane["name"]: lane["test_accuracy"] for lane in run["lanes"]} for seed, run in seeds.items()}
    gains = [100 * (run["ssam-d"] - run["sgd"]) for run in lanes.values()]
    found = measured.lesson(CARDS["ssam-d"].lanes, measured.everything(), methods_text.NOISE)
    assert found
    assert found.gains == pytest.approx(gains)
    assert [trial.seed for trial in found.point.trials] == [int(seed) for seed in lanes]


def test_a_lane_of_several_lessons_has_one_number() -> None:
    """The same lane on the same seeds is one row, whichever of the races it is read from."""
    points = [one.point for one in measured.everything() if one.point.source == "final"]
    keys = [
        (str(one.point.lane), one.task, tuple(trial.seed for trial in one.point.trials))
        for one in measured.everything()
    ]
    assert points
    assert len(set(keys)) == len(keys)


def test_no_table_mixes_what_was_searched_with_what_was_raced_on_other_seeds() -> None:
    found = measured.everything()
    rows = methods_text.compared(list(CARDS.values()), found)
    searched = methods_text.only_searched(list(CARDS.values()), found)
    assert not any("searched" in row["Seeds"] for row in rows)
    assert all("searched" in row["Seeds"] for row in searched)
    without = {row["Method"] for row in rows if row[methods_text.NOISY] == methods_text.ONLY_SEARCHED}
    assert without == {row["Method"] for row in searched} != set()


def test_a_search_does_not_count_where_a_lane_was_raced_on_fresh_seeds() -> None:
    found = measured.of(CARDS["sam"].lanes, measured.everything())
    assert {one.point.source for one in found} == {"final"}
    hints = measured.of(CARDS["n-of-m"].lanes, measured.everything())
    assert {one.point.source for one in hints} == {"search"}
    assert all("searched" in methods_text.seeds(one) for one in hints)


UNMEASURED = {"asam", "f-sam", "vasso", "gsam", "looksam"}  # so its page says that


def test_a_card_that_was_not_measured_says_so(store: Store) -> None:
    for name in UNMEASURED:
        assert not measured.of(CARDS[name].lanes, measured.everything())
        assert "Not measured." in text(page(method=name))


@pytest.mark.parametrize(
    "card", [card for name, card in CARDS.items() if name not in UNMEASURED], ids=lambda card: card.name
)
def test_every_other_card_was_measured_and_is_as_exact_as_it_ran(card: Card) -> None:
    found = measured.of(card.lanes[:1], measured.everything())
    assert found
    assert {one.point.exact for one in found} == {card.exact}


def test_without_measurements_a_card_says_so(tmp_path: Path) -> None:
    assert measured.everything(tmp_path) == []
    for row in methods_text.compared(list(CARDS.values()), []):
        assert row["Step time / SGD"] == methods_text.NOT_MEASURED
        assert row["Seeds"] == row["Measured as"] == "–"


def test_the_comparison_has_every_card_and_hides_no_loss() -> None:
    rows = methods_text.compared(list(CARDS.values()), measured.everything())
    assert [row["Method"] for row in rows] == [card.title for card in CARDS.values()]
    by_title = {row["Method"]: row for row in rows}
    assert by_title["ASAM"]["Step time / SGD"] == methods_text.NOT_MEASURED
    assert by_title["ASAM"]["Steps"] == "exact"
    assert by_title["Last gradient"]["Memory between steps"] == "1"
    assert by_title["Momentum direction"]["Steps"] == "approximate"
    assert any(row[methods_text.CLEAN].startswith("−") for row in rows)
    late = measured.of(CARDS["momentum"].lanes[-1:], measured.everything())
    assert late
    assert all(statistics.fmean(one.gains) < 0 for one in late), "the lane that is worse than SGD stays on its card"


# The page


def page(**asked: str) -> AppTest:
    app = AppTest.from_file(str(ROOT / "app" / "main.py"), default_timeout=SECONDS)
    app.session_state[SESSION] = ALICE
    app.run()
    app.switch_page("../pages/methods.py")
    app.query_params.clear()
    for name, value in asked.items():
        app.query_params[name] = value
    app.run()
    assert not app.exception
    return app


def text(app: AppTest) -> str:
    return "\n".join(element.value for element in app.markdown)


def test_the_first_card_opens(store: Store) -> None:
    app = page()
    assert "### SGD" in text(app)
    assert app.query_params["method"] == "sgd"
    assert not app.warning


def test_an_address_chooses_the_card(store: Store) -> None:
    app = page(method="momentum")
    assert "### Momentum direction" in text(app)
    assert not app.button(key="methods_race").disabled
    for heading in SECTIONS:
        assert f"#### {heading}" in text(app)
    shown = [code.value for code in app.code]
    assert excerpt("ssam.training.steps:free_ascent").text in shown
    assert citations()["becker2024momentum"] in shown[0]
    assert "arxiv.org/abs/2401.12033" in text(app)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"method": "adam"}, "method 'adam' must be one of sgd, sam"),
        ({"view": "<b>"}, "view '\\<b\\>' must be one of cards, compare"),
        ({"colour": "red"}, "'colour' is no setting here; allowed: method, view"),
    ],
)
def test_an_address_that_is_not_understood_gives_one_line_and_a_card(
    store: Store, asked: dict[str, str], said: str
) -> None:
    app = page(**asked)
    (warning,) = app.warning
    assert said in warning.value
    assert "\n" not in warning.value
    assert "### SGD" in text(app)


def test_all_cards_are_compared_in_one_table(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: dict = {}
    monkeypatch.setattr(methods_table, "_mount", lambda key, data: drawn.update({key: data}))
    app = page(view="compare")
    table = drawn["methods_compared"]
    assert [row[0] for row in table["rows"]] == [card.title for card in CARDS.values()]
    assert len(table["marks"]) == len(CARDS)
    assert table["columns"].count("Seeds") == 2
    assert app.query_params["view"] == "compare"


@pytest.mark.parametrize("card", CARDS.values(), ids=lambda card: card.name)
def test_racing_a_card_puts_sgd_beside_it(card: Card) -> None:
    spec = view.race(card)
    assert spec == RaceSpec.model_validate(spec.model_dump()), "as valid as a race that the form made"
    assert parse_spec(url_state.of(spec)) == spec
    assert [lane.method for lane in spec.lanes] == ["sgd", "sam" if card.name == "sgd" else card.method]


def test_the_button_opens_the_race_page_with_these_lanes(store: Store) -> None:
    app = page(method="ssam-d")
    app.button(key="methods_race").click().run()
    assert not app.exception
    spec = view.race(CARDS["ssam-d"])
    assert spec
    assert parse_spec(dict(app.query_params)) == spec


def test_the_index_has_each_methods_colour_and_marker() -> None:
    items = [item for group in index.groups(CARDS.values()) for item in group["cards"]]
    assert [item["name"] for item in items] == list(CARDS)
    for item in items:
        assert item["color"] == theme.METHOD_STYLES[CARDS[item["name"]].method].color
    assert {path.stem.partition("-")[2] for path in FOLDER.glob("*.md")} == set(CARDS)


WIDTH = """(formula) => {
  const parts = [...formula.querySelectorAll(".vlist-t, .mord, .mrel")].map((part) => part.getBoundingClientRect());
  return Math.max(...parts.map((box) => box.right)) - Math.min(...parts.map((box) => box.left));
}"""


@pytest.mark.browser
@pytest.mark.slow
def test_by_keyboard_through_all_cards_to_a_race(tmp_path: Path, browser: Browser) -> None:
    with app_server(tmp_path, races=False) as where:
        watched = Watched(browser)
        page = watched.page
        page.goto(f"{where}/methods")
        heading = page.get_by_role("heading", level=3)
        expect(heading).to_have_text("SGD")
        first = page.get_by_role("radio", name="SGD", exact=True)
        expect(first).to_be_checked()
        first.focus()
        for card in list(CARDS.values())[1:]:
            page.keyboard.press("ArrowDown")
            expect(heading).to_have_text(card.title)
            expect(page.get_by_role("radio", name=card.title, exact=True)).to_be_focused()
            expect(page.locator(".katex-error")).to_have_count(0)
            expect(page.locator(".st-key-methods_words .katex-display")).to_have_count(1)
            assert page.locator(".katex-html").first.evaluate(WIDTH) <= 390 - 66, (
                f"{card.name}: as wide as a phone's card"
            )
            assert f"method={card.name}" in page.url
        page.set_viewport_size({"width": 390, "height": 844})
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        page.keyboard.press("ArrowUp")  # the last one cannot be raced
        button = page.locator(".st-key-methods_race button")
        button.focus()
        page.keyboard.press("Enter")
        expect(page.get_by_role("button", name="Start race").first).to_be_enabled()
        assert "lanes=sgd" in page.url
        page.context.close()
        assert watched.hosts == {where.removeprefix("http://")}, "the page must not ask another host"
