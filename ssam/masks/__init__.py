"""Masks: which weights to perturb. Scores become masks, ``{parameter: bool tensor}``, True = perturbed."""

from ssam.masks.dynamic import cosine_drop_rate, drop_and_grow
from ssam.masks.fisher import fisher_mask, fisher_scores, gradient_scores
from ssam.masks.groups import group_mask, n_of_m_mask
from ssam.masks.select import largest_mask, perturbed_count, random_mask, random_mask_of, top_k_mask

__all__ = [
    "cosine_drop_rate",
    "drop_and_grow",
    "fisher_mask",
    "fisher_scores",
    "gradient_scores",
    "group_mask",
    "largest_mask",
    "n_of_m_mask",
    "perturbed_count",
    "random_mask",
    "random_mask_of",
    "top_k_mask",
]
