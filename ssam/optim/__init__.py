"""Sharpness-aware optimizers: pure mathematics on top of a base optimizer."""

from ssam.optim.batchnorm import frozen_batchnorm
from ssam.optim.sam import SAM

__all__ = ["SAM", "frozen_batchnorm"]
