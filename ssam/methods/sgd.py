"""SGD with momentum: a lane's base optimizer by itself."""

from ssam.methods.method import Method, Style

SGD = Method(
    name="sgd",
    title="SGD",
    summary="One gradient a step: the base optimizer alone.",
    source="Robbins & Monro 1951",
    style=Style("#7c7f88", "dot", "circle"),
    settings=frozenset(),
    passes=1,
)
