"""GSAM: the update follows the gradient at w + ε, less a share of what of the gradient at w is orthogonal to it.

g⊥ = g − ⟨g, g⁺⟩/‖g⁺‖² g⁺, and w ← base(w, g⁺ − α g⊥), with g⁺ = ∇L(w + ε). Norms and products are of all tensors together
and never masked. Deviation from the paper: rho is constant here; theirs falls with the learning rate.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ssam.methods.method import STEP, Method, Style

if TYPE_CHECKING:
    from torch import Tensor

ALPHA = 0.4  # the default of the authors' code


def less_orthogonal(
    first: dict["Tensor", "Tensor"], second: dict["Tensor", "Tensor"], _kept: Mapping["Tensor", "Tensor"]
) -> dict["Tensor", "Tensor"]:
    """Return g⁺ − α g⊥. A tensor without a gradient at w has g = 0."""
    from ssam.methods.vectors import orthogonal_part

    at_w = {p: first[p] if p in first else g * 0 for p, g in second.items()}
    orthogonal = orthogonal_part(at_w, second)
    return {p: g - ALPHA * orthogonal[p] for p, g in second.items()}


GSAM = Method(
    name="gsam",
    title="GSAM",
    summary="SAM whose update takes back a share of what only the gradient at w points to.",
    source="Zhuang et al. 2022, arXiv 2203.08065",
    style=Style("#1e723c", "16px,6px", "hexagon"),
    settings=STEP - {"direction", "ascent_batch"},  # it compares two gradients of one batch
    optimizer={"descent": less_orthogonal},
)
