"""SAM: ε = ρ g/‖g‖ for all weights. The formula is that of ``ssam.optim``, unchanged."""

from ssam.methods.method import Method, Style

SAM = Method(
    name="sam",
    title="SAM",
    summary="Every weight is perturbed before the gradient is taken.",
    source="Foret et al. 2021, arXiv 2010.01412",
    style=Style("#2471e0", "solid", "square"),
)
