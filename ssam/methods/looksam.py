"""LookSAM: a SAM step, then k − 1 plain steps that reuse what of its gradient was orthogonal to the one at w.

A SAM step keeps g_v = g⁺ − ⟨g, g⁺⟩/‖g‖² g, with g⁺ = ∇L(w + ε); a plain step is base(w, g + α ‖g‖/‖g_v‖ g_v). Norms and
products are of all tensors together, which is our reading: other code takes them tensor by tensor. α and k are those of
public reimplementations. The first step is a SAM step.
"""

from typing import TYPE_CHECKING

from ssam.methods.method import STEP, Method, Style

if TYPE_CHECKING:
    from torch import Tensor

    Tensors = dict[Tensor, Tensor]

ALPHA = 0.7


def keep_orthogonal(first: "Tensors", second: "Tensors", kept: "Tensors") -> "Tensors":
    """Keep g_v, and return the gradients at w + ε as they are."""
    from ssam.methods.vectors import orthogonal_part

    kept.update(orthogonal_part(second, first))
    return second


def reuse_orthogonal(gradients: "Tensors", kept: "Tensors") -> "Tensors":
    """Return g + α ‖g‖/‖g_v‖ g_v; g before the first SAM step."""
    from ssam.methods.vectors import length

    if not kept or not gradients:
        return gradients
    share = ALPHA * length(gradients) / length(kept)
    return {p: g + share * kept[p] if p in kept else g for p, g in gradients.items()}


LOOKSAM = Method(
    name="looksam",
    title="LookSAM",
    summary="A SAM step every few steps; the steps between reuse what it found.",
    source="Liu et al. 2022, arXiv 2203.02714",
    style=Style("#727ed2", "11px,3px,5px,3px", "triangle-left"),
    settings=STEP - {"direction", "ascent_batch"},  # it compares two gradients of one batch
    interval=5,
    optimizer={"descent": keep_orthogonal, "plain": reuse_orthogonal},
    keeps=1,
)
