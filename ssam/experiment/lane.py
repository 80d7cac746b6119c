"""The specification of a lane: one method with its own settings."""

from typing import Literal

from pydantic import Field, ValidationError, ValidationInfo, field_validator, model_validator

from ssam.experiment.base import BaseOptimizer, Decay, Epochs, Frozen, Rate, Rho, Sparsity, explain, matching, one_of
from ssam.methods import METHODS
from ssam.methods.directions import DIRECTIONS


class LaneSpec(Frozen):
    """One method with its own settings; ``None`` takes the race's value.

    Text form (address bar, command line): ``ssam-f:rho=0.2:sparsity=0.8``.

    ``region`` is where weights may be perturbed: ``all``; ``early`` or ``late``, the stages before the one that halves the
    parameters, or that stage and later ones; ``from-K``, stage K and later (the first is 0); ``norm``, normalisation layers.
    ``granularity`` is the unit that the mask selects: a single ``weight``, a ``tensor``, a ``block`` (a stage of the network), or
    ``n-of-M``: N of every M consecutive weights, with N from the sparsity (``n-of-4`` at 0.5 is the 2:4 pattern).
    ``score`` is what method ``ssam`` ranks by: the empirical ``fisher`` information, ``fisher-per-cost`` (blocks by Fisher
    mass divided by compute), the ``gradient`` of the Fisher samples, the ``magnitude`` of the weights, or ``random``.
    ``direction`` is what ε follows: ``gradient``, the batch's gradient at w; ``momentum``, the opposite of the momentum buffer;
    ``last``, the descent gradient of the previous step. The last two cost no pass. ``ascent_batch`` computes ε from that many images
    of the batch; ``ascent_interval`` perturbs only in every k-th step. None is the method's own: 1, or the k of LookSAM.

    The settings in TRAINING apply to every method. ``epochs``: the lane ends after so many epochs, with its learning rate at 0, while
    other lanes continue; at most the race's. ``base`` is the lane's base optimizer, with ``lr`` and ``weight_decay``; a lane whose
    ``base`` differs from the race's takes the race's two values on its own scale (``ssam.methods.bases``). ``label_smoothing`` is
    torch's and applies to the training losses; evaluation, Fisher scores and λ₁ use the plain loss. ``ema``: evaluation uses the
    exponential moving average of the weights with this decay per step, starting from the weights after the first step; BatchNorm
    statistics are averaged in the same way, as in timm's and torchvision's training scripts (recomputing them takes another pass over
    the data). ``patience``: the lane stops after so many epochs without a higher validation accuracy. Its result is that of the weights
    of its best validation epoch, even if it trains to the end. Its learning-rate schedule is that of the full training, cut short.
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
    ascent_interval: int | None = Field(default=None, ge=1, le=1000)
    epochs: Epochs | None = None
    lr: Rate | None = None
    weight_decay: Decay | None = None
    base: BaseOptimizer | None = None
    label_smoothing: float = Field(default=0.0, ge=0.0, lt=1.0)
    ema: float | None = Field(default=None, gt=0.0, lt=1.0)
    patience: int | None = Field(default=None, ge=1, le=1000)

    @field_validator("method")
    @classmethod
    def _known_method(cls, value: str) -> str:
        return one_of("method", value, METHODS)

    @field_validator("ascent_interval")
    @classmethod
    def _own_interval(cls, value: int | None, info: ValidationInfo) -> int | None:
        """Leave out the method's own interval, so that a lane has one text form."""
        method = METHODS.get(info.data.get("method", ""))
        return None if method and value == method.interval else value

    @field_validator("region")
    @classmethod
    def _known_region(cls, value: str) -> str:
        allowed = "all, early, late, norm, from-K with a stage number K"
        return matching("region", value, r"all|early|late|norm|from-(0|[1-9][0-9]?)", allowed)

    @field_validator("granularity")
    @classmethod
    def _known_granularity(cls, value: str) -> str:
        allowed = "weight, tensor, block, n-of-M with M from 2 to 64"
        return matching("granularity", value, r"weight|tensor|block|n-of-([2-9]|[1-5][0-9]|6[0-4])", allowed)

    @model_validator(mode="after")
    def _has_an_effect(self) -> "LaneSpec":
        method = METHODS[self.method]
        for name in self.own_settings:
            if name in TRAINING:
                continue
            if not method.perturbs:
                raise ValueError(f"method {self.method!r} perturbs nothing, so it has no {name}")
            if name not in method.settings:
                able = ", ".join(other.name for other in METHODS.values() if name in other.settings)
                raise ValueError(f"method {self.method!r} has no {name}; methods that do: {able}")
        if self.is_free and self.ascent_batch is not None:
            raise ValueError(f"direction {self.direction!r} computes no ascent gradient, so it has no ascent_batch")
        if self.score == "fisher-per-cost" and self.granularity != "block":
            raise ValueError(
                f"score 'fisher-per-cost' ranks blocks, so granularity {self.granularity!r} must be 'block'"
            )
        return self

    @classmethod
    def parse(cls, text: str) -> "LaneSpec":
        """Parse ``method[:setting=value]…``. Raise ValueError, one line that says what is allowed."""
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
    def is_free(self) -> bool:
        """Return whether ε follows a direction that is already available, so that the ascent costs no pass."""
        return DIRECTIONS[self.direction].is_free

    @property
    def interval(self) -> int:
        """Return k if the lane perturbs in every k-th step."""
        return self.ascent_interval or METHODS[self.method].interval

    @property
    def passes(self) -> float:
        """Return the average number of forward+backward passes per step; a pass on part of a batch counts as a full one."""
        return 1.0 if self.is_free else 1 + (METHODS[self.method].passes - 1) / self.interval

    @property
    def mask_score(self) -> str | None:
        """Return what the mask ranks by; None if nothing is ranked (SGD, SAM, SSAM-D)."""
        return self.score or METHODS[self.method].score

    @property
    def trains_otherwise(self) -> bool:
        """Return whether the lane has its own training settings."""
        return any(name in TRAINING for name in self.own_settings)

    @property
    def own_settings(self) -> dict[str, object]:
        """Return the settings that differ from the defaults."""
        values = {name: getattr(self, name) for name in SETTINGS}
        return {name: value for name, value in values.items() if value != LaneSpec.model_fields[name].default}


TRAINING = ("epochs", "lr", "weight_decay", "base", "label_smoothing", "ema", "patience")  # settings of every method
SETTINGS = tuple(name for name in LaneSpec.model_fields if name != "method")
