"""ASAM: ε = ρ w²⊙g / ‖|w|⊙g‖, element by element. Rescaling a layer and the next one inversely changes nothing.

The formula is that of ``ssam.optim`` with ``adaptive=True``: η = 0, biases and normalisation layers scaled too.
"""

from ssam.methods.method import Method, Style

ASAM = Method(
    name="asam",
    title="ASAM",
    summary="Each weight is perturbed in proportion to its size.",
    source="Kwon et al. 2021, arXiv 2102.11600",
    style=Style("#d90041", "longdashdot", "star"),
    rho_scale=10.0,  # the paper's radius over SAM's: 0.5 and 0.05 on CIFAR-10, 1 and 0.1 on CIFAR-100
    optimizer={"adaptive": True},
    follows="w²⊙g",
    measures="|w|⊙g",
)
