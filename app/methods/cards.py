"""Method cards: what each method does, its costs and memory, as Markdown files in ``assets/methods``. A new one needs no code.

A card is TOML between ``+++`` lines, then the four sections of ``SECTIONS``. It contains no measured number: those come from
``assets/measured``.
"""

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ssam.experiment.lane import LaneSpec
from ssam.experiment.presets import ASSETS
from ssam.experiment.race import RaceSpec
from ssam.methods import METHODS
from ssam.methods.directions import DIRECTIONS
from ssam.planning.cost import plan_for

FOLDER = ASSETS / "methods"
SECTIONS = ("What it does", "What it costs", "Memory", "Caveats")
GROUPS = {"methods": "Methods", "steps": "Cheaper steps", "masks": "Coarser masks"}
_CODE = r"ssam(\.[a-z_]+)+:[A-Za-z_]+(\.[A-Za-z_]+)*"


def _text(value: object) -> bool:
    return isinstance(value, str) and value.strip() != ""


def _texts(value: object) -> bool:
    return isinstance(value, list) and all(_text(entry) for entry in value)


TEXT = ("a text", _text)
TEXTS = ("a list of texts", _texts)
NUMBER = ("a number", lambda value: isinstance(value, int | float) and not isinstance(value, bool))
FIELDS = {  # kind of a field: its name, and a check
    "title": TEXT,
    "summary": TEXT,
    "group": TEXT,
    "method": TEXT,
    "lanes": TEXTS,
    "passes": NUMBER,
    "equation": TEXT,
    "source": TEXT,
    "arxiv": TEXT,  # optional
    "cite": TEXTS,
    "code": TEXTS,
}


@dataclass(frozen=True)
class Memory:
    """Memory of a method beyond SGD with momentum, in float32 copies of the weights.

    ``between`` steps: masks (one byte per weight), the last gradient and what the method's rules keep; ``during`` the last pass of a
    step: the weights to restore, and the gradient at w if the descent uses it. With ``part`` only those of the perturbed tensors, so ``during`` is an upper bound. Temporary memory of the ascent
    itself is not counted.
    """

    between: float
    during: float
    part: bool = False


@dataclass(frozen=True)
class Card:
    """One card. ``method`` gives it colour and marker; ``lanes`` are examples, the first is the one to race;
    ``passes`` are forward+backward passes of a step; ``code`` are ``module:name`` references; ``cite`` keys
    of ``references.bib``; ``sections`` Markdown by heading."""

    name: str
    title: str
    summary: str
    group: str
    method: str
    lanes: tuple[LaneSpec, ...]
    passes: float
    equation: str
    source: str
    cite: tuple[str, ...]
    code: tuple[str, ...]
    sections: dict[str, str]
    arxiv: str = ""

    @property
    def exact(self) -> bool:
        """Return whether a step equals the method's, bit for bit."""
        return plan_for(RaceSpec(), self.lanes[0], ["network"], [1.0], ["matrices"]).exact

    @property
    def memory(self) -> Memory:
        lane = self.lanes[0]
        if not METHODS[lane.method].perturbs:
            return Memory(0.0, 0.0)
        method = METHODS[lane.method]
        masked = method.sparse or lane.region != "all"
        part = lane.region != "all" or lane.granularity in ("tensor", "block")
        between = 0.25 * masked + DIRECTIONS[lane.direction].keeps_gradients + method.keeps
        return Memory(between, 1.0 + method.compares, part)


def cards(folder: Path = FOLDER) -> dict[str, Card]:
    """Return all cards by name, in the order of the files' numeric prefixes. Raise ValueError with one line that names file and
    field if one is invalid."""
    found = [read(path) for path in sorted(folder.glob("*.md"))]
    if twice := {card.name for card in found if [other.name for other in found].count(card.name) > 1}:
        raise ValueError(f"two cards are called {min(twice)!r}")
    return {card.name: card for card in found}


def read(path: Path) -> Card:
    """Read one card. Raise ValueError with one line that names the file, the field and what is allowed."""
    try:
        head, body = _parts(path.read_text(encoding="utf-8"))
        return _card(path.stem.partition("-")[2], head, _sections(body))
    except (ValueError, UnicodeDecodeError) as error:  # tomllib's errors are ValueErrors too
        raise ValueError(f"{path.name}: {error}") from None


def citations(file: Path = FOLDER / "references.bib") -> dict[str, str]:
    """Return the BibTeX entries by key."""
    entries = re.findall(r"^(@\w+\{(\w+),\n.*?^\})", file.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return {key: entry for entry, key in entries}


def _parts(text: str) -> tuple[dict[str, Any], str]:
    found = re.fullmatch(r"\+\+\+\n(.*?)\n\+\+\+\n(.*)", text, re.DOTALL)
    if not found:
        raise ValueError("must be TOML between two lines +++, then Markdown")
    return tomllib.loads(found[1]), found[2]


def _sections(body: str) -> dict[str, str]:
    before, *parts = re.split(r"^## (.*)\n", body, flags=re.MULTILINE)
    found = {heading: text.strip() for heading, text in zip(parts[::2], parts[1::2], strict=True)}
    if before.strip() or tuple(parts[::2]) != SECTIONS or not all(found.values()):
        raise ValueError(f"sections must be {', '.join(SECTIONS)}, each with text")
    return found


def _card(name: str, head: dict[str, Any], sections: dict[str, str]) -> Card:
    if unknown := [field for field in head if field not in FIELDS]:
        raise ValueError(f"{unknown[0]!r} is not a field; allowed: {', '.join(FIELDS)}")
    for field, (words, fits) in FIELDS.items():
        if field not in head and field != "arxiv":
            raise ValueError(f"{field} is missing")
        if field in head and not fits(head[field]):
            raise ValueError(f"{field} must be {words}, not {str(head[field])[:60]!r}")
    _check_words(head)
    lanes = tuple(_lane(text) for text in head["lanes"])
    if not lanes:
        raise ValueError("lanes must name at least one lane")
    if lanes[0].method != head["method"]:
        raise ValueError(f"method must be that of the first lane, {lanes[0].method!r}, not {head['method']!r}")
    if lanes[0].passes != head["passes"]:
        raise ValueError(f"passes must be {lanes[0].passes:g}, as the first lane makes, not {head['passes']:g}")
    lists = {"lanes": lanes, "cite": tuple(head["cite"]), "code": tuple(head["code"])}
    return Card(name=name, sections=sections, **{**head, **lists})


def _check_words(head: dict[str, Any]) -> None:
    if head["group"] not in GROUPS:
        raise ValueError(f"group {head['group']!r} must be one of {', '.join(GROUPS)}")
    if head["method"] not in METHODS:
        raise ValueError(f"method {head['method']!r} must be one of {', '.join(METHODS)}")
    if not re.fullmatch(r"\d{4}\.\d{5}", head.get("arxiv", "0000.00000")):
        raise ValueError(f"arxiv {head['arxiv']!r} must be a number such as 2010.01412")
    if not head["code"]:
        raise ValueError("code must name at least one module:name")
    for reference in head["code"]:
        if not re.fullmatch(_CODE, reference):
            raise ValueError(f"code {reference!r} must be a module:name such as ssam.optim.sam:SAM.step")
    for key in head["cite"]:
        if key not in citations():
            raise ValueError(f"cite {key!r} must be one of references.bib: {', '.join(citations())}")


def _lane(text: str) -> LaneSpec:
    try:
        return LaneSpec.parse(text)
    except ValueError as error:
        raise ValueError(f"lanes {text!r}: {error}") from None
