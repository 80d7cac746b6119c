"""Which weights to perturb: scores become masks, ``{parameter: bool tensor}``, True = perturbed."""

from ssam.masks.dynamic import cosine_drop_rate, drop_and_grow
from ssam.masks.fisher import fisher_mask, fisher_scores
from ssam.masks.picture import density, overlap, picture, share_changed
from ssam.masks.select import perturbed_count, random_mask, top_k_mask

__all__ = [
    "cosine_drop_rate",
    "density",
    "drop_and_grow",
    "fisher_mask",
    "fisher_scores",
    "overlap",
    "perturbed_count",
    "picture",
    "random_mask",
    "share_changed",
    "top_k_mask",
]
