"""SSAM-F: Sparse SAM whose mask selects the weights with the largest empirical Fisher information."""

from ssam.methods.method import STEP, Method, Style

SSAM_F = Method(
    name="ssam-f",
    title="SSAM-F",
    summary="Only the weights with the largest Fisher information are perturbed.",
    source="Mi et al. 2022, arXiv 2210.05177",
    style=Style("#d65f00", "dash", "diamond"),
    settings=STEP | {"sparsity", "granularity"},
    score="fisher",
)
