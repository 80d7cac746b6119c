"""Differences between the specifications of races, field by field."""

from collections.abc import Sequence

from app.ui import theme
from app.ui.texts import AUGMENTATIONS, BASE_OPTIMIZERS, CLOCKS, LABELS, NORMS, file_name
from ssam.catalogue import DATASETS, MODELS
from ssam.experiment import RaceSpec

TITLES = {"base": BASE_OPTIMIZERS, "augment": AUGMENTATIONS, "clock": CLOCKS, "norm": NORMS}


def differing(specs: Sequence[RaceSpec]) -> list[str]:
    """Return the fields that differ among them, in the order of RaceSpec."""
    return [name for name in RaceSpec.model_fields if len({getattr(spec, name) for spec in specs}) > 1]


def table(specs: Sequence[RaceSpec], titles: Sequence[str]) -> list[dict[str, str]]:
    """Return a row for each field that differs, with a column for each race."""
    return [
        {"Setting": LABELS.get(name, name)}
        | {title: value(spec, name) for title, spec in zip(titles, specs, strict=True)}
        for name in differing(specs)
    ]


def said(spec: RaceSpec, other: RaceSpec) -> str:
    """Return how a race differs from another one, in one line; empty if it does not.

    >>> said(RaceSpec(rho=0.2, lanes="sgd,sam:rho=0.4"), RaceSpec(lanes="sgd,sam"))
    'SAM ρ 0.4 instead of SAM, Rho 0.2 instead of 0.1'
    """
    return ", ".join(_said(spec, other, name) for name in differing([spec, other]))


def _said(spec: RaceSpec, other: RaceSpec, name: str) -> str:
    if name != "lanes":
        return f"{LABELS[name]} {value(spec, name)} instead of {value(other, name)}"
    more = ", ".join(theme.lane_title(lane, spec.base) for lane in spec.lanes if lane not in other.lanes)
    fewer = ", ".join(theme.lane_title(lane, other.base) for lane in other.lanes if lane not in spec.lanes)
    if more and fewer:
        return f"{more} instead of {fewer}"
    return f"with {more}" if more else f"without {fewer}" if fewer else "the lanes in another order"


def value(spec: RaceSpec, name: str) -> str:
    """Return a field's value as the form shows it.

    >>> value(RaceSpec(rho=0.25), "rho"), value(RaceSpec(), "train_size")
    ('0.25', '–')
    """
    held = getattr(spec, name)
    if name == "lanes":
        return ", ".join(theme.lane_title(lane, spec.base) for lane in spec.lanes)
    if held is None:
        return "–"
    if name == "data":
        return file_name(held)
    if name in ("sparsity", "label_noise", "validation"):
        return f"{100 * held:g}%"
    if name == "dataset":
        return DATASETS[held].title
    if name == "model":
        return MODELS[held].title
    return TITLES.get(name, {}).get(held, f"{held:g}" if isinstance(held, float) else str(held))
