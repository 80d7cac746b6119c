"""What a link can say: it is read as it was built, and what is wrong in it is told in one line."""

import pytest
from hypothesis import given
from hypothesis import strategies as some

from app.race import form
from app.shell import share_link
from app.shell.share_link import Link
from ssam.experiment import RaceSpec, parse_spec, preset
from tests.hostile import quick, refused

SETTINGS = some.sampled_from(
    [
        (),
        (("preset", "demo"),),
        (("epochs", "3"), ("preset", "demo")),
        tuple(sorted(parse_spec({"lanes": "sgd,sam:rho=0.4", "rho": 0.2}).to_strings().items())),
    ]
)
LINKS = some.builds(
    Link,
    page=some.sampled_from(list(share_link.PAGES)),
    class_code=some.sampled_from(["MAY-7KQ", "ABCD", "0123456789AB"]),
    own_seed=some.booleans(),
    hidden=some.sets(some.sampled_from(list(share_link.GROUPS))).map(lambda chosen: tuple(name for name in share_link.GROUPS if name in chosen)),
    projector=some.booleans(),
    lesson=some.just("noisy-labels"),
    step=some.none() | some.sampled_from(share_link.STEPS),
    settings=SETTINGS,
)  # fmt: skip


@given(LINKS)
@quick
def test_what_is_built_is_read_back(link: Link) -> None:
    assert share_link.parse(share_link.words(link), link.page) == link
    common, rest = share_link.split(share_link.words(link))
    assert common == share_link.class_words(link)
    assert not set(rest) & {"class", "hide", "view"}


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"class": "abc"}, "class code 'abc' must be 4 to 12 letters, digits and hyphens"),
        ({"class": "a b c d"}, "class code"),
        ({"class": "straße"}, "class code"),
        ({"class": "-abcd"}, "class code"),
        ({"class": ""}, "class code ''"),
        ({"seed": "own"}, "seed 'own' needs a class"),
        ({"seed": "mine"}, "seed 'mine' must be a whole number"),
        ({"hide": "everything"}, "hide 'everything' must be of sidebar, preset"),
        ({"view": "cinema"}, "view 'cinema' must be projector"),
        ({"lesson": "../../etc/passwd"}, "lesson '../../etc/passwd' must be small letters"),
        ({"lesson": "a", "step": "0"}, "step '0' must be one of predict, watch"),
        ({"step": "watch"}, "needs a lesson"),
        ({"preset": "nope"}, "nope"),
        ({"epochs": "many"}, "epochs 'many' must be a whole number"),
        ({"colour": "red"}, "'colour' is not a setting"),
    ],
)
def test_bad_words_are_refused_in_one_line(said: dict[str, str], why: str) -> None:
    with pytest.raises(ValueError, match=r"^[^\n]+$") as error:
        share_link.parse(said)
    assert why in str(error.value)
    refused(error.value)


@given(some.dictionaries(some.sampled_from([*share_link.WORDS, "run", "x"]), some.text(max_size=20), max_size=4))
@quick
def test_any_words_are_a_link_or_one_line(said: dict[str, str]) -> None:
    try:
        share_link.parse(said)
    except ValueError as error:
        refused(error)


def test_a_code_is_one_whatever_its_case() -> None:
    assert share_link.parse({"class": " may-7kq "}).class_code == "MAY-7KQ"


def test_every_word_has_its_line_and_every_group_is_one_of_the_form() -> None:
    link = Link("lessons", "MAY-7KQ", True, ("more",), True, "flat", "watch", (("preset", "demo"),))
    assert set(share_link.words(link)) == set(share_link.WORDS)
    assert set(share_link.GROUPS) == {"sidebar", *form.GROUPS}


def test_an_address_has_the_host_and_folder_of_the_page_it_is_made_on() -> None:
    link = Link("wall", "MAY-7KQ")
    for here, expected in {
        "": "/wall?class=MAY-7KQ",
        "http://127.0.0.1:8501/teach?x=1": "http://127.0.0.1:8501/wall?class=MAY-7KQ",
        "https://lab.example.org/lab/teach": "https://lab.example.org/lab/wall?class=MAY-7KQ",
        "https://lab.example.org/lab/": "https://lab.example.org/lab/wall?class=MAY-7KQ",
        "https://lab.example.org/firewall/teach": "https://lab.example.org/firewall/wall?class=MAY-7KQ",
    }.items():
        assert share_link.build(link, here) == expected


def test_the_race_of_a_link() -> None:
    assert share_link.read_settings({"preset": "demo", "epochs": "2"}) == parse_spec({"epochs": 2}, preset("demo").spec)
    assert share_link.read_settings({}) == preset("noisy-labels").spec
    assert share_link.read_settings({"dataset": "fashion-mnist-10k"}) == RaceSpec()
