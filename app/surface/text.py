"""Texts of the toy surface: surfaces, presets with what to watch for in each, settings."""

from typing import Any

SURFACES = {  # the losses of math.js
    "valleys": ("Two valleys", "A sharp and a flat minimum of equal loss, side by side."),
    "canyon": ("Canyon", "Along its floor, x = 0, the loss is 0. The walls are flattest at y = 0."),
    "bowl": ("Bowl", "A quadratic with 48 times the curvature along x as along y."),
    "saddle": ("Saddle", "Two minima with a saddle between them: a minimum along x, a maximum along y."),
    "needle": ("Needle", "A sharp minimum of loss 0 beside a flat one of loss 1."),
}

METHODS = {"sgd": "SGD", "sam": "SAM", "ssam": "SSAM", "noise": "SGD + noise"}

# title, what to watch for, settings; those left out are as in the first preset
PRESETS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "sharp-valley": (
        "Sharp valley",
        "All start in the sharp valley. SGD stays; SAM overshoots, leaves it and settles in the flat one.",
        {},
    ),
    "wrong-axis": (
        "The wrong axis",
        "SSAM perturbs only y, along which both valleys are alike: it stays in the sharp one, like SGD.",
        {"mask": "y", "methods": ("sgd", "sam", "ssam")},
    ),
    "no-momentum": (
        "Without momentum",
        "The same valleys with momentum 0: now SAM does not leave the sharp one either.",
        {"momentum": 0.0, "methods": ("sgd", "sam", "ssam")},
    ),
    "canyon": (
        "Along the floor",
        "SGD stops where it lands on the floor. SAM moves on, at loss almost 0, to where the walls are flattest.",
        {
            "surface": "canyon",
            "x": 0.6,
            "y": 1.4,
            "rho": 0.2,
            "lr": 0.05,
            "momentum": 0.0,
            "methods": ("sgd", "sam", "ssam"),
        },
    ),
    "noise": (
        "Noise wanders",
        "Gradient noise moves SGD along the floor too, but at random: it reaches the flat stretch and leaves it again. Try other seeds.",
        {
            "surface": "canyon",
            "x": 0.6,
            "y": 1.4,
            "rho": 0.2,
            "lr": 0.05,
            "momentum": 0.0,
            "noise": 1.5,
            "seed": 5,
            "methods": ("sgd", "sam", "noise"),
        },
    ),
    "restless": (
        "Never at rest",
        "In a sharp bowl SAM keeps bouncing across the steep axis. SSAM, which perturbs only the flat one, hardly moves.",
        {
            "surface": "bowl",
            "x": -1.8,
            "y": 1.3,
            "rho": 0.2,
            "lr": 0.03,
            "momentum": 0.0,
            "mask": "y",
            "methods": ("sgd", "sam", "ssam"),
        },
    ),
    "saddle": (
        "Caught at a saddle",
        "SGD passes the saddle on its way to a minimum. SAM is attracted to the saddle and stays there.",
        {
            "surface": "saddle",
            "x": 1.7,
            "y": 0.25,
            "rho": 0.5,
            "lr": 0.1,
            "momentum": 0.0,
            "methods": ("sgd", "sam", "ssam"),
        },
    ),
    "needle": (
        "The better one is sharp",
        "Here the sharp minimum is the better one, and SAM leaves it: flat is not the same as good.",
        {"surface": "needle", "x": -2.0, "y": 0.3, "methods": ("sgd", "sam", "ssam")},
    ),
}

LABELS = {
    "rho": ("Rho", "Length (L2 norm) of the perturbation ε."),
    "lr": ("Learning rate", "Step size: the update is the learning rate times the gradient."),
    "momentum": ("Momentum", "How much of the previous updates is carried over, as in torch.optim.SGD."),
    "noise": ("Noise", "Standard deviation of the gradient noise along each axis."),
}
PACES = {"slow": "slow motion", "10": "10 steps/s", "30": "30 steps/s", "60": "60 steps/s", "240": "240 steps/s"}
VIEWS = {"contour": "Contour", "perspective": "Perspective"}

PHASES = (  # parts of a step, numbered from 1
    "the gradient g at w",
    "the perturbation ε = ρ · m ⊙ g / ‖g‖",
    "up to w + ε",
    "the gradient there",
    "back to w",
    "the update, with the gradient from w + ε",
)

SEEING = (
    "Each method walks down the same loss of two weights, x and y, from the same start; **darker is lower**. Drag the start (or move "
    "it with the arrow keys) and change any setting while it runs. **λ₁** is the largest eigenvalue of the Hessian where a method is: "
    "the sharpness there.",
    "The steps are those of `ssam.SAM` on top of `torch.optim.SGD`, in double precision; a test compares them step by step. ε is divided by "
    "the norm of the full gradient; SSAM's mask m keeps one of its two axes.",
    "**Half-step** takes the ascent, w → w + ε, then the descent: the gradient there, back to w, and the update. *Slow motion* goes through the six parts of a "
    "step one by one. The arrows belong to one method, which you choose; ε and the update are drawn to scale, the gradients are not. "
    "Keyboard shortcuts while the focus is in the panel: space plays and pauses, S takes a step, H half a step, R resets.",
    "**Noise** stands for mini-batches: each step adds one random vector to the gradient; SAM adds it to both gradients of the step, as both use one batch. "
    "It depends only on seed and step, so all methods get the same noise. It is applied to *SGD + noise* only, or to all.",
    "Two weights are not a million. The other pages show what a large network does; here you see the mechanism, and when it does not help.",
)
