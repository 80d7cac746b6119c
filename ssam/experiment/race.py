"""The specification of a race: one frozen model for the form, the address bar, the command line and the store."""

import hashlib
from collections.abc import Mapping
from typing import Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from ssam.catalogue import DATASETS, MODELS
from ssam.experiment.base import BaseOptimizer, Decay, Epochs, Frozen, Rate, Rho, Sparsity, explain, matching, one_of
from ssam.experiment.lane import LaneSpec
from ssam.methods import METHODS
from ssam.methods.bases import BASES

DEFAULT_LANES = ("sgd", "sam", "ssam-f", "ssam-d")
MAX_LANES = 8
MAX_GRADIENTS = 20_000_000  # forward+backward passes of the whole race; a week on a fast GPU

DATA_SETTINGS = ("data", "label_noise", "train_size", "image_size")  # which images, their number, size and labels


class RaceSpec(Frozen):
    """One experiment: a data set, a model, a seed and a budget, raced by several lanes.

    Units: ``rho`` is the L2 radius of the perturbation (ASAM uses ten times that). ``sparsity`` is the share of weights *not* perturbed.
    ``label_noise`` is the share of training labels replaced by a uniformly drawn *other* class. ``validation`` is the share of the
    training images held out to choose settings by, with the labels that training would see. ``base`` is the base optimizer, with
    ``lr`` and ``weight_decay``; ``momentum`` is SGD's momentum, or AdamW's β₁ (its β₂ is 0.999). ``mask_interval`` is in epochs.
    ``fisher_batch`` is how many samples share one gradient in the Fisher scores: 1 is exact; more needs fewer gradients and is less
    accurate. ``seconds`` is each lane's own compute time and is used only on that clock. ``snapshot_interval`` is how often, in
    epochs, each lane's weights are saved for later analysis, including the initial ones; ``eigenvalue_interval`` is how often λ₁ of
    the Hessian is measured during the race. None means never.

    On the ``epochs`` clock every lane trains for ``epochs`` epochs. On the ``gradients`` clock every lane gets as many
    forward+backward passes as the most expensive lane needs for ``epochs`` epochs; mask refreshes are not counted. On the
    ``seconds`` clock every lane gets ``seconds`` of its own compute time, mask refreshes included. A lane with its own ``epochs``
    ends after them.
    """

    dataset: str = "fashion-mnist-10k"
    data: str | None = Field(default=None, max_length=4096)
    model: str = "cnn8"
    lanes: tuple[LaneSpec, ...] = tuple(LaneSpec(method=name) for name in DEFAULT_LANES)
    sparsity: Sparsity = 0.5
    rho: Rho = 0.1
    epochs: Epochs = 5
    seed: int = Field(default=0, ge=0, le=2**31 - 1)
    batch_size: int = Field(default=128, ge=2, le=4096)
    lr: Rate = 0.1
    momentum: float = Field(default=0.9, ge=0.0, lt=1.0)
    weight_decay: Decay = 5e-4
    train_size: int | None = Field(default=None, ge=2, le=2_000_000)
    label_noise: float = Field(default=0.0, ge=0.0, le=1.0)
    augment: Literal["none", "flip", "crop-flip", "crop-flip-cutout"] = "none"
    mask_interval: int = Field(default=1, ge=1, le=1000)
    fisher_samples: int = Field(default=128, ge=1, le=50_000)
    fisher_batch: int = Field(default=1, ge=1, le=256)
    norm: Literal["full", "masked"] = "full"
    clock: Literal["epochs", "gradients", "seconds"] = "epochs"
    seconds: float = Field(default=30.0, ge=1.0, le=86_400.0)
    image_size: int | None = Field(default=None, ge=8, le=512)
    snapshot_interval: int | None = Field(default=None, ge=1, le=1000)
    eigenvalue_interval: int | None = Field(default=None, ge=1, le=1000)
    device: str = "auto"
    validation: float = Field(default=0.0, ge=0.0, le=0.5)
    base: BaseOptimizer = "sgd"

    @field_validator("dataset")
    @classmethod
    def _known_dataset(cls, value: str) -> str:
        return one_of("dataset", value, DATASETS)

    @field_validator("model")
    @classmethod
    def _known_model(cls, value: str) -> str:
        return one_of("model", value, MODELS)

    @field_validator("device")
    @classmethod
    def _device_name(cls, value: str) -> str:
        return matching("device", value, r"auto|cpu|mps|cuda(:\d{1,2})?", "auto, cpu, mps, cuda, cuda:N")

    @field_validator("lanes", mode="before")
    @classmethod
    def _lanes_from_text(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        lanes = value.split(",", MAX_LANES)  # stop there: the input may hold a million lanes
        if len(lanes) > MAX_LANES:
            raise ValueError(f"must be 1 to {MAX_LANES} lanes, not {value.count(',') + 1}")
        return [LaneSpec.parse(lane) for lane in lanes]

    @field_validator("lanes")
    @classmethod
    def _few_distinct_lanes(cls, value: tuple[LaneSpec, ...]) -> tuple[LaneSpec, ...]:
        if not 1 <= len(value) <= MAX_LANES:
            raise ValueError(f"must be 1 to {MAX_LANES} lanes, not {len(value)}")
        if len(set(value)) < len(value):
            raise ValueError("must not hold the same lane twice")
        return value

    @model_validator(mode="after")
    def _fits_together(self) -> "RaceSpec":
        if self.dataset == "images" and not self.data:
            raise ValueError("dataset 'images' needs data: a folder or zip with one folder per class")
        if self.dataset != "images" and self.data:
            raise ValueError(f"data is only for dataset 'images', not {self.dataset!r}")
        if self.dataset != "images" and self.train_size and self.train_size > DATASETS[self.dataset].train:
            raise ValueError(
                f"train_size {self.train_size} must be at most {DATASETS[self.dataset].train} for {self.dataset}"
            )
        if (self.train_size or self.batch_size) < self.batch_size:
            raise ValueError(f"batch_size {self.batch_size} must be at most train_size {self.train_size}")
        if self.train_size and (left := self.split(self.train_size))[0] < self.batch_size:
            left_over = f"train_size {self.train_size} less the {left[1]} of validation {self.validation:g}"
            raise ValueError(f"batch_size {self.batch_size} must be at most {left_over}")
        for lane in self.lanes:
            if lane.region.startswith("from-") and int(lane.region[5:]) >= MODELS[self.model].stages:
                last = MODELS[self.model].stages - 1
                raise ValueError(f"region {lane.region!r}: the stages of model {self.model!r} are 0 to {last}")
            if lane.region == "norm" and not MODELS[self.model].norm_layers:
                raise ValueError(f"region 'norm': model {self.model!r} has no normalisation layers")
        self._check_bases()
        self._check_epochs()
        check_size(self.model, self.input_size)
        if self.clock != "seconds" and self.gradients > MAX_GRADIENTS:
            raise ValueError(
                f"epochs {self.epochs} is too much: {self.gradients:,} gradients, at most {MAX_GRADIENTS:,}"
            )
        return self

    def _check_bases(self) -> None:
        if len({lane.model_copy(update={"base": self.lane_base(lane)}) for lane in self.lanes}) < len(self.lanes):
            raise ValueError("lanes must not hold the same lane twice")
        along = [lane for lane in self.lanes if lane.direction == "momentum"]
        if along and self.momentum == 0:
            raise ValueError("momentum 0 leaves no buffer for a lane with direction 'momentum'; it must be above 0")
        if other := next((lane for lane in along if not BASES[self.lane_base(lane)].momentum), None):
            raise ValueError(f"base 'adamw' has no momentum buffer for lane {str(other)!r} to follow; it must be 'sgd'")

    def _check_epochs(self) -> None:
        for lane in self.lanes:
            if lane.patience is not None and not self.validation:
                raise ValueError(
                    f"patience {lane.patience} goes by validation accuracy, so validation {self.validation:g} must be above 0"
                )
            if lane.epochs is not None and self.clock == "seconds":
                raise ValueError(f"clock 'seconds' ends lane {str(lane)!r}: without epochs, or clock epochs, gradients")
            if lane.epochs is not None and lane.epochs > self.epochs:
                raise ValueError(f"epochs {lane.epochs} of lane {str(lane)!r} must be at most the race's {self.epochs}")

    @property
    def input_size(self) -> int:
        """Return the side of the square images that the model sees, in pixels."""
        return self.image_size or DATASETS[self.dataset].size or 64

    @property
    def digest(self) -> str:
        """Return a hash of 32 hexadecimal digits that is equal only for equal specifications. Settings at their defaults are left out, so
        adding a setting does not change it."""
        return hashlib.sha256(self.model_dump_json(exclude_defaults=True).encode()).hexdigest()[:32]

    @property
    def steps_per_epoch(self) -> int:
        """Return the number of full batches per epoch. The user's own images count as 10,000 until they have been read."""
        return max(1, self.split(DATASETS[self.dataset].train or 10_000)[0] // self.batch_size)

    def split(self, available: int) -> tuple[int, int]:
        """Return how many of the ``available`` training images the race trains on, and how many it holds out for validation."""
        used = self.train_size or available
        held = round(self.validation * used)
        return used - held, held

    @property
    def gradients(self) -> int:
        """Return the total forward+backward passes of all lanes on the epochs or gradients clock."""
        return round(self.steps_per_epoch * sum(self.lane_epochs(lane) * lane.passes for lane in self.lanes))

    @property
    def lane_names(self) -> tuple[str, ...]:
        """Return a unique name per lane: the method if only one lane has it, else the method with the settings that differ."""
        methods = [lane.method for lane in self.lanes]
        return tuple(lane.method if methods.count(lane.method) == 1 else str(lane) for lane in self.lanes)

    def lane_rho(self, lane: LaneSpec) -> float:
        """Return the requested radius: the lane's own, else the race's on the scale of its method; 0 for SGD."""
        method = METHODS[lane.method]
        if not method.perturbs:
            return 0.0
        return self.rho * method.rho_scale if lane.rho is None else lane.rho

    def lane_epochs(self, lane: LaneSpec) -> float:
        """Return the lane's number of epochs on the epochs and gradients clocks: its own, else what the clock allows."""
        if lane.epochs is not None or self.clock != "gradients":
            return lane.epochs or self.epochs
        return self.epochs * max(other.passes for other in self.lanes) / lane.passes

    def lane_base(self, lane: LaneSpec) -> BaseOptimizer:
        return lane.base or self.base

    def lane_lr(self, lane: LaneSpec) -> float:
        """Return the lane's peak learning rate: its own, else the race's on the scale of its base optimizer."""
        return self.lr * self._rate(lane) if lane.lr is None else lane.lr

    def lane_weight_decay(self, lane: LaneSpec) -> float:
        """Return the lane's weight decay: its own, else the race's on the scale of its base optimizer."""
        return self.weight_decay / self._rate(lane) if lane.weight_decay is None else lane.weight_decay

    def _rate(self, lane: LaneSpec) -> float:
        """Return the learning-rate scale of the lane's base optimizer relative to that of the race's."""
        return BASES[self.lane_base(lane)].rate / BASES[self.base].rate

    def lane_ascent_interval(self, lane: LaneSpec) -> int:
        """Return k if the lane perturbs in every k-th step: its own, else its method's."""
        return lane.interval

    def lane_norm(self, lane: LaneSpec) -> Literal["full", "masked"]:
        return self.norm if lane.norm is None else lane.norm

    def lane_sparsity(self, lane: LaneSpec) -> float:
        """Return the share of weights not perturbed: always 1 for SGD and 0 for dense SAM, whatever the race's sparsity."""
        if not METHODS[lane.method].sparse:
            return 0.0 if METHODS[lane.method].perturbs else 1.0
        return self.sparsity if lane.sparsity is None else lane.sparsity

    def to_strings(self) -> dict[str, str]:
        """Return the fields that differ from the defaults, as text for the address bar. ``parse_spec`` reads them back."""
        default = RaceSpec()
        changed = {
            name: getattr(self, name) for name in RaceSpec.model_fields if getattr(self, name) != getattr(default, name)
        }
        if "lanes" in changed:
            changed["lanes"] = ",".join(str(lane) for lane in self.lanes)
        return {name: str(value) for name, value in changed.items()}


def check_size(model: str, size: int) -> None:
    """Check the image size. Raise ValueError if images of ``size``×``size`` pixels are too small for the model."""
    needed = MODELS[model].min_size
    if size < needed:
        raise ValueError(
            f"model {model!r} needs images of at least {needed}×{needed} pixels, these are {size}×{size}; "
            "choose a smaller model, or enlarge with image_size"
        )


def parse_spec(values: Mapping[str, object], base: RaceSpec | None = None) -> RaceSpec:
    """Build a validated spec from loose values (text is fine), which override those of ``base``.

    Raise ValueError, one line that names the field, the value and what is allowed.

    >>> parse_spec({"epochs": "3"}).epochs
    3
    """
    start = base.model_dump(exclude_defaults=True) if base else {}
    try:
        return RaceSpec.model_validate({**start, **values})
    except ValidationError as error:
        raise ValueError(explain(error, RaceSpec)) from None


def left_behind(base: RaceSpec, changes: Mapping[str, object]) -> dict[str, object]:
    """Return the DATA_SETTINGS of ``base`` that ``laid_over`` drops because the changes name another data set.

    >>> left_behind(RaceSpec(label_noise=0.4), {"dataset": "mnist"}), left_behind(RaceSpec(label_noise=0.4), {"rho": 0.2})
    ({'label_noise': 0.4}, {})
    """
    if changes.get("dataset", base.dataset) == base.dataset:
        return {}
    own = base.model_dump(include=set(DATA_SETTINGS), exclude_defaults=True)
    return {name: own[name] for name in DATA_SETTINGS if name in own and name not in changes}


def laid_over(base: RaceSpec, changes: Mapping[str, object]) -> RaceSpec:
    """Return ``base`` with changes, as from flags on top of a preset or from an address. Settings that belong to its data set are dropped
    if the data set changes. Raise ValueError as ``parse_spec`` does."""
    defaults = {name: RaceSpec.model_fields[name].default for name in left_behind(base, changes)}
    return parse_spec(changes, base.model_copy(update=defaults))
