"""Texts of the page Flatness: explanations of the pictures, and their alternative texts."""

import math
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import numpy as np

from app.flatness.correlation import ENOUGH, Correlation
from app.flatness.subjects import SUBJECTS, Subject, rows_of
from app.ui import theme
from app.ui.estimators import ESTIMATORS, NO_MASK
from app.ui.formats import number
from ssam.experiment import RaceSpec
from ssam.methods import METHODS
from ssam.store import Run

YOURS = (
    "Once a race of yours has finished, or saved weights, you can measure it here: the loss around its weights, its curvature and several kinds of "
    "sharpness, all lanes side by side."
)
NO_SNAPSHOTS = (
    "This race saved no intermediate weights. Set *Save weights every* in the training settings before a race to analyse earlier epochs "
    "too."
)
NOT_MEASURED = (
    "Not measured yet with these settings. Press **Measure**; the result is stored and shown at once the next time."
)
NOTHING_MEASURED = (
    "Nothing to compare yet. Measure **Sharpness** or **Curvature** of your finished races, at their latest weights: every lane becomes "
    "a point here."
)
OPEN = " Open markers: lanes with training settings of their own, such as a larger weight decay."
LOWER = "In every chart lower is flatter, by that estimator. Estimators can disagree."

SEEING = {
    "surface": (
        "Training loss on a plane through the weights: dark is a low loss (or a high accuracy). All lanes share plane size, random directions and colours.",
        "Two random directions out of so many are a glimpse, not a map: a minimum may be sharp in others. They are normalised filter by "
        "filter, so that a network whose filters are merely scaled looks the same. Biases and BatchNorm do not move.",
        "On the plane of all lanes distances are exact, but with more than three lanes their weights, and the paths, lie off the plane: "
        "the loss at a marker is not the lane's own. BatchNorm's statistics are interpolated like the weights.",
    ),
    "profile": (
        "Training loss and accuracy along random lines through each lane's weights (at 0). The line is the mean over the directions, "
        "the band is the range from the lowest to the highest.",
        "The directions are normalised filter by filter, so a network whose filters are merely scaled looks the same. A random line "
        "misses the few sharp directions that λ₁ finds. Measured on a part of the training images, wrong labels included.",
    ),
    "curvature": (
        "λ₁ … λ₅ are the largest eigenvalues of the Hessian of the training loss: the curvature in the sharpest directions. "
        "λ₁/λ₅ says how much one direction stands out; the trace is the sum of all eigenvalues, estimated, ± its standard error.",
        "All three change when weights are rescaled without changing the network's function, so compare lanes of one race, not "
        "networks. They are measured on a part of the training images. With BatchNorm the scale of a layer before it is arbitrary.",
    ),
    "spectrum": (
        "The distribution of the eigenvalues of the Hessian: the share of directions (log axis) for each curvature. Usually nearly all sit at 0, "
        "and a few far to the right.",
        "An estimate by Lanczos with a smoothing kernel: the height of the far tail is rough, single eigenvalues there are bumps. "
        "Eigenvalues below 0 mean that the weights are no minimum. Like all curvature it depends on the scale of the weights.",
    ),
    "sharpness": (
        "How much the training loss rises around the weights, by several estimators, on the same images for all lanes. They often "
        "disagree: sharpness is a family, not a number. The bars are standard errors where an estimator has one.",
        "Ascent gap, worst case, m-sharpness and random directions depend on the scale of the weights; only adaptive sharpness does "
        "not. SAM is trained on what the ascent gap measures, so a low value only shows that training worked, not that flat is better.",
    ),
    "robustness": (
        "Accuracy on test images with noise, blur, low contrast, a shift or a grey square. The networks were trained without such images. All lanes "
        "see the same ones. In *by clean accuracy*, a lane up and to the right of another is better at both.",
        "A lane may lead on clean images and fall behind on disturbed ones, and one disturbance says little about another: a network that "
        "bears noise may bear blur badly. Often a lane that stops earlier bears noise better; compare with such a lane before the method gets the "
        "credit. Five disturbances made here are no test of safety.",
    ),
    "disturbed_weights": (
        "Test accuracy with disturbed weights. *Noise* adds Gaussian noise to each tensor; the level is its standard "
        "deviation as a share of the root mean square (RMS) of the tensor's weights. *Quantisation* rounds each "
        "tensor to evenly spaced values, symmetric around 0. *Pruning* sets the weights of each tensor that are "
        "smallest in magnitude to 0. Every curve starts at the undisturbed weights. Around a flat minimum small "
        "changes of the weights cost little; the higher levels here are large changes. In *by undisturbed accuracy*, "
        "a lane up and to the right of another is better at both.",
        "The noise is drawn three times, the same for all lanes: the line is the mean, the band is the range. Only "
        "tensors with two or more dimensions are disturbed: the weights of linear and convolution layers, in a vision "
        "transformer also the position embeddings; not biases or normalisation layers. BatchNorm keeps the "
        "statistics stored with the weights. All levels are relative to the tensor itself: scaling tensors without "
        "changing the network's function changes no curve.",
        "The network is not trained further; in practice pruning and quantisation are often followed by more "
        "training. A lane may bear noise well and pruning badly. Compare the left ends of the curves, too: a lane "
        "that loses little may still be the less accurate one.",
    ),
    "better": (
        "Every lane that you have measured at the end of its race: its sharpness against its accuracy on test images. ρₛ is Spearman's "
        "rank correlation: −1, the flatter the better without exception; 0, nothing in common; 1, the sharper the better.",
        "The interval is a 95% bootstrap interval over the lanes. Lanes of one race share images and initial weights, so it is "
        "probably too narrow. Lanes also differ by method: a correlation may come from the method, without flatness as its cause.",
    ),
}

LITERATURE = """
- [Dinh et al. 2017](https://arxiv.org/abs/1703.04933): sharp minima can generalise. Rescaling the weights of a ReLU network can change its
  sharpness arbitrarily without changing its function.
- [Andriushchenko et al. 2023](https://arxiv.org/abs/2302.07011): over many modern networks sharpness correlates poorly with generalisation; sometimes
  the sharper ones do better. The right measure depends on the data and the training.
- [Mueller et al. 2023](https://arxiv.org/abs/2306.04226) (SAM-ON): perturbing only normalisation layers can improve accuracy while sharpness *rises*.
"""


def seeing(kind: str) -> str:
    """Return the explanation of a tab, with the list of estimators if there are several."""
    said = "\n\n".join(SEEING[kind])
    if kind in ("sharpness", "better"):
        said += "\n\n" + "\n".join(f"- **{title}**: {what}" for title, what in ESTIMATORS.values())
    return said


def maskless(spec: RaceSpec) -> list[int]:
    """Return the indices of the lanes without a mask: SGD perturbs nothing, SAM everything."""
    return [place for place, lane in enumerate(spec.lanes) if not METHODS[lane.method].sparse and lane.region == "all"]


def newest(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the last row of each lane, by lane (and estimator, or disturbance and level)."""
    names = ("lane", "estimator", "disturbance", "level")
    last = {tuple(map(row.get, names)): row for row in sorted(rows, key=lambda row: row["step"])}
    return sorted(last.values(), key=lambda row: row["lane"])


def summary(run: Run, arrays: dict[str, np.ndarray]) -> str:
    """Return a result as text, for those who cannot see the chart."""
    if run.analysis is None or not run.result:
        return "Nothing yet."
    titles, rows = theme.lane_titles(run.spec), run.result["rows"]
    words: dict[str, Callable[..., list[str]]] = {
        "surface": _surface,
        "profile": _profile,
        "curvature": _curvature,
        "spectrum": _spectrum,
        "sharpness": _sharpness,
        **{kind: partial(_disturbed, subject) for kind, subject in SUBJECTS.items()},
    }
    said = words[run.analysis.kind](titles, rows, arrays)
    if any(row.get("estimator") == "masked_ascent_gap" for row in rows):
        bare = ", ".join(titles[place] for place in maskless(run.spec))
        said += [f"{ESTIMATORS['masked_ascent_gap'][0]}: {NO_MASK} in {bare}."] if bare else []
    return " ".join(said) if said else "Nothing yet."


def _surface(titles: Sequence[str], rows: list[dict[str, Any]], arrays: dict[str, np.ndarray]) -> list[str]:
    said = []
    for row in newest(rows):
        title, loss = titles[row["lane"]], arrays.get(f"loss/{row['lane']}")
        if "in_plane" in row:
            said.append(
                f"{title} ended at ({number(row['x'])}, {number(row['y'])}), loss {number(row['loss'])}; "
                f"{100 * row['in_plane']:.0f}% of its distance from the centre lies in the plane."
            )
        elif loss is not None and np.isfinite(loss).any():
            edge = np.concatenate([loss[0], loss[-1], loss[:, 0], loss[:, -1]])
            far = f"; at the edge it is {_range(edge)}" if np.isfinite(edge).any() else ""
            said.append(f"{title}: loss {number(row['loss'])} at its weights{far}.")
    return said


def _range(values: np.ndarray) -> str:
    return f"{number(float(np.nanmin(values)))} to {number(float(np.nanmax(values)))}"


def _profile(titles: Sequence[str], rows: list[dict[str, Any]], arrays: dict[str, np.ndarray]) -> list[str]:
    said = []
    for row in newest(rows):
        loss = arrays.get(f"loss/{row['lane']}")
        if loss is not None and np.isfinite(loss[:, [0, -1]]).any():
            far = float(np.nanmean(loss[:, [0, -1]]))
            said.append(
                f"{titles[row['lane']]}: loss {number(row['loss'])} at its weights, {number(far)} at the ends on average."
            )
    return said


def _curvature(titles: Sequence[str], rows: list[dict[str, Any]], arrays: dict[str, np.ndarray]) -> list[str]:
    return [
        f"{titles[row['lane']]}, epoch {row['epoch']:g}: λ₁ {number(row['eigenvalues'][0])}, λ₁/λ₅ {number(row['ratio'])}, "
        f"trace {number(row['trace'])} ± {number(row['trace_error'])}."
        for row in sorted(rows, key=lambda row: (row["lane"], row["step"]))
    ]


def _spectrum(titles: Sequence[str], rows: list[dict[str, Any]], arrays: dict[str, np.ndarray]) -> list[str]:
    return [
        f"{titles[row['lane']]}: eigenvalues from {number(row['smallest'])} to {number(row['largest'])}."
        for row in newest(rows)
    ]


def _sharpness(titles: Sequence[str], rows: list[dict[str, Any]], arrays: dict[str, np.ndarray]) -> list[str]:
    said = []
    for name, (title, _) in ESTIMATORS.items():
        own = sorted((row for row in newest(rows) if row["estimator"] == name), key=lambda row: _order(row["value"]))
        if own:
            values = ", ".join(f"{titles[row['lane']]} {number(row['value'])}" for row in own)
            said.append(f"{title} (ρ {own[0]['rho']:g}), flattest first: {values}.")
    return said


def _disturbed(
    subject: Subject, titles: Sequence[str], rows: list[dict[str, Any]], arrays: dict[str, np.ndarray]
) -> list[str]:
    """Return the accuracies of all lanes without a disturbance, then under the strongest level of each."""
    last = newest(rows)
    said = [f"{subject.title}, best first: {_best_first(titles, rows_of(last, subject.without))}."] if last else []
    for kind, each in subject.disturbances.items():
        if own := rows_of(last, kind):
            level = max((row["level"] for row in own), key=each.strength)
            said.append(f"{each.at(level)}, best first: {_best_first(titles, rows_of(own, kind, level))}.")
    return said


def _best_first(titles: Sequence[str], rows: list[dict[str, Any]]) -> str:
    ordered = sorted(rows, key=lambda row: -row["accuracy"])
    return ", ".join(f"{titles[row['lane']]} {_percent(row)}" for row in ordered)


def _percent(row: dict[str, Any]) -> str:
    """Return an accuracy, with its range over random draws if there is one.

    >>> _percent({"accuracy": 0.7, "lowest": 0.68, "highest": 0.71})
    '70.0% (68.0 to 71.0)'
    """
    accuracy, low, high = (100 * row.get(name, row["accuracy"]) for name in ("accuracy", "lowest", "highest"))
    return f"{accuracy:.1f}%" + (f" ({low:.1f} to {high:.1f})" if low < high else "")


def _order(value: float | None) -> float:
    return math.inf if value is None else value


def verdict(found: Correlation) -> str:
    """Return what a correlation of sharpness with accuracy shows, if anything.

    >>> verdict(Correlation(-0.9, -1.0, -0.2, 5))
    'Not enough data: 5 lanes, at least 8 are needed.'
    """
    if found.n < ENOUGH:
        return f"Not enough data: {found.n} lane{'s' * (found.n != 1)}, at least {ENOUGH} are needed."
    if math.isnan(found.value):
        return "No correlation: all lanes have the same value."
    if not found.tells:
        return "Inconclusive: the interval contains 0."
    return "Flatter lanes were more accurate." if found.value < 0 else "Flatter lanes were less accurate."


def correlation(found: Correlation) -> str:
    """Return a correlation with its interval.

    >>> correlation(Correlation(-0.5, -0.8, -0.1, 12))
    'ρₛ −0.50 (95%: −0.80 to −0.10), n = 12'
    """
    if math.isnan(found.value):
        return f"n = {found.n}"
    bounds = "" if math.isnan(found.low) else f" (95%: {found.low:.2f} to {found.high:.2f})"
    return f"ρₛ {found.value:.2f}{bounds}, n = {found.n}".replace("-", "−")
