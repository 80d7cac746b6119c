"""What can be measured on the weights of a race: one frozen model for the page, the address bar, the queue and the store."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np
from pydantic import Field, ValidationError, field_validator, model_validator

from ssam.experiment.base import Frozen, explain

Kind = Literal["sharpness", "curvature", "spectrum", "profile", "surface", "fisher", "anatomy", "robustness"]

MAX_EPOCHS = 60  # moments of one analysis


class AnalysisSpec(Frozen):
    """One measurement on every lane of a race, on a fixed part of its training images with the labels it trained on (``robustness``: of
    its test images).

    ``sharpness``: how much the loss rises around the weights, by several estimators. ``curvature``: the largest eigenvalues and
    the trace of the Hessian. ``spectrum``: its spectral density. ``profile``: the loss along filter-normalised random lines.
    ``surface``: the loss on a plane. ``fisher``: the exact Fisher information, and what each pattern of mask keeps of it. ``anatomy``:
    the next training step of each lane, taken apart; its batch is the race's own. ``robustness``: the accuracy on disturbed test images.

    Units: ``epochs`` are the kept snapshots to look at, by epoch; none means the weights of the newest checkpoint. ``rho`` is the L2
    radius of the sharpness estimators. ``span`` is half the side of a plane or line, in lengths of the filter-normalised direction.
    ``points`` is the number of grid points along a line or a side (odd, so that the weights themselves are one). ``plane`` is each
    lane's own through a random direction pair (``random``), or one through the weights of all lanes (``lanes``).
    ``directions`` is how many random directions a profile has, ``images`` how many images, drawn by ``seed`` (test images: the same ones
    for every seed, which decides how they are disturbed).
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
        """Equal where the same is measured on the same weights; ``checkpointed`` is when the race's newest checkpoint was written."""
        when = "" if self.epochs else repr(checkpointed)
        text = f"{run_id} {when} {self.model_dump_json(exclude_defaults=True)}"
        return hashlib.sha256(text.encode()).hexdigest()[:32]


def parse_analysis(values: Mapping[str, object]) -> AnalysisSpec:
    """Raises ValueError, one line that names the field, the value and what is allowed.

    >>> parse_analysis({"kind": "surface", "points": "21"}).points
    21
    """
    try:
        return AnalysisSpec.model_validate(values)
    except ValidationError as error:
        raise ValueError(explain(error, AnalysisSpec)) from None


class Moment(NamedTuple):
    """A kept snapshot of one lane's weights: ``lane`` is its place in the race, from 0."""

    lane: int
    step: int


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """What an analysis knows so far; each replaces the one before. ``done`` is the share of the work, 0–1.

    ``about`` says what it was measured on and how; ``rows`` are the numbers, one dictionary of plain values each; ``arrays`` what
    is drawn. What each kind has is said in ``ssam.analysis.runner``.
    """

    done: float
    message: str
    about: dict[str, Any] = field(repr=False)
    rows: list[dict[str, Any]] = field(repr=False)
    arrays: dict[str, np.ndarray] = field(repr=False)
