"""Lessons as Markdown files in ``assets/lessons``. A new one needs no code.

A lesson is TOML between two lines ``+++``, then Markdown with the sections of ``SECTIONS``. It contains no measured number: a
claim names its evidence, which is read from ``assets/measured``. ``docs/lessons.md`` shows how to write one.
"""

import json
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, model_validator

from ssam.catalogue import DISTURBANCES
from ssam.experiment.base import Frozen, explain
from ssam.experiment.lane import LaneSpec
from ssam.experiment.presets import ASSETS, preset
from ssam.experiment.race import RaceSpec, laid_over

FOLDER = ASSETS / "lessons"
STEPS = ("predict", "watch", "reveal", "next")
SECTIONS = {"predict": "Predict", "watch": "Watch", "reveal": "Reveal", "next": "Try next"}  # by step
PAGES = ("race", "surface", "anatomy", "masks", "flatness", "frontier", "methods")  # pages that a lesson can link to
FLATNESS = "noisy-labels"  # the preset whose weights were measured
DISTURBED = "disturbed-images"  # the registered experiment on disturbed test images

# What can be claimed about a lane, by kind of evidence. Accuracies and falls are in percentage points.
VALUES = {
    "races": ("test_accuracy", "best_accuracy", "best_epoch", "fall", "train_loss", "step_ratio_to_sgd"),
    "flatness": ("test_accuracy", "ascent_gap", "m_sharpness", "λ1", "trace"),
    "bench": ("ratio_to_sgd", "predicted", "excess"),
    "disturbed": ("test_accuracy", *DISTURBANCES),
}


class Question(Frozen):
    """A question to predict. ``answer`` is the place of the right choice, from 1; ``why`` is shown at the reveal."""

    prompt: str = Field(min_length=1)
    choices: tuple[str, ...] = Field(min_length=2, max_length=6)
    answer: int = Field(ge=1, le=6)
    why: str = Field(min_length=1)

    @model_validator(mode="after")
    def _answer_is_a_choice(self) -> "Question":
        if self.answer > len(self.choices):
            raise ValueError(f"answer '{self.answer}' must be one of the choices, 1 to {len(self.choices)}")
        if len(set(self.choices)) < len(self.choices) or not all(self.choices):
            raise ValueError("choices must differ, and none may be empty")
        return self


class Claim(Frozen):
    """A sentence that numbers can refute: ``value`` of ``lane``, ``minus`` that of another lane or ``over`` it (divided by it),
    is ``at_least`` or ``at_most`` a number, on ``all`` seeds or in the ``mean``.

    ``evidence``: the ``races`` of ``preset`` (by default the lesson's), the ``flatness`` of their final weights, the
    ``bench`` of single steps, or the contenders of the registered experiment on ``disturbed`` test images. ``expected`` is ``fails`` for a common belief that the numbers refute.
    """

    text: str = Field(min_length=1)
    lane: str
    value: str
    minus: str | None = None
    over: str | None = None
    at_least: float | None = None
    at_most: float | None = None
    seeds: Literal["all", "mean"] = "all"
    evidence: Literal["races", "flatness", "bench", "disturbed"] = "races"
    preset: str | None = None
    expected: Literal["holds", "fails"] = "holds"

    @model_validator(mode="after")
    def _fits_together(self) -> "Claim":
        allowed = VALUES[self.evidence]
        if self.value not in allowed:
            raise ValueError(f"value {self.value[:40]!r} must be one of {', '.join(allowed)}")
        if self.at_least is None and self.at_most is None:
            raise ValueError("at_least or at_most must give the bound of the claim")
        if self.at_least is not None and self.at_most is not None and self.at_least > self.at_most:
            raise ValueError(f"at_least '{self.at_least:g}' must not be above at_most '{self.at_most:g}'")
        if self.minus and self.over:
            raise ValueError("minus and over cannot both be given")
        if self.preset and self.evidence != "races":
            raise ValueError(f"preset is only for evidence 'races', not {self.evidence!r}")
        return self

    @property
    def lanes(self) -> tuple[str, ...]:
        """Return the lanes that it is about."""
        return tuple(lane for lane in (self.lane, self.minus, self.over) if lane)


class Source(Frozen):
    """A source: a ``url``, or a paper's number at ``arxiv``."""

    title: str = Field(min_length=1)
    url: str = Field(default="", pattern=r"^(https://\S+)?$")
    arxiv: str = Field(default="", pattern=r"^(\d{4}\.\d{5})?$")

    @model_validator(mode="after")
    def _leads_somewhere(self) -> "Source":
        if bool(self.url) == bool(self.arxiv):
            raise ValueError("url or arxiv must be given, and not both")
        return self

    @property
    def address(self) -> str:
        return self.url or f"https://arxiv.org/abs/{self.arxiv}"


class Link(Frozen):
    """A link to a page, shown at a ``step``. ``settings`` for the page ``race`` override those of the lesson's preset."""

    text: str = Field(min_length=1)
    page: Literal["race", "surface", "anatomy", "masks", "flatness", "frontier", "methods"] = "race"
    step: Literal["predict", "watch", "reveal", "next"] = "next"
    settings: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _only_races_have_settings(self) -> "Link":
        if self.settings and self.page != "race":
            raise ValueError(f"settings are only for page 'race', not {self.page!r}")
        return self


class Lesson(Frozen):
    """One lesson. ``goal`` continues "You will be able to …"; ``sections`` is Markdown by step."""

    name: str = Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=60)
    title: str = Field(min_length=1, max_length=60, pattern=r"^[^\n]+$")
    minutes: int = Field(ge=1, le=60)
    summary: str = Field(min_length=1)
    goal: str = Field(min_length=1)
    preset: str
    questions: tuple[Question, ...] = Field(min_length=1, max_length=4)
    claims: tuple[Claim, ...] = Field(min_length=1)
    sources: tuple[Source, ...] = Field(min_length=1)
    next: tuple[Link, ...] = Field(min_length=1)
    sections: dict[str, str]

    @property
    def spec(self) -> RaceSpec:
        """Return the race to run, with the preset's seed."""
        return preset(self.preset).spec

    @model_validator(mode="after")
    def _fits_together(self) -> "Lesson":
        spec = self.spec
        for place, claim in enumerate(self.claims, 1):
            known = _lanes(claim, spec)
            if unknown := [lane for lane in claim.lanes if known and lane not in known]:
                raise ValueError(f"claims.{place} lane {unknown[0][:60]!r} must be one of {', '.join(known)}")
        for place, link in enumerate(self.next, 1):
            try:
                laid_over(spec, link.settings)
            except ValueError as error:
                raise ValueError(f"next.{place} settings: {error}") from None
        return self


def lessons(folder: Path = FOLDER) -> dict[str, Lesson]:
    """Return all lessons by name, in the order of the files' numeric prefixes. Raise ValueError, one line that names file and
    field, if one is invalid."""
    found, problems = readable(folder)
    if problems:
        raise ValueError(problems[0])
    return found


def readable(folder: Path = FOLDER) -> tuple[dict[str, Lesson], tuple[str, ...]]:
    """Return the valid lessons, like ``lessons``, and one line for each invalid file: one bad file must not hide the others."""
    found: dict[str, Lesson] = {}
    problems = []
    for path in sorted(folder.glob("[0-9]*.md")):
        try:
            lesson = read(path)
            if lesson.name in found:
                raise ValueError(f"{path.name}: two lessons are called {lesson.name!r}")
            found[lesson.name] = lesson
        except ValueError as error:
            problems.append(str(error))
    return found, tuple(problems)


def read(path: Path) -> Lesson:
    """Read one lesson. Raise ValueError with one line that names the file, the field and what is allowed."""
    try:
        head, sections = _parts(path.read_text(encoding="utf-8-sig"))
        return _lesson({**head, "name": path.stem.partition("-")[2], "sections": sections})
    except UnicodeDecodeError:
        raise ValueError(f"{path.name}: must be text in UTF-8") from None
    except OSError as error:
        raise ValueError(f"{path.name}: cannot be read ({error.strerror})") from None
    except RecursionError:  # tomllib recurses as deep as its text
        raise ValueError(f"{path.name}: is nested too deeply") from None
    except ValueError as error:  # tomllib's errors too
        raise ValueError(f"{path.name}: {error}") from None


def _lesson(values: Mapping[str, Any]) -> Lesson:
    try:
        return Lesson.model_validate(values)
    except ValidationError as error:
        raise ValueError(_explained(error)) from None


def _explained(error: ValidationError) -> str:
    """Return one line, with places counted from 1."""
    first = error.errors()[0]
    place = ".".join(str(part + 1) if isinstance(part, int) else part for part in first["loc"])
    if first["type"] == "value_error":
        message = first["msg"].removeprefix("Value error, ")
        return f"{place}: {message}" if place else message
    if first["type"] == "missing":
        return f"{place} is missing"
    if first["type"] == "extra_forbidden":
        return f"{place[:60]!r} is not a field of a lesson"
    if place == "name":
        return "the file's name must be a number, then small letters, digits and single hyphens: 80-my-lesson.md"
    return explain(error, Lesson) if place == "minutes" else _said(first, place)


def _said(first: Any, place: str) -> str:
    said = (
        first["msg"]
        .replace("Input should be", "must be")
        .replace("String should", "must")
        .replace("Tuple should", "must")
        .replace("a valid tuple", "a list")
        .replace("a valid string", "text in quotes")
        .replace("match pattern '^[^\\n]+$'", "be one line")
    )
    return f"{place} {str(first['input'])[:60]!r} {said}"


def _parts(text: str) -> tuple[dict[str, Any], dict[str, str]]:
    found = re.fullmatch(r"\+\+\+\n(.*?)\n\+\+\+\n(.*)", text, re.DOTALL)
    if not found:
        raise ValueError("must be TOML between two lines +++, then Markdown")
    head = tomllib.loads(found[1])
    head.pop("recorded", None)  # older files named the recording; now the race finds it, so that no other one can play
    if taken := sorted({"name", "sections"} & set(head)):
        raise ValueError(f"{taken[0]!r} is not a field of a lesson")
    before, *parts = re.split(r"^## (.*)\n", found[2], flags=re.MULTILINE)
    texts = [text.strip() for text in parts[1::2]]
    if before.strip() or parts[::2] != list(SECTIONS.values()) or not all(texts):
        raise ValueError(f"sections must be {', '.join(SECTIONS.values())}, each with text")
    return head, dict(zip(STEPS, texts, strict=True))


def _lanes(claim: Claim, spec: RaceSpec) -> tuple[str, ...]:
    """Return the lanes that the evidence has; None for the bench, which takes any lane."""
    if claim.evidence == "bench":
        for lane in claim.lanes:
            LaneSpec.parse(lane)
        return ()
    if claim.evidence == "disturbed":
        plan = json.loads((ASSETS / "registered" / f"{DISTURBED}.json").read_text(encoding="utf-8"))
        return tuple(plan["contenders"])
    of = FLATNESS if claim.evidence == "flatness" else claim.preset
    return (preset(of).spec if of else spec).lane_names
