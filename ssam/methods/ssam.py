"""SSAM: Sparse SAM with the score and the pattern that the lane sets."""

from ssam.methods.method import STEP, Method, Style

SSAM = Method(
    name="ssam",
    title="SSAM",
    summary="Sparse SAM with the score and the pattern that you choose; random unless told otherwise.",
    source="Mi et al. 2022 and 2023, arXiv 2210.05177 and 2306.17504",
    style=Style("#9a429a", "longdash", "triangle-down"),
    settings=STEP | {"sparsity", "granularity", "score"},
    score="random",
)
