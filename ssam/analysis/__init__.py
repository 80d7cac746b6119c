"""Analyses of weights: sharpness, the Hessian, and the loss landscape around them. Pure mathematics on a model and fixed images."""

from ssam.analysis.hessian import Hessian, Ritz, density, lanczos, power_iteration, top_eigenvalues, trace
from ssam.analysis.landscape import (
    Layout,
    Plane,
    Shared,
    coarse_to_fine,
    common_plane,
    filter_normalised,
    line,
    project,
    surface,
)
from ssam.analysis.objective import Objective
from ssam.analysis.sharpness import adaptive_sharpness, ascent_gap, m_sharpness, random_directions, worst_case

__all__ = [
    "Hessian",
    "Layout",
    "Objective",
    "Plane",
    "Ritz",
    "Shared",
    "adaptive_sharpness",
    "ascent_gap",
    "coarse_to_fine",
    "common_plane",
    "density",
    "filter_normalised",
    "lanczos",
    "line",
    "m_sharpness",
    "power_iteration",
    "project",
    "random_directions",
    "surface",
    "top_eigenvalues",
    "trace",
    "worst_case",
]
