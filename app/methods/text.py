"""Texts of the page Methods: cost and memory of a step, and measurements, each with its seeds."""

import re
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from app.methods.cards import Card, Memory
from app.methods.measured import Measured, lesson, of
from app.ui import theme
from app.ui.formats import signed
from app.ui.tradeoff import score
from ssam.experiment import LaneSpec, preset
from ssam.methods import METHODS

NOT_MEASURED = "not measured"
ONLY_SEARCHED = "searched only"
NOISE = preset("noisy-labels").spec.label_noise
NOISY, CLEAN = f"Gain over SGD, {100 * NOISE:g}% label noise", "Gain over SGD, clean labels"
SHARES = {0.0: "0", 0.25: "¼", 1.0: "1", 1.25: "1¼", 2.0: "2"}

COMPARE = (
    "**Passes**: forward and backward passes per step, on average. **Memory**: memory beyond SGD with momentum, in float32 copies of the "
    "weights; *≤ 1*: only the perturbed tensors are copied. **Exact**: each step equals the method's, bit for bit. "
    "**Step time / SGD**: measured, median over the seeds. **Gain over SGD**: test accuracy after the last epoch minus that of SGD on the same "
    "seeds, in points, mean ± standard deviation. Seeds 0–4 are the lessons' races, 10–14 the study's: other seeds, other figures. "
    "One network, one data set: a lesson, not a benchmark."
)
SEARCHED = "*Searched* lanes were tried on few seeds, with the radius chosen on those same seeds by test accuracy: treat them as hints."


def passes(card: Card) -> str:
    """Return the forward+backward passes per step.

    >>> from app.methods.cards import cards
    >>> passes(cards()["sub-batch"])
    '2, the first of 32 images'
    """
    images = card.lanes[0].ascent_batch
    return f"{card.passes:g}" + (f", the first of {images} images" if images else "")


def between(memory: Memory) -> str:
    return SHARES[memory.between]


def during(memory: Memory) -> str:
    return "≤ 1" if memory.part else SHARES[memory.during]


def kind(card: Card) -> str:
    """Return whether its steps are exact."""
    return "exact" if card.exact else "approximate"


def facts(card: Card) -> list[tuple[str, str]]:
    """Return the costs of a card as names and values."""
    memory = card.memory
    held = f"{between(memory)} between steps, {during(memory)} in a step"
    words = "none" if memory.during == 0 else f"{held} (copies of the weights)"
    return [
        ("Passes per step", passes(card)),
        ("Memory beyond SGD", words),
        ("Steps", kind(card)),
    ]


def measured(card: Card, lanes: Sequence[LaneSpec], found: Sequence[Measured]) -> list[dict[str, str]]:
    """Return a row for each of these lanes of the card and each setting in which it was measured."""
    rows = [
        {
            "Setting": one.task,
            "Lane": title(one.point.lane),
            "Test accuracy": score(one.point),
            "Gain over SGD": gain(card, one),
            "Step time / SGD": ratio(one),
            "Seeds": seeds(one),
        }
        for one in of(lanes, found)
    ]
    return [_unbroken(row) for row in rows]


def compared(cards: Sequence[Card], found: Sequence[Measured]) -> list[dict[str, str]]:
    """Return a row per card, with the measurements of its first lane that was run in the lesson on seeds not used to choose it.
    Searched lanes are listed elsewhere: the best of many tries is too good."""
    sound = [one for one in found if not is_searched(one)]
    return [
        _unbroken(_row(card, lesson(card.lanes, sound, NOISE), lesson(card.lanes, sound, 0.0), _only(card, found)))
        for card in cards
    ]


def only_searched(cards: Sequence[Card], found: Sequence[Measured]) -> list[dict[str, str]]:
    """Return a row for each card of which only a search is known."""
    rows = []
    for card in cards:
        if one := _only(card, found):
            row = {"Method": card.title, "Step time / SGD": ratio(one), NOISY: gain(card, one), "Seeds": seeds(one)}
            rows.append(_unbroken({**row, "Measured as": title(one.point.lane)}))
    return rows


def is_searched(one: Measured) -> bool:
    return one.point.source == "search"


def _only(card: Card, found: Sequence[Measured]) -> Measured | None:
    """Return the search result of the card in the lesson's race; None if it was run on other seeds too, or not at all."""
    one = lesson(card.lanes, found, NOISE)
    sound = lesson(card.lanes, [each for each in found if not is_searched(each)], NOISE)
    return one if sound is None else None


def _row(card: Card, noisy: Measured | None, clean: Measured | None, searched: Measured | None) -> dict[str, str]:
    instead = ONLY_SEARCHED if searched else NOT_MEASURED
    return {
        "Method": card.title,
        "Passes": f"{card.passes:g}",
        "Memory between steps": between(card.memory),
        "Memory during a step": during(card.memory),
        "Steps": kind(card),
        "Step time / SGD": ratio(noisy) if noisy else instead,
        NOISY: gain(card, noisy) if noisy else instead,
        "Seeds": seeds(noisy) if noisy else "–",
        CLEAN: gain(card, clean),
        "Seeds ": seeds(clean) if clean else "–",  # the table needs distinct headings
        "Measured as": title(noisy.point.lane) if noisy else "–",
    }


def title(lane: LaneSpec) -> str:
    """Return a lane's title that also says whether its mask is random, unless its region leaves no choice.

    >>> title(LaneSpec.parse("ssam:rho=0.3"))
    'SSAM ρ 0.3 random'
    """
    score = lane.mask_score if "score" in METHODS[lane.method].settings and lane.region == "all" else lane.score
    return theme.lane_title(lane.model_copy(update={"score": score}))


def _unbroken(row: dict[str, str]) -> dict[str, str]:
    """Keep a number and its spread or mark on one line."""
    return {name: re.sub(r" (?=±)|(?<=[±ρ]) |(?<=,) (?=searched)", "\u00a0", text) for name, text in row.items()}


def gain(card: Card, one: Measured | None) -> str:
    """Return the gain over SGD on the same seeds, mean ± standard deviation; none for SGD itself."""
    if not METHODS[card.method].perturbs:
        return "–"
    if one is None or not one.gains:
        return NOT_MEASURED
    spread = f" ± {statistics.stdev(one.gains):.1f}" if len(one.gains) > 1 else ""
    return signed(statistics.fmean(one.gains)) + spread


def ratio(one: Measured | None) -> str:
    return NOT_MEASURED if one is None or one.point.ratio is None else f"{one.point.ratio:.2f}"


def seeds(one: Measured) -> str:
    """Return how many seeds, and which.

    >>> from app.ui.tradeoff import Point, Trial
    >>> from ssam.experiment import RaceSpec
    >>> trials = tuple(Trial(seed, 80.0, 2.0, 2.0) for seed in (10, 11, 12))
    >>> seeds(Measured(RaceSpec(), "", Point(LaneSpec(method="sam"), "search", trials, 0.0, "", 2.0, True)))
    '3 (10–12), searched'
    """
    known = [trial.seed for trial in one.point.trials]
    in_a_row = len(known) > 2 and known == list(range(known[0], known[-1] + 1))
    which = f"{known[0]}–{known[-1]}" if in_a_row else ",\u00a0".join(map(str, known))
    lost = f", {one.point.diverged} diverged" * bool(one.point.diverged)
    return f"{len(known)} ({which}){', searched' * (one.point.source == 'search')}{lost}"


def bibtex(card: Card, entries: dict[str, str]) -> str:
    return "\n".join(entries[key] for key in card.cite)


def machine(facts: Mapping[str, Any]) -> str:
    """Return where and when the study was made, and the command that reproduces it."""
    return f"{facts['machine']['cpu']}, {facts['machine']['cores']} cores, {facts['date']}: `{facts['command']}`"


def table_summary(rows: Sequence[dict[str, str]]) -> str:
    """Return the comparison in a sentence."""
    told = [f"{row['Method']} {row[NOISY]} at {row['Step time / SGD']}" for row in rows]
    return f"Gain over SGD in points with label noise, and step time relative to SGD: {'; '.join(told)}."
