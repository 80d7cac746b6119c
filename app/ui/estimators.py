"""The estimators of sharpness: titles, descriptions, and what was measured on a race."""

from collections.abc import Iterable

from ssam.store import Run

NO_MASK = "no mask"


ESTIMATORS = {  # title, what it is
    "ascent_gap": ("Ascent gap", "One step of length ρ along the gradient: what SAM sees. Depends on scale."),
    "masked_ascent_gap": (
        "Ascent gap under the lane's mask",
        "The same, restricted to the weights that SSAM perturbs. Depends on scale.",
    ),
    "worst_case": ("Worst case", "The highest loss found within ρ, by ten gradient steps. Depends on scale."),
    "m_sharpness": (
        "m-sharpness",
        "Mean ascent gap with a separate perturbation for every 16 images. Depends on scale.",
    ),
    "random_directions": ("Random directions", "Mean rise at distance ρ in random directions. Depends on scale."),
    "adaptive": ("Adaptive sharpness", "Radius ρ relative to the size of each weight: invariant to rescaling."),
    "largest_eigenvalue": ("λ₁", "The largest eigenvalue of the Hessian. Depends on scale."),
    "ratio": ("λ₁/λ₅", "How much the sharpest direction stands out."),
    "trace": ("Trace", "The sum of all eigenvalues of the Hessian. Depends on scale."),
}


def caveats(run: Run) -> str:
    """Return what a result was measured on, and its caveats."""
    about = run.result["about"] if run.result else {}
    if not about:
        return ""
    place = (
        about["device"] if about["device"] != "cpu" else f"{about['threads']} CPU thread{'s' * (about['threads'] != 1)}"
    )
    facts = f"{about['images']:,} images, {about['dtype']}, {about['parameters']:,} weights; {about['seconds']:.0f} s on {place}."
    return " ".join([facts, *about["caveats"]])


FIELDS = {
    "eigenvalues": "largest_eigenvalue",
    "ratio": "ratio",
    "trace": "trace",
}  # column of a curvature row → estimator


def measured(run: Run) -> Iterable[tuple[str, str, int, float | None]]:
    """Yield estimator, setting, lane and value of an analysis of the latest weights."""
    asked = run.analysis
    if asked is None or asked.epochs or run.state != "finished" or not run.result:
        return
    images = f"{asked.images:,} images, BatchNorm {asked.batchnorm}"
    for row in run.result["rows"]:
        if asked.kind == "sharpness":
            yield row["estimator"], f"ρ {row['rho']:g}, {images}", row["lane"], row["value"]
        elif asked.kind == "curvature":
            for field, estimator in FIELDS.items():
                value = row[field][0] if field == "eigenvalues" else row[field]
                yield estimator, images, row["lane"], value
