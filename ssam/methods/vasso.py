"""VaSSO: ε follows a running average of the gradients, whose variance is smaller than that of a batch's gradient.

d ← (1 − θ) d + θ g, and ε = ρ d/‖d‖. d starts at the first gradient, as in the authors' code. Deviations from that code:
1e-12 is added to the norm instead of 1e-7, and the weights are restored by copy.
"""

from typing import TYPE_CHECKING

from ssam.methods.method import STEP, Method, Style

if TYPE_CHECKING:
    from torch import Tensor

THETA = 0.9  # the default of the authors' code


def along_average(gradients: dict["Tensor", "Tensor"], kept: dict["Tensor", "Tensor"]) -> dict["Tensor", "Tensor"]:
    """Return the average of the gradients with g in it, and keep it."""
    kept.update({p: kept[p].lerp(g, THETA) if p in kept else g.clone() for p, g in gradients.items()})
    return {p: kept[p] for p in gradients}


VASSO = Method(
    name="vasso",
    title="VaSSO",
    summary="Follows a running average of the gradients instead of the gradient of one batch.",
    source="Li & Giannakis 2023, arXiv 2309.15639",
    style=Style("#a84806", "4px,2px", "x"),
    settings=STEP - {"direction"},  # it has its own
    optimizer={"ascent": along_average},
    keeps=1,
    follows="d",
    measures="d",
)
