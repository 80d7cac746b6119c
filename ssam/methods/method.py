"""What there is to know of a method, as one frozen value. Never imports torch when it is loaded."""

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
    """One method, as the form, the specification, the engine, the script and the pages read it.

    Args:
        name: in lanes, addresses and files.
        title: in legends.
        summary: one sentence.
        source: the paper.
        style: how its lanes are drawn.
        settings: the fields of a LaneSpec that its lanes may set; none for a method that perturbs nothing.
        passes: forward+backward passes of a step.
        rho_scale: a lane without a rho of its own has the race's times this.
        optimizer: arguments of ``ssam.SAM`` besides the base optimizer, rho and norm.
        follows: what ε is a multiple of, as a formula of w and the gradient g.
        measures: what the norm under the fraction is taken of, likewise.
        score: what its mask ranks weights by unless the lane says so; None where it does not rank.
        first_mask: of a mask that does not rank: makes it from the parameters, the number of weights to perturb and a
            random generator.
        next_mask: makes the next one from the mask so far, the gradients at w, the progress (0–1) and a random generator.
        mask_words: what that mask perturbs, in a sentence, with ``{share}`` for the share of the weights.
    """

    name: str
    title: str
    summary: str
    source: str
    style: Style
    settings: frozenset[str] = STEP
    passes: int = 2
    rho_scale: float = 1.0
    optimizer: Mapping[str, Any] = field(default_factory=dict)
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
    def sparse(self) -> bool:
        return "sparsity" in self.settings
