"""Rules that make another method of SAM: what ε follows, what the base optimizer steps with, and what is kept for later.

A rule is a function of mappings {parameter: tensor of its shape}. Its last argument holds the tensors that the method
keeps between steps, at most one per parameter. A rule may replace them there, but not change them in place.
"""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

Tensors = dict[Tensor, Tensor]
Ascent = Callable[[Tensors, Tensors], Mapping[Tensor, Tensor]]
Descent = Callable[[Tensors, Tensors, Tensors], Mapping[Tensor, Tensor]]
Plain = Callable[[Tensors, Tensors], Mapping[Tensor, Tensor]]


class Rules:
    """The rules of one optimizer, each None where the method does as SAM, and the tensors that they keep.

    Args:
        ascent: from the gradients at w, return what ε follows.
        descent: from the gradients at w and those at w + ε, return what the base optimizer steps with.
        plain: from the gradients at w, return what the base optimizer steps with in a step without an ascent.
    """

    def __init__(self, ascent: Ascent | None, descent: Descent | None, plain: Plain | None) -> None:
        self.ascent, self.descent, self.plain = ascent, descent, plain
        self.kept: Tensors = {}
        self._first: Tensors | None = None  # the gradients at w, from the ascent to the update
        self._second: list[tuple[Tensor, Tensor | None]] = []  # the gradients that the update must not change

    def __bool__(self) -> bool:
        return any((self.ascent, self.descent, self.plain))

    def direction(self, params: Sequence[Tensor]) -> Mapping[Tensor, Tensor]:
        """Return what ε follows, from the gradients at w in ``.grad``."""
        gradients = _gradients(params)
        self._first = {p: g.clone() for p, g in gradients.items()} if self.descent else None
        return self.ascent(gradients, self.kept) if self.ascent else gradients

    def restore(self, params: Sequence[Tensor], kept: Sequence[Tensor | None]) -> None:
        """Set what is kept, from a tensor or None for each parameter."""
        pairs = zip(params, kept, strict=True)
        self.kept = {p: tensor.to(p.device) for p, tensor in pairs if tensor is not None}

    def forget(self) -> None:
        """Discard the gradients at w: no update will use them."""
        self._first = None

    @torch.no_grad()
    def before_update(self, params: Sequence[Tensor]) -> None:
        """Replace the gradients by what the base optimizer steps with."""
        if not self:
            return
        first, self._first = self._first, None
        gradients = _gradients(params)
        if self.descent and first is not None:
            used = self.descent(first, gradients, self.kept)
        elif self.plain:
            used = self.plain(gradients, self.kept)
        else:
            return
        self._second = [(p, p.grad) for p in used]
        for p, gradient in used.items():
            p.grad = gradient

    def after_update(self) -> None:
        """Put the gradients back as the last pass left them."""
        for p, gradient in self._second:
            p.grad = gradient
        self._second = []


def _gradients(params: Sequence[Tensor]) -> Tensors:
    return {p: p.grad for p in params if p.grad is not None}
