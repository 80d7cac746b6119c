"""Products of gradients, all tensors of a network taken together as one vector: for methods that compare two gradients."""

from torch import Tensor

from ssam.interop.sharded import total_dot, total_norm

Tensors = dict[Tensor, Tensor]
TINY = 1e-30  # keeps a zero vector from dividing by zero


def length(vector: Tensors) -> Tensor:
    """Return the norm over all tensors together, above 0 so that it may divide."""
    return total_norm(list(vector.values())).clamp(min=TINY)


def orthogonal_part(of: Tensors, to: Tensors) -> Tensors:
    """Return what of ``of`` is orthogonal to ``to``; a missing tensor is 0."""
    both = [p for p in of if p in to]
    product = total_dot([of[p] for p in both], [to[p] for p in both])
    share = product / total_norm(list(to.values())).square().clamp(min=TINY)
    return {p: g - share * to[p] if p in to else g for p, g in of.items()}
