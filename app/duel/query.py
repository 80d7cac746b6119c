"""The form of a duel: controls ↔ DuelSpec ↔ address. Keys of the session state begin with ``duel_``."""

from typing import Any

from app.shell.address import Field, Table, choice, number, parts
from app.ui import texts, theme
from app.ui.lab import Lab
from ssam.catalogue import DATASETS, MODELS
from ssam.experiment import LaneSpec, parse_spec
from ssam.experiment.duel import BASELINE, MOST, RIVALS, DuelSpec, new_duel
from ssam.imagefolder.contents import natural_size
from ssam.methods import METHODS

BATCH = 64
OFFERED = tuple(name for name in METHODS if name != BASELINE)
UPLOAD = ".zip"  # how the name of own images ends
CLOCKS = {"gradients": "Same gradient evaluations", "epochs": "Same epochs"}


def _images(text: str) -> str:
    if text.endswith(UPLOAD) and len(text) < 200 and "/" not in text:
        return text
    return str(choice("images", datasets()).parse(text))


def _rivals(text: str) -> list[str]:
    known = choice("methods", OFFERED)
    found = [known.parse(name) for name in parts(text)]
    if not 1 <= len(found) < MOST:
        raise ValueError(f"methods {text[:40]!r} must be 1 to {MOST - 1} of {', '.join(OFFERED)}")
    return found


def datasets() -> tuple[str, ...]:
    return tuple(name for name in DATASETS if name != "images")


TABLE = Table(
    "duel",
    "duel",
    (
        Field("duel"),
        Field("images", _images, default="fashion-mnist-10k"),
        choice("model", MODELS, "cnn8"),
        Field("methods", _rivals, ",".join, list(RIVALS)),
        number("noise", 0, 90, 40),
        number("size", 0, 2_000_000, 2000),
        number("trials", 2, 200, 5),
        number("rounds", 2, 20, 5),
        number("epochs", 1, 1000, 10),
        choice("budget", CLOCKS, "gradients"),
        number("margin", 0.1, 50.0, 1.0),
    ),
    shared=True,
)


def spec(values: dict[str, Any], lab: Lab) -> DuelSpec:
    """The duel that the controls show. Raises ValueError, one line in the words of the form."""
    empty = [name for name in ("noise", "trials", "rounds", "epochs", "margin") if values[name] is None]
    if empty:
        raise ValueError(f"Enter a number for {', '.join(empty)}.")
    if not 1 <= len(values["methods"]) < MOST:
        raise ValueError(f"Choose 1 to {MOST - 1} methods to compare with {METHODS[BASELINE].title}.")
    base: dict[str, object] = {"model": values["model"], "label_noise": values["noise"] / 100, "batch_size": BATCH}
    base |= {"epochs": values["epochs"], "train_size": values["size"] or None, "clock": values["budget"]}
    if values["images"].endswith(UPLOAD):
        base |= _own_images(values["images"], values["model"], lab)
    else:
        base["dataset"] = values["images"]
    lanes = [LaneSpec(method=name) for name in (BASELINE, *values["methods"])]
    limits = {"trials": values["trials"], "seeds": values["rounds"], "margin": values["margin"]}
    try:
        return new_duel(parse_spec(base), lanes, **limits)
    except ValueError as error:
        raise ValueError(texts.labelled(str(error))) from None


def _own_images(name: str, model: str, lab: Lab) -> dict[str, object]:
    """An upload and the size that the network gets it in, as on the race page: small images are not enlarged."""
    if name not in lab.store.uploads.names():
        raise ValueError(f"There are no uploaded images {name[:60]!r}; choose others, or upload some on the page Race.")
    found = lab.store.uploads.preview(name)
    if found.problem:
        raise ValueError(found.problem)
    size = natural_size(found.sides[1]) if found.sides[1] else None
    return {"dataset": "images", "data": name, "image_size": size and max(size, MODELS[model].min_size)}


def describe(spec: DuelSpec) -> str:
    """Who is compared with whom, in one line.

    >>> describe(new_duel(parse_spec({}), [LaneSpec(method=name) for name in ("sgd", "sam", "ssam-f")]))
    'SAM and SSAM-F against SGD'
    """
    baseline, *rivals = theme.lane_titles(spec.base)
    named = " and ".join(filter(None, [", ".join(rivals[:-1]), rivals[-1]]))
    return f"{named} against {baseline}"
