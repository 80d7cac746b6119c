"""Texts of the page Anatomy of a step: each phase in a short sentence with its numbers, all numbers as a table, explanations."""

import math
from collections.abc import Sequence
from typing import Any

from app.anatomy.data import Anatomy
from app.ui import texts, theme
from ssam.experiment import LaneSpec
from ssam.methods import METHODS, Method
from ssam.methods.directions import DIRECTIONS

Row = dict[str, Any]
Phase = dict[str, Any]  # key, title, the parts of a step's time that it falls into, the picture shown, said, numbers

LATER = (
    "This race is still in progress: a step from its latest weights can be analysed once it has ended or is paused, one from saved weights "
    "at any time. *Save weights every* makes a race save some."
)
NOT_MEASURED = "Not analysed yet. It takes two gradients per lane; the result is stored."
NO_WEIGHTS = "The weights of this race were not saved, so there is nothing to analyse."
SEEING = (
    "One training step of each lane, as the race would take it next: from its weights at that moment, with its mask, its rho, its "
    "momentum and the next batch of images. The optimizer itself takes the step, and everything on the way is recorded. Nothing is "
    "illustrative: lengths, angles, maps and milliseconds are measured.",
    "**Bars**: the time of each part of a step in that race, the median over its last few hundred steps; all lanes on one scale. Several "
    "phases belong to one part: norm, ε, mask and the move to w + ε are *perturb*.",
    "**Drawing**: w, w + ε and the new w with their true distances, ε upwards. A mask sets entries of ε to zero, which is a projection: "
    "the masked ε is the projection of the dashed one. ε and the update do not lie in one plane with it, so two planes are unfolded into one.",
    "**Maps**: one cell is one weight of the layer. Rows are output units, columns the rest, flattened; of a layer larger than 32 × 32 some are "
    "shown, evenly spaced. The strength of the colour is the square root of the magnitude, each map on its own scale; filled is positive, hollow is negative.",
    "Lanes that skip work (partial passes) are shown with both passes in full: the step is the same.",
)
PERTURB_SHARED = ("norm", "epsilon", "mask", "ascent")
NUMBERS = (  # label, name in the row, a kind of number
    ("Loss at w", "loss", "number"),
    ("‖g‖", "gradient_norm", "number"),
    ("Norm that ε is divided by", "divisor", "number"),
    ("ρ", "rho", "number"),
    ("ρ / norm", "factor", "number"),
    ("‖ε‖ before the mask", "dense", "number"),
    ("Weights perturbed", "density", "share"),
    ("‖ε‖, the effective radius", "radius", "number"),
    ("Loss at w + ε", "loss_perturbed", "number"),
    ("Ascent gap", "gap", "number"),
    ("‖gradient at w + ε‖", "second_norm", "number"),
    ("Cosine of the two gradients", "cosine", "number"),
    ("max |w restored − w|", "off", "number"),
    ("Learning rate", "rate", "number"),
    ("‖update‖", "update_norm", "number"),
    ("Loss after the step, same batch", "loss_after", "number"),
    ("‖w‖", "weight_norm", "number"),
)


def number(value: float | None) -> str:
    """Return four digits, or a dash.

    >>> number(0.0123456), number(None), number(0.0)
    ('0.01235', '–', '0')
    """
    return "–" if value is None else f"{value:.4g}"


def share(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f}%"


def table(anatomy: Anatomy) -> list[list[str]]:
    """Return a row for each number: its name, then its value in each lane."""
    said = {"number": number, "share": share}
    return [
        [label, *(said[kind](row.get(name)) for row in anatomy.steps.values())]
        for label, name, kind in NUMBERS
        if any(row.get(name) is not None for row in anatomy.steps.values())
    ]


def phases(anatomy: Anatomy, place: int) -> list[Phase]:
    """Return the phases of a lane's step, in order."""
    row, lane = anatomy.steps[place], anatomy.spec.lanes[place]
    if row.get("radius") is None:
        return [*_first_pass(anatomy, row, lane), _update(row, lane)]
    return [
        *(_first_pass(anatomy, row, lane) if row["direction"] == "gradient" else [_ready(row)]),
        *_perturbation(row, METHODS[lane.method], f"mask/{place}" in anatomy.pictures),
        *_second_pass(anatomy, row),
        _update(row, lane),
    ]


def _phase(
    key: str, title: str, parts: Sequence[str], picture: str | None, said: str, *numbers: tuple[str, str]
) -> Phase:
    return {
        "key": key,
        "title": title,
        "parts": list(parts),
        "picture": picture,
        "said": said,
        "numbers": [list(pair) for pair in numbers],
    }


def _first_pass(anatomy: Anatomy, row: Row, lane: LaneSpec) -> list[Phase]:
    few, batch = row.get("ascent_images"), anatomy.about["images"]
    images = f"the first {few} of {batch:,} images" if few else f"a batch of {batch:,} images"
    return [
        _phase(
            "loss",
            "Loss at w",
            ["forward1"],
            None,
            f"The network, with its weights w, sees {images}. Its loss is {number(row['loss'])}.",
            ("L(w)", number(row["loss"])),
        ),
        _phase(
            "gradient",
            "Gradient at w",
            ["backward1"],
            "gradient",
            f"Backwards through the network: how the loss changes with each of the {anatomy.about['parameters']:,} weights. That is the gradient g "
            f"with norm {number(row['gradient_norm'])}, pointing uphill.",
            ("‖g‖", number(row["gradient_norm"])),
        ),
    ]


def _ready(row: Row) -> Phase:
    what = DIRECTIONS[row["direction"]].formula
    return _phase(
        "gradient",
        "An available direction",
        ["perturb"],
        "gradient",
        f"No gradient at w is computed. ε follows {what}, which is already available and costs nothing. Below it is called g.",
        ("‖g‖", number(row["gradient_norm"])),
    )


def _perturbation(row: Row, method: Method, has_mask: bool) -> list[Phase]:
    whole = row["norm"] == "full"
    of = "of all layers together" if whole else "only of the weights that the mask selects"
    measured = "the gradient" if method.measures == "g" else method.measures
    scales_g = method.follows == "g"
    found = [
        _phase(
            "norm",
            "Norm",
            ["perturb"],
            "gradient",
            f"One number: the norm of {measured}, {of}. It is {number(row['divisor'])}, so ε will be {number(row['factor'])} times "
            f"{method.follows}.",
            (f"‖{method.measures}‖" if whole else f"‖m⊙{method.measures}‖", number(row["divisor"])),
            ("ρ", number(row["rho"])),
            ("ρ / norm", number(row["factor"])),
        ),
        _phase(
            "epsilon",
            "ε",
            ["perturb"],
            "gradient" if scales_g else "epsilon",
            f"ε = ρ · {method.follows} / norm{': g scaled to norm' if scales_g else ', with norm'} {number(row['dense'])}.",
            ("‖ε‖" + " before the mask" * has_mask, number(row["dense"])),
        ),
    ]
    if has_mask:
        left = row["radius"] / row["dense"] if row["dense"] else 0.0
        found.append(
            _phase(
                "mask",
                "Apply the mask",
                ["perturb"],
                "epsilon",
                f"m⊙ε: {share(1 - row['density'])} of the weights will stay where they are. What remains of ε has norm {number(row['radius'])}, {100 * left:.0f}% of it.",
                ("perturbed", share(row["density"])),
                ("‖m⊙ε‖, effective radius", number(row["radius"])),
                ("of ‖ε‖", f"{100 * left:.1f}%"),
            )
        )
    found.append(
        _phase(
            "ascent",
            "To w + ε",
            ["perturb"],
            "epsilon",
            f"The weights move by ε, uphill: a step of length {number(row['radius'])}; w itself has norm {number(row['weight_norm'])}.",
            ("moved by", number(row["radius"])),
            ("‖w‖", number(row["weight_norm"])),
        )
    )
    return found


def _second_pass(anatomy: Anatomy, row: Row) -> list[Phase]:
    gap = row.get("gap")
    rise = "" if gap is None else f", {number(abs(gap))} {'more' if gap >= 0 else 'less'} than at w"
    degrees = math.degrees(math.acos(max(-1.0, min(1.0, row["cosine"]))))
    return [
        _phase(
            "loss2",
            "Loss at w + ε",
            ["forward2"],
            "epsilon",
            f"The {'same' if row['loss'] is not None else 'whole'} batch of {anatomy.about['images']:,} images again, at w + ε: the loss is {number(row['loss_perturbed'])}{rise}.",
            ("L(w+ε)", number(row["loss_perturbed"])),
            ("ascent gap", number(gap)),
        ),
        _phase(
            "second",
            "Second gradient",
            ["backward2"],
            "second",
            f"The gradient there, of all weights, masked or not. Its angle to g is {degrees:.0f}°: that is all the detour changes.",
            ("‖g(w+ε)‖", number(row["second_norm"])),
            ("cosine with g", number(row["cosine"])),
        ),
        _phase(
            "restore",
            "Back to w",
            ["update"],
            None,
            "The weights are restored from a copy, "
            + ("exact to the bit." if row["off"] == 0 else f"at most {number(row['off'])} off."),
            ("max |w restored − w|", number(row["off"])),
        ),
    ]


def _update(row: Row, lane: LaneSpec) -> Phase:
    perturbed = row.get("radius") is not None
    both = perturbed and METHODS[lane.method].compares
    which = "what it makes of both gradients" if both else "the gradient from w + ε" if perturbed else "g"
    fallen = row["loss_after"] < row["loss"] if row.get("loss") is not None else None
    after = {True: "falls", False: "rises", None: "is then"}[fallen]
    to = number(row["loss_after"]) if fallen is None else f"to {number(row['loss_after'])}"
    kept = row["momentum"] or row["step"] == 0
    return _phase(
        "update",
        "Update",
        ["update"],
        "update",
        f"The base optimizer steps from w with {which}{', and with its momentum' if kept and row['step'] else ''}, by a step of length {number(row['update_norm'])}. The loss on this batch {after} {to}."
        + ("" if kept else " Saved weights come without momentum, so it starts at zero here."),
        ("learning rate", number(row["rate"])),
        ("‖update‖", number(row["update_norm"])),
        ("L after", number(row["loss_after"])),
    )


def notes(anatomy: Anatomy) -> list[str]:
    """Return notes on a lane's unusual steps, one line each."""
    found = []
    for (place, row), title in zip(anatomy.steps.items(), _titles(anatomy), strict=True):
        lane = anatomy.spec.lanes[place]
        if row["direction"] == "none":
            found.append(f"{title} has no direction to follow yet, so it steps without perturbing.")
        if lane.interval > 1 and row.get("radius") is not None:
            found.append(f"{title} perturbs only in every {texts.ordinal(lane.interval)} step: this is one of them.")
    return found


def _titles(anatomy: Anatomy) -> list[str]:
    every = theme.lane_titles(anatomy.spec)
    return [every[place] for place in anatomy.steps]


def words(anatomy: Anatomy) -> str:
    """Return the whole step of every lane as text."""
    lines = []
    for place, title in zip(anatomy.steps, _titles(anatomy), strict=True):
        said = " ".join(f"{number_}. {phase['said']}" for number_, phase in enumerate(phases(anatomy, place), 1))
        took = anatomy.phase_ms[place]
        parts = ", ".join(
            f"{theme.PHASE_TITLES[name]} {took[name]:.2f} ms" for name in theme.PHASE_TITLES if name in took
        )
        lines.append(f"**{title}.** {said} Step time: {parts or 'unknown'}.")
    return "\n\n".join(lines)
