"""What a link can say, in one table: it is built and read here, for pages and people."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

from app.ui.lesson_content import STEPS
from ssam.experiment import RaceSpec, laid_over, parse_spec, preset, presets
from ssam.experiment.class_code import class_code

OWN = "own"  # as a seed: the server gives everybody of the class another one
PROJECTOR = "projector"
PAGES = {"race": "", "lessons": "lessons", "wall": "wall"}  # where a link can lead, with its path
GROUPS = {  # of the form: what can be hidden
    "sidebar": "the whole form",
    "preset": "Preset",
    "dataset": "Data set",
    "model": "Model",
    "lanes": "Lanes",
    "sparsity": "Sparsity",
    "numbers": "Rho, epochs, seed",
    "per_lane": "Per lane",
    "more": "More",
}
WORDS = {  # in an address, with what each means
    "class": "the class code under which races go on the class wall",
    "seed": "a whole number, or own: everybody of the class gets another one",
    "hide": "controls that are not shown, with commas between",
    "view": "projector: large type, few numbers",
    "lesson": "the lesson that is opened",
    "step": "the step of the lesson: predict, watch, reveal, next",
    "preset": "the race that the page opens with",
}
LESSON = r"[a-z0-9]+(-[a-z0-9]+)*"


@dataclass(frozen=True)
class Link:
    """A link to one of PAGES. ``settings`` is a race's address: a preset or fields of RaceSpec, and what was changed of them."""

    page: str = "race"
    class_code: str | None = None
    own_seed: bool = False
    hidden: tuple[str, ...] = ()
    projector: bool = False
    lesson: str | None = None
    step: str | None = None
    settings: tuple[tuple[str, str], ...] = ()


def parse(words: Mapping[str, str], page: str = "race") -> Link:
    """Reads the words of an address. Raises ValueError, one line that says what is allowed, for a bad value or unknown word."""
    rest = dict(words)
    if page not in PAGES:
        raise ValueError(f"page {page[:40]!r} must be one of {', '.join(PAGES)}")
    code = rest.pop("class", None)
    hidden = tuple(part.strip() for part in rest.pop("hide", "").split(",") if part.strip())
    if unknown := [name for name in hidden if name not in GROUPS]:
        raise ValueError(f"hide {unknown[0][:40]!r} must be of {', '.join(GROUPS)}")
    view = rest.pop("view", None)
    if view not in (None, PROJECTOR):
        raise ValueError(f"view {view[:40]!r} must be {PROJECTOR}")
    own_seed = rest.get("seed") == OWN
    if own_seed:
        del rest["seed"]
        if code is None:
            raise ValueError("seed 'own' needs a class: another seed for each of its races")
    lesson, step = rest.pop("lesson", None), rest.pop("step", None)
    if lesson is not None and (len(lesson) > 60 or not re.fullmatch(LESSON, lesson)):
        raise ValueError(f"lesson {lesson[:40]!r} must be small letters, digits and hyphens")
    if step is not None and (step not in STEPS or not lesson):
        raise ValueError(f"step {step[:40]!r} must be one of {', '.join(STEPS)}, and needs a lesson")
    read_settings(rest)
    return Link(
        page,
        None if code is None else class_code(code),
        own_seed,
        tuple(name for name in GROUPS if name in hidden),
        view == PROJECTOR,
        lesson,
        step,
        tuple(sorted(rest.items())),
    )


def read_settings(words: Mapping[str, str]) -> RaceSpec:
    """The race of an address without any other words; the first preset's where there are none."""
    rest = dict(words)
    name = rest.pop("preset", None)
    if not name and not rest:
        return next(iter(presets().values())).spec
    return laid_over(preset(name).spec, rest) if name else parse_spec(rest)


def words(link: Link) -> dict[str, str]:
    """The words of a link's address; ``parse`` reads them back."""
    said = dict(link.settings)
    if link.lesson:
        said["lesson"] = link.lesson
    if link.step:
        said["step"] = link.step
    return said | class_words(link)


def class_words(link: Link) -> dict[str, str]:
    """Of a link what holds for every page and stays in the address."""
    said = {}
    if link.class_code:
        said["class"] = link.class_code
    if link.own_seed:
        said["seed"] = OWN
    if link.hidden:
        said["hide"] = ",".join(link.hidden)
    if link.projector:
        said["view"] = PROJECTOR
    return said


def split(words: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """What holds for every page, and the rest: for pages that read the rest themselves."""
    common = {
        name: value
        for name, value in words.items()
        if name in ("class", "hide", "view") or (name, value) == ("seed", OWN)
    }
    return common, {name: value for name, value in words.items() if name not in common}


def build(link: Link, here: str = "") -> str:
    """The link as an address; ``here`` is any page of the lab as the browser shows it, whose host and folder it gets.

    >>> build(Link("race", "MAY-7KQ", own_seed=True, settings=(("preset", "quick"),)), "http://127.0.0.1:8501/wall?class=X")
    'http://127.0.0.1:8501/?preset=quick&class=MAY-7KQ&seed=own'
    """
    parts = urlsplit(here)
    folder = parts.path
    for path in (*filter(None, PAGES.values()), "teach", "sweeps"):
        folder = folder.removesuffix(f"/{path}")
    root = f"{parts.scheme}://{parts.netloc}{folder.rstrip('/')}/" if parts.netloc else "/"
    query = urlencode(words(link), safe=",:")
    return f"{root}{PAGES[link.page]}{'?' + query if query else ''}"
