"""Everything known about a method, as one frozen value. Does not import torch when loaded."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ssam.markers import Style

Masks = dict[Any, Any]  # parameter → bool tensor of its shape
FirstMask = Callable[[list[Any], int, Any], Masks]
NextMask = Callable[[Masks, Mapping[Any, Any], float, Any], Masks]

STEP = frozenset({"rho", "norm", "region", "direction", "ascent_batch", "ascent_interval"})  # of all that perturb


@dataclass(frozen=True, kw_only=True)
class Method:
    """One method, as the form, the specification, the engine, the exported script and the pages read it.

    Args:
        name: in lanes, addresses and files.
        title: in legends.
        summary: one sentence.
        source: the paper.
        style: how its lanes are drawn.
        settings: the fields of a LaneSpec that its lanes may set; empty for a method that perturbs nothing.
        passes: forward+backward passes of a step that perturbs.
        interval: a lane without its own ascent_interval perturbs in every so many-th step.
        rho_scale: a lane without its own rho uses the race's rho times this.
        optimizer: arguments of ``ssam.SAM`` besides the base optimizer, rho and norm; a method that differs from SAM in
            more than its masks gives its rules here, functions of its own file (``ssam.optim.rules``).
        keeps: copies of the weights that its rules keep between steps.
        follows: what ε is a multiple of, as a formula of w and the gradient g.
        measures: what the norm in the denominator is taken of, as such a formula.
        score: what its mask ranks weights by unless the lane sets a score; None if it does not rank.
        first_mask: for a mask that does not rank: makes it from the parameters, the number of weights to perturb and a
            random generator.
        next_mask: makes the next mask from the current one, the gradients at w, the progress (0–1) and a random
            generator.
        mask_words: what that mask perturbs, in a sentence, with ``{share}`` for the share of the weights.
    """

    name: str
    title: str
    summary: str
    source: str
    style: Style
    settings: frozenset[str] = STEP
    passes: int = 2
    interval: int = 1
    rho_scale: float = 1.0
    optimizer: Mapping[str, Any] = field(default_factory=dict)
    keeps: int = 0
    follows: str = "g"
    measures: str = "g"
    score: str | None = None
    first_mask: FirstMask | None = None
    next_mask: NextMask | None = None
    mask_words: str = ""

    @property
    def perturbs(self) -> bool:
        return "rho" in self.settings

    @property
    def compares(self) -> bool:
        """Return whether the descent uses the gradient at w too, so that it is needed of every weight."""
        return "descent" in self.optimizer

    @property
    def spans_steps(self) -> bool:
        """Return whether steps without an ascent belong to the method too."""
        return "plain" in self.optimizer

    @property
    def sparse(self) -> bool:
        return "sparsity" in self.settings
