"""The base optimizers of races and lanes: the values of the setting ``base``. Never imports torch."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Base:
    """One base optimizer. ``rate`` is the scale of its learning rate relative to SGD's, which is 1. If a lane's base
    optimizer differs from its race's, the lane takes the race's learning rate on this scale and its weight decay on the
    inverse scale. Their product, by which a step shrinks the weights, thus stays the same: SGD with 0.1 and 5e-4
    corresponds to AdamW with 0.001 and 0.05. ``momentum``: whether it keeps a momentum buffer that a perturbation can
    follow; if not, the setting ``momentum`` is its β₁."""

    title: str
    rate: float
    momentum: bool


DEFAULT_BASE = "sgd"
BASES = {"sgd": Base("SGD", 1.0, momentum=True), "adamw": Base("AdamW", 0.01, momentum=False)}
