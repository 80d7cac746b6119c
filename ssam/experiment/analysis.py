"""The specification of an analysis of a race's weights: one frozen model for the page, the address bar, the queue and the store."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np
from pydantic import Field, ValidationError, field_validator, model_validator

from ssam.experiment.base import Frozen, explain

Kind = Literal[
    "sharpness",
    "curvature",
    "spectrum",
    "profile",
    "surface",
    "fisher",
    "anatomy",
    "robustness",
    "disturbed_weights",
]

MAX_EPOCHS = 60  # snapshots per analysis


class AnalysisSpec(Frozen):
    """One measurement on every lane of a race. It uses a fixed subset of the training images with the labels the race trained on;
    ``robustness`` and ``disturbed_weights`` use test images.

    ``sharpness``: the rise of the loss around the weights, by several estimators. ``curvature``: the largest eigenvalues and the
    trace of the Hessian. ``spectrum``: its spectral density. ``profile``: the loss along filter-normalised random lines.
    ``surface``: the loss on a plane. ``fisher``: the exact Fisher information and the share of it that each mask pattern keeps.
    ``anatomy``: the next training step of each lane in detail, on the race's own batch. ``robustness``: the accuracy on disturbed
    test images. ``disturbed_weights``: the test accuracy with disturbed weights.

    Units: ``epochs`` lists the saved snapshots to analyse, by epoch; if it is empty, the weights of the latest checkpoint are used.
    ``rho`` is the L2 radius of the sharpness estimators. ``span`` is half the side of a plane or line, in lengths of the
    filter-normalised direction. ``points`` is the number of grid points along a line or side; it is odd, so that the weights
    themselves are a grid point. ``plane`` is one plane per lane, spanned by a random pair of directions (``random``), or one plane
    through the weights of all lanes (``lanes``). ``directions`` is the number of random directions of a profile. ``images`` is the
    number of images, drawn by ``seed``; test images are the same for every seed, which decides how they, or the weights, are disturbed.
    ``batchnorm`` normalises by the stored statistics (``evaluation``) or by those of each chunk of images (``batch``).
    """

    kind: Kind
    epochs: tuple[int, ...] = Field(default=(), max_length=MAX_EPOCHS)
    images: int = Field(default=1000, ge=16, le=10_000)
    seed: int = Field(default=0, ge=0, le=2**31 - 1)
    batchnorm: Literal["evaluation", "batch"] = "evaluation"
    dtype: Literal["float32", "float64"] = "float32"
    rho: float = Field(default=0.1, gt=0.0, le=10.0)
    points: int = Field(default=41, ge=5, le=101)
    span: float = Field(default=1.0, gt=0.0, le=10.0)
    plane: Literal["random", "lanes"] = "random"
    directions: int = Field(default=5, ge=1, le=50)

    @field_validator("epochs")
    @classmethod
    def _ascending(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if any(epoch < 0 for epoch in value) or list(value) != sorted(set(value)):
            raise ValueError("must be different whole numbers from 0, in ascending order")
        return value

    @field_validator("points")
    @classmethod
    def _odd(cls, value: int) -> int:
        if value % 2 == 0:
            raise ValueError(f"{value} must be odd, so that the weights themselves are a point")
        return value

    @model_validator(mode="after")
    def _fits_together(self) -> "AnalysisSpec":
        if self.kind in ("surface", "profile", "spectrum", "anatomy") and len(self.epochs) > 1:
            raise ValueError(f"kind {self.kind!r} is of one moment: at most one of epochs")
        return self

    def digest(self, run_id: str, checkpointed: float | None) -> str:
        """Return a hash that is equal if the same analysis is run on the same weights. ``checkpointed`` is when the race's latest
        checkpoint was written."""
        when = "" if self.epochs else repr(checkpointed)
        text = f"{run_id} {when} {self.model_dump_json(exclude_defaults=True)}"
        return hashlib.sha256(text.encode()).hexdigest()[:32]


def parse_analysis(values: Mapping[str, object]) -> AnalysisSpec:
    """Build a validated analysis from loose values. Raise ValueError, one line that names the field, the value and what is allowed.

    >>> parse_analysis({"kind": "surface", "points": "21"}).points
    21
    """
    try:
        return AnalysisSpec.model_validate(values)
    except ValidationError as error:
        raise ValueError(explain(error, AnalysisSpec)) from None


class Moment(NamedTuple):
    """A saved snapshot of one lane's weights. ``lane`` is its index in the race, from 0."""

    lane: int
    step: int


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """The results of an analysis so far; each replaces the previous one. ``done`` is the share of the work, 0–1.

    ``about`` describes what was measured and how; ``rows`` are the numbers, one dictionary of plain values each; ``arrays`` are the
    data of the charts. ``ssam.analysis.runner`` lists the rows and arrays of each kind.
    """

    done: float
    message: str
    about: dict[str, Any] = field(repr=False)
    rows: list[dict[str, Any]] = field(repr=False)
    arrays: dict[str, np.ndarray] = field(repr=False)
