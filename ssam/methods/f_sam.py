"""F-SAM, Friendly SAM: ε follows what the gradient of this batch does not share with the batches before it.

d = g − σ m̄, with m̄ ← λ m̄ + (1 − λ) g, and ε = ρ d/‖d‖. Order and start are those of the authors' code: m̄ starts at the
first gradient, whose step is SAM's, and the average before this batch is subtracted. The paper subtracts the average
with this batch in it, which for σ = 1 is the same direction.
"""

from typing import TYPE_CHECKING

from ssam.methods.method import STEP, Method, Style

if TYPE_CHECKING:
    from torch import Tensor

SIGMA, LAMBDA = 1.0, 0.9  # the defaults of the authors' code


def away_from_average(gradients: dict["Tensor", "Tensor"], kept: dict["Tensor", "Tensor"]) -> dict["Tensor", "Tensor"]:
    """Return g − σ m̄, with the average m̄ of the gradients before, and keep the average with g in it."""
    averages = {p: kept[p] for p in gradients if p in kept}
    kept.update({p: averages[p].lerp(g, 1 - LAMBDA) if p in averages else g.clone() for p, g in gradients.items()})
    return {p: g - SIGMA * averages[p] if p in averages else g for p, g in gradients.items()}


F_SAM = Method(
    name="f-sam",
    title="F-SAM",
    summary="Follows the gradient without its running average: only what is new in this batch.",
    source="Li et al. 2024, arXiv 2403.12350",
    style=Style("#723cf6", "7px,3px,2px,3px,2px,3px", "pentagon"),
    settings=STEP - {"direction"},  # it has its own
    optimizer={"ascent": away_from_average},
    keeps=1,
    follows="(g − m̄)",
    measures="g − m̄",
)
