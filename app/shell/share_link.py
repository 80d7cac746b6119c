"""What a link can contain, in one table: links are built and parsed here."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

from app.ui.lesson_content import STEPS
from ssam.experiment import RaceSpec, laid_over, parse_spec, preset, presets
from ssam.experiment.class_code import class_code

OWN = "own"  # as a seed: the server gives everybody in the class a different one
PROJECTOR = "projector"
PAGES = {"race": "", "lessons": "lessons", "wall": "wall"}  # pages that a link can open, with their paths
GROUPS = {  # groups of the form that can be hidden
    "sidebar": "the whole form",
    "preset": "Preset",
    "dataset": "Data set",
    "model": "Model",
    "lanes": "Methods (lanes)",
    "sparsity": "Sparsity",
    "numbers": "Rho, epochs, seed",
    "per_lane": "Settings for each method",
    "more": "Training settings",
}
WORDS = {  # in an address, with their meanings
    "class": "the class code under which races go on the class wall",
    "seed": "a whole number, or own: everybody in the class gets a different one",
    "hide": "controls that are not shown, separated by commas",
    "view": "projector: presentation mode with large type and few numbers",
    "lesson": "the lesson that is opened",
    "step": "the step of the lesson: predict, watch, reveal, next",
    "preset": "the race that the page opens with",
}
LESSON = r"[a-z0-9]+(-[a-z0-9]+)*"


@dataclass(frozen=True)
class Link:
    """A link to one of PAGES. ``settings`` is a race's address: a preset or fields of RaceSpec, and what was changed."""

    page: str = "race"
    class_code: str | None = None
    own_seed: bool = False
    hidden: tuple[str, ...] = ()
    projector: bool = False
    lesson: str | None = None
    step: str | None = None
    settings: tuple[tuple[str, str], ...] = ()


def parse(words: Mapping[str, str], page: str = "race") -> Link:
    """Parse the parameters of an address. Raise ValueError, one line that says what is allowed, for a bad value or name."""
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
            raise ValueError("seed 'own' needs a class: it gives each of its races a different seed")
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
    """Return the race of an address without any other parameters; the first preset's if there are none."""
    rest = dict(words)
    name = rest.pop("preset", None)
    if not name and not rest:
        return next(iter(presets().values())).spec
    return laid_over(preset(name).spec, rest) if name else parse_spec(rest)


def words(link: Link) -> dict[str, str]:
    """Return the parameters of a link's address; ``parse`` reads them back."""
    said = dict(link.settings)
    if link.lesson:
        said["lesson"] = link.lesson
    if link.step:
        said["step"] = link.step
    return said | class_words(link)


def class_words(link: Link) -> dict[str, str]:
    """Return the parameters that hold for every page and stay in the address."""
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
    """Split the parameters into those of every page, and the rest for the page itself."""
    common = {
        name: value
        for name, value in words.items()
        if name in ("class", "hide", "view") or (name, value) == ("seed", OWN)
    }
    return common, {name: value for name, value in words.items() if name not in common}


def build(link: Link, here: str = "") -> str:
    """Return the link as an address with the host and folder of ``here``, any page of the lab.

    >>> build(Link("race", "MAY-7KQ", own_seed=True, settings=(("preset", "demo"),)), "http://127.0.0.1:8501/wall?class=X")
    'http://127.0.0.1:8501/?preset=demo&class=MAY-7KQ&seed=own'
    """
    parts = urlsplit(here)
    folder = parts.path
    for path in (*filter(None, PAGES.values()), "teach", "sweeps"):
        folder = folder.removesuffix(f"/{path}")
    root = f"{parts.scheme}://{parts.netloc}{folder.rstrip('/')}/" if parts.netloc else "/"
    query = urlencode(words(link), safe=",:")
    return f"{root}{PAGES[link.page]}{'?' + query if query else ''}"
