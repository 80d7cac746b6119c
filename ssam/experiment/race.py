"""The specification of a race: one frozen model for the form, the address bar, the command line and the store."""

import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from ssam.catalogue import DATASETS, METHODS, MODELS

DEFAULT_LANES = ("sgd", "sam", "ssam-f", "ssam-d")
MAX_LANES = 8
MAX_GRADIENTS = 20_000_000  # forward+backward passes of the whole race: a week of a fast GPU

DATA_SETTINGS = ("data", "label_noise", "train_size", "image_size")  # which images, how many, how large, labelled how

Sparsity = Annotated[float, Field(ge=0.0, le=1.0)]
Rho = Annotated[float, Field(ge=0.0, le=10.0)]


def _one_of(field: str, value: str, allowed: Iterable[str]) -> str:
    names = list(allowed)
    if value not in names:
        raise ValueError(f"{value[:60]!r} is not a {field}; allowed: {', '.join(names)}")
    return value


def _matching(field: str, value: str, pattern: str, allowed: str) -> str:
    if not re.fullmatch(pattern, value):
        raise ValueError(f"{value[:60]!r} is not a {field}; allowed: {allowed}")
    return value


class Frozen(BaseModel):
    """Base of every specification: immutable, no unknown fields, no NaN."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class LaneSpec(Frozen):
    """One method with its own settings; ``None`` takes the race's value.

    Written as text (address bar, command line): ``ssam-f:rho=0.2:sparsity=0.8``.

    ``region`` is where weights may be perturbed: ``all``, ``early`` and ``late`` (the stages before and from the one that
    halves the parameters), ``from-K`` (stage K and later, the first is 0), ``norm`` (normalisation layers).
    ``granularity`` is what the mask takes or leaves as one: a single ``weight``, a ``tensor``, a ``block`` (a stage of the
    network), or ``n-of-M``: N of every M weights in a row, with N from the sparsity (``n-of-4`` at 0.5 is the 2:4 pattern).
    ``score`` is what method ``ssam`` ranks by: the empirical ``fisher`` information, ``fisher-per-cost`` (blocks by Fisher
    mass over their compute), the ``gradient`` of the Fisher samples, the ``magnitude`` of the weights, or ``random``.
    ``direction`` is what ε follows: the batch's ``gradient`` at w; ``momentum``, against the momentum buffer; ``last``, the
    last step's descent gradient. The last two cost no pass. ``ascent_batch`` takes ε from that many images of the batch;
    ``ascent_interval`` perturbs in every k-th step only.
    """

    method: str
    rho: Rho | None = None
    sparsity: Sparsity | None = None
    norm: Literal["full", "masked"] | None = None
    region: str = "all"
    granularity: str = "weight"
    score: Literal["fisher", "fisher-per-cost", "gradient", "magnitude", "random"] | None = None
    direction: Literal["gradient", "momentum", "last"] = "gradient"
    ascent_batch: int | None = Field(default=None, ge=1, le=4096)
    ascent_interval: int = Field(default=1, ge=1, le=1000)

    @field_validator("method")
    @classmethod
    def _known_method(cls, value: str) -> str:
        return _one_of("method", value, METHODS)

    @field_validator("region")
    @classmethod
    def _known_region(cls, value: str) -> str:
        allowed = "all, early, late, norm, from-K with a stage number K"
        return _matching("region", value, r"all|early|late|norm|from-(0|[1-9][0-9]?)", allowed)

    @field_validator("granularity")
    @classmethod
    def _known_granularity(cls, value: str) -> str:
        allowed = "weight, tensor, block, n-of-M with M from 2 to 64"
        return _matching("granularity", value, r"weight|tensor|block|n-of-([2-9]|[1-5][0-9]|6[0-4])", allowed)

    @model_validator(mode="after")
    def _has_an_effect(self) -> "LaneSpec":
        method = METHODS[self.method]
        if not method.perturbs and (useless := [name for name in self.own_settings if name != "sparsity"]):
            raise ValueError(f"method {self.method!r} perturbs nothing, so it has no {useless[0]}")
        if self.direction != "gradient" and self.ascent_batch is not None:
            raise ValueError(f"direction {self.direction!r} computes no ascent gradient, so it has no ascent_batch")
        if self.direction != "gradient" and self.method == "ssam-d":
            raise ValueError("method 'ssam-d' drops by the gradient at w, so its direction must be 'gradient'")
        if self.sparsity is not None and not method.sparse:
            sparse = ", ".join(name for name, other in METHODS.items() if other.sparse)
            raise ValueError(f"method {self.method!r} has no sparsity; methods that do: {sparse}")
        return self

    @model_validator(mode="after")
    def _mask_fits_method(self) -> "LaneSpec":
        if self.score is not None and self.method != "ssam":
            raise ValueError(f"method {self.method!r} has no score to choose; the method that does: ssam")
        if self.granularity != "weight" and self.method not in ("ssam", "ssam-f"):
            raise ValueError(f"method {self.method!r} has no granularity; methods that do: ssam-f, ssam")
        if self.score == "fisher-per-cost" and self.granularity != "block":
            raise ValueError(
                f"score 'fisher-per-cost' ranks blocks, so granularity {self.granularity!r} must be 'block'"
            )
        return self

    @classmethod
    def parse(cls, text: str) -> "LaneSpec":
        """Reads ``method[:setting=value]…``; raises ValueError with one line that says what is allowed."""
        method, *settings = [part.strip() for part in text.split(":")]
        values: dict[str, str] = {}
        for setting in settings:
            key, equals, value = setting.partition("=")
            if key not in SETTINGS or not equals or key in values:
                raise ValueError(
                    f"lane setting {setting[:40]!r} must be NAME=VALUE, each once, of: {', '.join(SETTINGS)}"
                )
            values[key] = value
        try:
            return cls.model_validate({"method": method, **values})
        except ValidationError as error:
            raise ValueError(explain(error, cls)) from None

    def __str__(self) -> str:
        return self.method + "".join(f":{name}={value}" for name, value in self.own_settings.items())

    @property
    def passes(self) -> float:
        """Forward+backward passes of a step, on average; one of part of a batch counts whole."""
        if not METHODS[self.method].perturbs or self.direction != "gradient":
            return 1.0
        return 1 + 1 / self.ascent_interval

    @property
    def mask_score(self) -> str | None:
        """What the mask ranks by; None where there is no ranking (SGD, SAM, SSAM-D)."""
        return {"ssam-f": "fisher", "ssam": self.score or "random"}.get(self.method)

    @property
    def own_settings(self) -> dict[str, object]:
        """What differs from a lane of this method without settings."""
        values = {name: getattr(self, name) for name in SETTINGS}
        return {name: value for name, value in values.items() if value != LaneSpec.model_fields[name].default}


SETTINGS = tuple(name for name in LaneSpec.model_fields if name != "method")


class RaceSpec(Frozen):
    """One experiment: a data set, a model, a seed and a budget, raced by several lanes.

    Units: ``rho`` is the L2 radius of the perturbation; ``sparsity`` the share of weights *not* perturbed;
    ``label_noise`` the share of training labels replaced by a uniformly drawn *other* class;
    ``validation`` the share of the training images held out, with the labels that training would see, to choose settings by;
    ``mask_interval`` is in epochs; ``fisher_batch`` is how many samples share one gradient in the Fisher scores (1 is exact,
    more takes fewer and is rougher); ``seconds`` is each lane's own compute time and counts on that clock only.
    ``snapshot_interval`` is in epochs: so often each lane's weights are kept, to be looked at later, its first weights too;
    ``eigenvalue_interval`` likewise, for λ₁ of the Hessian during the race. None: never.

    On the ``epochs`` clock every lane sees ``epochs`` epochs. On the ``gradients`` clock every lane gets as many
    forward+backward passes as the dearest lane needs for ``epochs`` epochs; mask refreshes are not counted. On the
    ``seconds`` clock every lane gets ``seconds`` of its own compute, mask refreshes included.
    """

    dataset: str = "fashion-mnist-10k"
    data: str | None = Field(default=None, max_length=4096)
    model: str = "cnn8"
    lanes: tuple[LaneSpec, ...] = tuple(LaneSpec(method=name) for name in DEFAULT_LANES)
    sparsity: Sparsity = 0.5
    rho: Rho = 0.1
    epochs: int = Field(default=5, ge=1, le=1000)
    seed: int = Field(default=0, ge=0, le=2**31 - 1)
    batch_size: int = Field(default=128, ge=2, le=4096)
    lr: float = Field(default=0.1, gt=0.0, le=100.0)
    momentum: float = Field(default=0.9, ge=0.0, lt=1.0)
    weight_decay: float = Field(default=5e-4, ge=0.0, le=1.0)
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

    @field_validator("dataset")
    @classmethod
    def _known_dataset(cls, value: str) -> str:
        return _one_of("dataset", value, DATASETS)

    @field_validator("model")
    @classmethod
    def _known_model(cls, value: str) -> str:
        return _one_of("model", value, MODELS)

    @field_validator("device")
    @classmethod
    def _device_name(cls, value: str) -> str:
        return _matching("device", value, r"auto|cpu|mps|cuda(:\d{1,2})?", "auto, cpu, mps, cuda, cuda:N")

    @field_validator("lanes", mode="before")
    @classmethod
    def _lanes_from_text(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        lanes = value.split(",", MAX_LANES)  # no further: somebody may send a million
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
        if self.momentum == 0 and any(lane.direction == "momentum" for lane in self.lanes):
            raise ValueError("momentum 0 leaves no buffer for a lane with direction 'momentum'; it must be above 0")
        check_size(self.model, self.input_size)
        if self.clock != "seconds" and self.gradients > MAX_GRADIENTS:
            raise ValueError(
                f"epochs {self.epochs} is too much: {self.gradients:,} gradients, at most {MAX_GRADIENTS:,}"
            )
        return self

    @property
    def input_size(self) -> int:
        """Side of the square images the model sees, in pixels."""
        return self.image_size or DATASETS[self.dataset].size or 64

    @property
    def digest(self) -> str:
        """Equal for equal specifications only: 32 hexadecimal digits. Settings at their defaults do not count, so that a new one
        leaves it alone."""
        return hashlib.sha256(self.model_dump_json(exclude_defaults=True).encode()).hexdigest()[:32]

    @property
    def steps_per_epoch(self) -> int:
        """Full batches in one epoch; own images count as 10,000 until they have been read."""
        return max(1, self.split(DATASETS[self.dataset].train or 10_000)[0] // self.batch_size)

    def split(self, available: int) -> tuple[int, int]:
        """Of so many training images there are: how many the race trains on, and how many it holds out for validation."""
        used = self.train_size or available
        held = round(self.validation * used)
        return used - held, held

    @property
    def gradients(self) -> int:
        """Forward+backward passes of all lanes together on the epochs or gradients clock."""
        passes = [lane.passes for lane in self.lanes]
        total = max(passes) * len(passes) if self.clock == "gradients" else sum(passes)
        return round(self.epochs * self.steps_per_epoch * total)

    @property
    def lane_names(self) -> tuple[str, ...]:
        """A unique name per lane: the method where it stands alone, else the method with what sets it apart."""
        methods = [lane.method for lane in self.lanes]
        return tuple(lane.method if methods.count(lane.method) == 1 else str(lane) for lane in self.lanes)

    def lane_rho(self, lane: LaneSpec) -> float:
        """The radius asked for: 0 for SGD, whatever the race asks for."""
        if not METHODS[lane.method].perturbs:
            return 0.0
        return self.rho if lane.rho is None else lane.rho

    def lane_norm(self, lane: LaneSpec) -> Literal["full", "masked"]:
        return self.norm if lane.norm is None else lane.norm

    def lane_sparsity(self, lane: LaneSpec) -> float:
        """Share of weights not perturbed: 1 for SGD, 0 for dense SAM, whatever the race asks for."""
        if not METHODS[lane.method].sparse:
            return 0.0 if METHODS[lane.method].perturbs else 1.0
        return self.sparsity if lane.sparsity is None else lane.sparsity

    def to_strings(self) -> dict[str, str]:
        """The fields that differ from the defaults, as address-bar text. ``parse_spec`` reads them back."""
        default = RaceSpec()
        changed = {
            name: getattr(self, name) for name in RaceSpec.model_fields if getattr(self, name) != getattr(default, name)
        }
        if "lanes" in changed:
            changed["lanes"] = ",".join(str(lane) for lane in self.lanes)
        return {name: str(value) for name, value in changed.items()}


def check_size(model: str, size: int) -> None:
    """Raises ValueError where images of ``size``×``size`` pixels make no sense for the model."""
    needed = MODELS[model].min_size
    if size < needed:
        raise ValueError(
            f"model {model!r} needs images of at least {needed}×{needed} pixels, these are {size}×{size}; "
            "choose a smaller model, or enlarge with image_size"
        )


def parse_spec(values: Mapping[str, object], base: RaceSpec | None = None) -> RaceSpec:
    """Builds a validated spec from loose values (text is fine) laid over ``base``.

    Raises ValueError with one line that names the field, the value and what is allowed.

    >>> parse_spec({"epochs": "3"}).epochs
    3
    """
    start = base.model_dump(exclude_defaults=True) if base else {}
    try:
        return RaceSpec.model_validate({**start, **values})
    except ValidationError as error:
        raise ValueError(explain(error)) from None


def left_behind(base: RaceSpec, changes: Mapping[str, object]) -> dict[str, object]:
    """What ``base`` has of DATA_SETTINGS and ``laid_over`` does not take over, since the changes name another data set.

    >>> left_behind(RaceSpec(label_noise=0.4), {"dataset": "mnist"}), left_behind(RaceSpec(label_noise=0.4), {"rho": 0.2})
    ({'label_noise': 0.4}, {})
    """
    if changes.get("dataset", base.dataset) == base.dataset:
        return {}
    own = base.model_dump(include=set(DATA_SETTINGS), exclude_defaults=True)
    return {name: own[name] for name in DATA_SETTINGS if name in own and name not in changes}


def laid_over(base: RaceSpec, changes: Mapping[str, object]) -> RaceSpec:
    """``base`` with changes, as a preset's flags or an address have them: what belongs to its data set ends with it. Raises ValueError as
    ``parse_spec`` does."""
    defaults = {name: RaceSpec.model_fields[name].default for name in left_behind(base, changes)}
    return parse_spec(changes, base.model_copy(update=defaults))


def explain(error: ValidationError, model: type[BaseModel] | None = None) -> str:
    """The first thing that is wrong, as one line: field, value, what is allowed."""
    first = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"])
    shown = repr(str(first["input"])[:60])
    if first["type"] == "extra_forbidden":
        return f"{field[:40]!r} is not a setting; allowed: {', '.join((model or RaceSpec).model_fields)}"
    if first["type"] == "value_error":
        message = first["msg"].removeprefix("Value error, ")
        return message if not field or shown in message else f"{field} {shown}: {message}"
    allowed = _allowed_numbers(model or RaceSpec, field)
    return f"{field} {shown} {f'must be {allowed}' if allowed else first['msg'].replace('Input should be', 'must be')}"


def _allowed_numbers(model: type[BaseModel], field: str) -> str | None:
    """``a number from 0 to 1`` for a numeric field, None for others."""
    schema = model.model_json_schema()["properties"].get(field, {})
    kind = next(
        (part for part in (schema, *schema.get("anyOf", ())) if part.get("type") in ("number", "integer")), None
    )
    if kind is None:
        return None
    noun = "a whole number" if kind["type"] == "integer" else "a number"
    low = f"above {kind['exclusiveMinimum']:g}" if "exclusiveMinimum" in kind else f"from {kind['minimum']:g}"
    high = f"below {kind['exclusiveMaximum']:g}" if "exclusiveMaximum" in kind else f"{kind['maximum']:.10g}"
    return f"{noun} {low} {'and' if 'below' in high else 'to'} {high}"
