"""Directions that ε can follow, for every method that allows a choice: the lane setting ``direction``.

A rule returns ``{parameter: tensor of its shape}`` from what the optimizer holds before the step's first pass, which is
then not needed. A parameter is missing if it has no direction yet.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from ssam.optim import SAM


def against_momentum(sam: "SAM") -> dict["Tensor", "Tensor"]:
    """Return −v for each momentum buffer v of the base optimizer: MSAM's direction (Becker et al. 2024,
    arXiv 2401.12033)."""
    buffers = {p: sam.state[p].get("momentum_buffer") for group in sam.param_groups for p in group["params"]}
    return {p: -v for p, v in buffers.items() if v is not None}


def last_gradient(sam: "SAM") -> dict["Tensor", "Tensor"]:
    """Return the gradients left by the last descent step."""
    return {p: p.grad for group in sam.param_groups for p in group["params"] if p.grad is not None}


@dataclass(frozen=True)
class Direction:
    """A direction of ε. ``rule`` is None for the gradient at w, which the first pass computes; the other directions
    need no pass.

    ``title`` is shown in the form, ``words`` follow "perturbed", ``formula`` completes "ε follows …"; ``hint`` says
    what to set as well. ``keeps_gradients``: the gradients of a step are kept for the next one.
    """

    title: str
    words: str
    formula: str
    rule: Callable[["SAM"], dict["Tensor", "Tensor"]] | None = None
    keeps_gradients: bool = False
    hint: str = ""

    @property
    def is_free(self) -> bool:
        return self.rule is not None


DIRECTIONS = {
    "gradient": Direction("gradient at w", "along the gradient", "the gradient at w"),
    "momentum": Direction(
        "momentum buffer",
        "against the momentum buffer",
        "−v, against the momentum buffer v",
        against_momentum,
        hint="Give this lane a rho of its own: about 1 to 1.5 in the noisy-labels lesson.",
    ),
    "last": Direction(
        "last gradient",
        "along the last descent gradient",
        "the gradient of the last step",
        last_gradient,
        keeps_gradients=True,
        hint="Give this lane a rho of its own: about 0.3 in the noisy-labels lesson.",
    ),
}
