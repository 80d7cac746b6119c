"""What sets races apart: their specifications, field by field."""

from collections.abc import Sequence

from app import theme
from app.texts import AUGMENTATIONS, CLOCKS, LABELS, NORMS
from ssam.spec import DATASETS, MODELS, RaceSpec

TITLES = {"augment": AUGMENTATIONS, "clock": CLOCKS, "norm": NORMS}


def differing(specs: Sequence[RaceSpec]) -> list[str]:
    """The fields that are not the same in all of them, in the order of RaceSpec."""
    return [name for name in RaceSpec.model_fields if len({getattr(spec, name) for spec in specs}) > 1]


def table(specs: Sequence[RaceSpec], titles: Sequence[str]) -> list[dict[str, str]]:
    """A row for each field that differs, a column for each race."""
    return [
        {"Setting": LABELS.get(name, name)}
        | {title: value(spec, name) for title, spec in zip(titles, specs, strict=True)}
        for name in differing(specs)
    ]


def value(spec: RaceSpec, name: str) -> str:
    """A field as the form shows it.

    >>> value(RaceSpec(rho=0.25), "rho"), value(RaceSpec(), "train_size")
    ('0.25', '–')
    """
    held = getattr(spec, name)
    if name == "lanes":
        return ", ".join(theme.lane_title(lane) for lane in spec.lanes)
    if held is None:
        return "–"
    if name in ("sparsity", "label_noise"):
        return f"{100 * held:g} %"
    if name == "dataset":
        return DATASETS[held].title
    if name == "model":
        return MODELS[held].title
    return TITLES.get(name, {}).get(held, f"{held:g}" if isinstance(held, float) else str(held))
