"""Texts of the page Masks: explanations of the pictures, and their alternative texts."""

from collections.abc import Sequence
from typing import Any

from app.masks import overlap
from app.masks.data import Lane, Layers, Often, Pair, sizes
from app.ui import theme
from ssam.experiment import RaceSpec
from ssam.store import Run

Rows = Sequence[dict[str, Any]]

NO_MASKS = "No lane of this race has a mask: SGD perturbs nothing, SAM everything. Choose another race, or add a lane of Sparse SAM."
WAITS = "The first mask is made at the first step."
NO_MASK_MADE = "This race ended before its first mask."
NO_BITS = (
    "This needs the exact masks, which the lab stores for networks of up to 1,000,000 weights. Recorded races and those of older versions have only "
    "pictures and densities, under *Network*."
)
NO_OVERLAPS = f"No IoU with the first mask and between lanes. {NO_BITS}"
DOTTED = "Dotted: by chance. Between lanes also dashed: by chance within the layers."
NO_LANE = "Choose at least one lane."
LATER = "This race is still in progress. The Fisher information can be measured once it has ended or is paused."
NO_WEIGHTS = (
    "A recorded race has no weights, so its Fisher information cannot be measured. Race it yourself to measure it."
)
MARKS = (
    "Markers: the lanes' Fisher information. Marks across the bars: the pattern's density, and the IoU by chance. Grey bar beside a lane's IoU: "
    "that of a random mask."
)
NOT_MEASURED = "Not measured yet. The result is stored and shown at once the next time."

SEEING = {
    "network": (
        "Above, every tensor of the network, stage by stage, one bar per lane. The length of a bar is the logarithm of the number of weights; its "
        "filled part is the perturbed share. The mark is the expectation for a random mask of the same density, ± two standard deviations "
        "(hypergeometric): small tensors vary widely, so only bars outside of it are notable.",
        "Below, one layer's masks. Rows are output units, columns the rest of the tensor, flattened; layers larger than 64 × 64 are shown in patches: "
        "the stronger the colour, the more weights are perturbed. With a region, the mark still refers to the whole network.",
    ),
    "training": (
        "How much a mask changes at each refresh, its IoU (intersection over union) with the previous and the first mask, and how far "
        "the lanes agree. Dotted: the IoU of random masks of the same densities, d₁d₂ / (d₁ + d₂ − d₁d₂).",
        "Between lanes, dashed: the IoU of masks that are random within each layer but have the layer's density. What lies above it is agreement "
        "on individual weights; what lies between the two lines is only a preference for the same layers. The lanes' weights diverge as they train.",
    ),
    "often": (
        "For one layer: the share of refreshes in which each weight was perturbed, no colour = never, full colour = always. The histogram counts the weights; the "
        "dotted line is what independent random masks of the same densities would give.",
        "A spread wider than chance means that a lane keeps selecting the same weights. SSAM-D changes only a limited share of its mask at a time, so "
        "consecutive masks are similar by construction, which explains some of its spread.",
    ),
    "fisher": (
        "The exact empirical Fisher information at each lane's latest weights: the sum of squared per-image gradients. The charts show where it is, "
        "compared with weights and compute, and the share that the best mask of each pattern keeps at the lane's sparsity.",
        "At equal density no pattern keeps more than single weights. Tensors and blocks are taken whole, so they may stay below the requested "
        "density (the mark is the actual one). A lane's own mask was made at its last refresh, from other weights and other images.",
    ),
}

PATTERNS = {
    "weight": "single weights",
    "tensor": "whole tensors",
    "block": "blocks",
    "random": "random",
    "own mask": "own mask",
}
SHORT = {**PATTERNS, "weight": "weights", "tensor": "tensors", "own mask": "own"}  # beneath bars


def percent(share: float) -> str:
    """Return a share as a percentage.

    >>> percent(0.123), percent(0.0004), percent(0.0)
    ('12.3%', 'under 0.1%', '0.0%')
    """
    return "under 0.1%" if 0 < share < 0.0005 else f"{100 * share:.1f}%"


def network(lanes: Sequence[Lane], layers: Layers) -> str:
    """Describe the latest mask of every lane, and the layers where it deviates from chance."""
    said = []
    for lane in lanes:
        newest = lane.refreshes[-1]
        more, less = odd_layers(newest.density, newest.densities, layers)
        said.append(
            f"{lane.title}, mask {len(lane.refreshes)}, epoch {newest.epoch:g}: {percent(newest.density)} of all weights."
            + _named(" More than chance", more, newest.densities)
            + _named(" Fewer than chance", less, newest.densities)
            + (" No layer differs from chance." if not more + less else "")
        )
    return "\n\n".join(said)


def odd_layers(density: float, densities: dict[str, float], layers: Layers) -> tuple[list[str], list[str]]:
    """Return the layers whose density is more than two standard deviations above, and below, that of a random mask, largest first."""
    total = sum(sizes(layers))
    more: list[str] = []
    less: list[str] = []
    for layer, size in sorted(zip(layers, sizes(layers), strict=True), key=lambda pair: -pair[1]):
        twice = 2 * overlap.spread(size, total) * (density * (1 - density)) ** 0.5
        beyond = densities.get(layer["name"], 0.0) - density
        if abs(beyond) > twice + 1e-9:
            (more if beyond > 0 else less).append(layer["name"])
    return more, less


def _named(what: str, names: Sequence[str], densities: dict[str, float]) -> str:
    if not names:
        return ""
    told = ", ".join(f"{name} {percent(densities.get(name, 0.0))}" for name in names[:6])
    return f"{what}: {told}{f' and {len(names) - 6} smaller ones' if len(names) > 6 else ''}."


def training(lanes: Sequence[Lane], pairs: Sequence[Pair], first: dict[str, dict[float, float]]) -> str:
    said = []
    for lane in lanes:
        later = [refresh for refresh in lane.refreshes if refresh.changed is not None]
        if not later:
            said.append(f"{lane.title}: one mask so far.")
            continue
        words = [
            f"{lane.title}: at its first refresh {percent(later[0].changed or 0.0)} of the mask entries flipped, at the last {percent(later[-1].changed or 0.0)}",
            f"IoU with the previous mask {later[-1].overlap or 0.0:.2f}",
        ]
        if first[lane.name]:
            words.append(f"with the first mask {list(first[lane.name].values())[-1]:.2f}")
        by_chance = overlap.chance(lane.refreshes[0].density, later[-1].density)
        said.append(f"{', '.join(words)}; by chance {by_chance:.2f}.")
    for pair in pairs:
        said.append(
            f"{pair.first.title} and {pair.second.title}, epoch {pair.epochs[-1]:g}: IoU {pair.iou[-1]:.3f}; by chance {pair.chance[-1]:.3f}, "
            f"by chance within the layers {pair.by_layer[-1]:.3f}."
        )
    return "\n\n".join(said)


def often(found: Sequence[Often]) -> str:
    return "\n\n".join(
        f"{one.lane.title}, {one.masks} mask{'s' * (one.masks != 1)}: never perturbed {percent(one.shares[0])} of the weights, by chance "
        f"{percent(one.expected[0])}; always {percent(one.shares[-1])}, by chance {percent(one.expected[-1])}."
        for one in found
    )


def fisher(run: Run, stages: Rows, patterns: Rows, overlaps: Rows) -> str:
    titles, said = theme.lane_titles(run.spec), []
    for lane in sorted({row["lane"] for row in stages}):
        top = sorted((row for row in stages if row["lane"] == lane), key=lambda row: -row["fisher"])[:3]
        sits = ", ".join(
            f"{row['stage']} {percent(row['fisher'])} (of the weights {percent(row['weights'])}, of the compute {percent(row['compute'])})"
            for row in top
        )
        keeps = ", ".join(
            f"{PATTERNS.get(row['pattern'], row['pattern'])} {percent(row['kept'])} with {percent(row['density'])} of the weights"
            for row in patterns
            if row["lane"] == lane
        )
        said.append(f"{titles[lane]}: most Fisher information in {sits}. Kept by {keeps}.")
    said += [f"{overlap_title(run.spec, row)}: {row['iou']:.3f}; by chance {row['chance']:.3f}." for row in overlaps]
    return "\n\n".join(said)


def overlap_title(spec: RaceSpec, row: dict[str, Any]) -> str:
    """Return the title of a row of IoUs."""
    titles = theme.lane_titles(spec)
    others = {"fisher": "the exact Fisher mask", "random": "a random mask"}
    other = others[row["b"]] if isinstance(row["b"], str) else titles[row["b"]]
    return f"IoU of {titles[row['a']]} with {other}"
