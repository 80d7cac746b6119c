"""The base optimizers that a race or a lane can have: the settings ``base``. Never imports torch."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Base:
    """``rate`` is the scale of its learning rate, SGD's being 1. A lane whose base optimizer is another than its race's takes the race's
    learning rate on this scale, and its weight decay on the inverse one, so that their product, by which a step shrinks the weights,
    stays the same: SGD at 0.1 and 5e-4 is AdamW at 0.001 and 0.05. ``momentum``: whether it keeps a momentum buffer that a
    perturbation can follow; else the setting ``momentum`` is its β₁."""

    title: str
    rate: float
    momentum: bool


DEFAULT_BASE = "sgd"
BASES = {"sgd": Base("SGD", 1.0, momentum=True), "adamw": Base("AdamW", 0.01, momentum=False)}
