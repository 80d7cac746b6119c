"""SSAM-D: Sparse SAM with a dynamic mask. It starts at random; each refresh drops weights and grows others."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ssam.methods.method import STEP, Method, Style

if TYPE_CHECKING:
    from torch import Generator, Tensor


def first_mask(region: list["Tensor"], count: int, generator: "Generator") -> dict["Tensor", "Tensor"]:
    """Return a mask of ``count`` weights of the region, chosen uniformly at random."""
    from ssam.masks import random_mask_of

    return random_mask_of(region, count, generator)


def next_mask(
    masks: dict["Tensor", "Tensor"], gradients: Mapping["Tensor", "Tensor"], progress: float, generator: "Generator"
) -> dict["Tensor", "Tensor"]:
    """Drop the perturbed weights with the smallest |g|, fewer towards the end, and grow as many at random."""
    from ssam.masks import cosine_drop_rate, drop_and_grow

    return drop_and_grow(masks, gradients, cosine_drop_rate(progress), generator)


SSAM_D = Method(
    name="ssam-d",
    title="SSAM-D",
    summary="A random mask that keeps dropping the weights with the smallest gradient and growing new ones.",
    source="Mi et al. 2022, arXiv 2210.05177",
    style=Style("#00a070", "dashdot", "triangle-up"),
    settings=(STEP | {"sparsity"}) - {"direction"},  # it drops by the gradient at w, so it must compute it
    first_mask=first_mask,
    next_mask=next_mask,
    mask_words="a random {share} of the weights; those with the smallest gradient are replaced at each refresh",
)
