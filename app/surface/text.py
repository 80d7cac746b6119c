"""What the toy surface says: its surfaces, its presets with what to look for in each, its settings."""

from typing import Any

SURFACES = {  # the losses of math.js
    "valleys": ("Two valleys", "A sharp and a flat minimum of equal loss, side by side."),
    "canyon": ("Canyon", "Its floor, x = 0, has loss 0 all along. The walls are flattest at y = 0."),
    "bowl": ("Bowl", "A quadratic, 48 times as curved along x as along y."),
    "saddle": ("Saddle", "Two minima, and between them a saddle: lowest along x, highest along y."),
    "needle": ("Needle", "A sharp minimum of loss 0 beside a flat one of loss 1."),
}

METHODS = {"sgd": "SGD", "sam": "SAM", "ssam": "SSAM", "noise": "SGD + noise"}

# title, what to look for, settings; what a preset leaves out is as in the first one.
PRESETS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "sharp-valley": (
        "Sharp valley",
        "All begin in the sharp valley. SGD stays; SAM overshoots there, is thrown out and settles in the flat one.",
        {},
    ),
    "wrong-axis": (
        "The wrong axis",
        "SSAM perturbs y only, along which both valleys are alike: it stays in the sharp one, as SGD does.",
        {"mask": "y", "methods": ("sgd", "sam", "ssam")},
    ),
    "no-momentum": (
        "Without momentum",
        "The same valleys, momentum 0: now SAM does not get out of the sharp one either.",
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
        "Gradient noise carries SGD along the floor too, but without an aim: it comes to the flat stretch, and leaves it again. Try other seeds.",
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
        "In a sharp bowl SAM goes on bouncing across the steep axis. SSAM, which perturbs the flat one only, hardly moves.",
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
        "SGD passes the saddle on its way to a minimum. SAM is drawn to the saddle and stays there.",
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
    "rho": ("Rho", "Length of the perturbation ε, along all axes together."),
    "lr": ("Learning rate", "How far a step goes."),
    "momentum": ("Momentum", "Share of the last steps' sum that goes on, as in torch.optim.SGD."),
    "noise": ("Noise", "Standard deviation of the gradient noise along each axis."),
}
PACES = {"slow": "slow motion", "10": "10 steps/s", "30": "30 steps/s", "60": "60 steps/s", "240": "240 steps/s"}
VIEWS = {"contour": "Contour", "perspective": "Perspective"}

PHASES = (  # of a step, numbered from 1
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
    "how sharp it is there.",
    "The steps are those of `ssam.SAM` on top of `torch.optim.SGD`, in double precision, one for one: a test compares them. ε is divided by "
    "the norm of the whole gradient; SSAM's mask m keeps one of its two axes.",
    "**Half-step** takes the ascent, w → w + ε, then the descent: the gradient there, back to w, and the update. *Slow motion* goes through the six parts of a "
    "step one by one. The arrows belong to one method, which you choose; ε and the update are drawn to scale, the gradients are not. "
    "Keys, while the focus is in the panel: space plays and pauses, S steps, H goes half a step, R resets.",
    "**Noise** stands for the batches: each step adds one random vector to the gradient, in SAM to both gradients of the step, as both are of one batch. "
    "Seed and step decide it, so all methods meet the same noise. It is added for *SGD + noise* only, or for all.",
    "Two weights are not a million. What a large network does is on the other pages; here you see by what mechanism, and when it does not help.",
)
