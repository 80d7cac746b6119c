"""SSAM Lab: sharpness-aware training with sparse perturbations.

Names load lazily, so ``import ssam`` never pulls in torch by itself.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ssam.experiment import LaneSpec, RaceSpec, parse_spec
    from ssam.masks import cosine_drop_rate, drop_and_grow, fisher_mask, fisher_scores, random_mask, top_k_mask
    from ssam.optim import SAM, frozen_batchnorm

__version__ = "0.1.0"

_HOMES = {
    "SAM": "ssam.optim",
    "frozen_batchnorm": "ssam.optim",
    "cosine_drop_rate": "ssam.masks",
    "drop_and_grow": "ssam.masks",
    "fisher_mask": "ssam.masks",
    "fisher_scores": "ssam.masks",
    "random_mask": "ssam.masks",
    "top_k_mask": "ssam.masks",
    "LaneSpec": "ssam.experiment",
    "RaceSpec": "ssam.experiment",
    "parse_spec": "ssam.experiment",
}

__all__ = [
    "SAM",
    "LaneSpec",
    "RaceSpec",
    "cosine_drop_rate",
    "drop_and_grow",
    "fisher_mask",
    "fisher_scores",
    "frozen_batchnorm",
    "parse_spec",
    "random_mask",
    "top_k_mask",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'ssam' has no attribute {name!r}")
    try:
        return getattr(import_module(_HOMES[name]), name)
    except ModuleNotFoundError as error:
        if str(error.name).partition(".")[0] == __name__:  # a fault of ours
            raise
        raise ModuleNotFoundError(
            f"ssam.{name} needs {error.name}: pip install 'ssam-lab[lab]'", name=error.name
        ) from None


def __dir__() -> list[str]:
    return __all__
