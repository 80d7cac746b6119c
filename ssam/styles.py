"""One colour, dash and marker per method, and one title per lane: the same on every page and in everything that is taken away.

The hues are those of Okabe and Ito (told apart with any colour vision), with a luminance that keeps a contrast of at
least 3:1 on both of the page's backgrounds; tests/test_app.py measures both.
"""

import math
from collections import Counter
from collections.abc import Iterable

from ssam.experiment.lane import LaneSpec
from ssam.experiment.race import RaceSpec
from ssam.markers import DASHES, Style
from ssam.methods import METHODS
from ssam.methods.bases import BASES

METHOD_STYLES = {name: method.style for name, method in METHODS.items()}

PHASE_COLORS = {
    "forward1": "#8fb4d8",
    "backward1": "#4f7fb5",
    "perturb": "#efc04a",
    "forward2": "#a98fd0",
    "backward2": "#8262b5",
    "update": "#8b93a1",
}

PHASE_TITLES = {  # of a training step
    "forward1": "forward 1",
    "backward1": "backward 1",
    "perturb": "perturb",
    "forward2": "forward 2",
    "backward2": "backward 2",
    "update": "update",
}

TITLED = {  # what a lane's title says of its settings, in this order
    "region": "{}",
    "granularity": "{}",
    "score": "{}",
    "norm": "{}",
    "direction": "{}",
    "ascent_batch": "{} images",
    "ascent_interval": "every {} steps",
}
SHORT = {
    "norm": "norm layers",
    "tensor": "tensors",
    "block": "blocks",
    "fisher": "Fisher",
    "fisher-per-cost": "Fisher per cost",
    "full": "full norm",
    "last": "last gradient",
}
LUMINANCES = (0.29, 0.2, 0.125)  # of the shades of one method: between these the contrast holds on both backgrounds


def lane_styles(spec: RaceSpec) -> list[Style]:
    """A style per lane. Lanes that share a method share its hue; shade, dash and marker tell them apart."""
    return styles([lane.method for lane in spec.lanes])


def styles(methods: Iterable[str]) -> list[Style]:
    """A style for each of these methods, some of which may come several times."""
    seen: Counter[str] = Counter()
    found = []
    for method in methods:
        style = METHOD_STYLES[method]
        if nth := seen[method]:
            dashes = [dash for dash in DASHES if dash != style.dash]
            shades = _shades(style.color)
            style = Style(shades[nth % len(shades)], dashes[(nth - 1) % len(dashes)], f"{style.symbol}-open")
        seen[method] += 1
        found.append(style)
    return found


def _shades(color: str) -> list[str]:
    """The colour and its lighter and darker shades, the most different one first."""
    own = luminance(color)
    others = sorted(LUMINANCES, key=lambda other: abs(math.log((other + 0.05) / (own + 0.05))), reverse=True)
    return [color, *(_shade(color, other) for other in others)]


def _shade(color: str, wanted: float) -> str:
    """The colour mixed with black or white, in light and not in its encoding, until its luminance is ``wanted``."""
    own = luminance(color)
    white = max(0.0, (wanted - own) / (1 - own))
    parts = [part * min(1.0, wanted / own) * (1 - white) + white for part in _linear(color)]
    encoded = (12.92 * part if part <= 0.0031308 else 1.055 * part ** (1 / 2.4) - 0.055 for part in parts)
    return "#" + "".join(f"{round(255 * part):02x}" for part in encoded)


def luminance(color: str) -> float:
    """WCAG's relative luminance of ``#rrggbb``, 0 to 1.

    >>> luminance("#ffffff")
    1.0
    """
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), _linear(color), strict=True))


def _linear(color: str) -> list[float]:
    encoded = (int(color[at : at + 2], 16) / 255 for at in (1, 3, 5))
    return [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in encoded]


def lane_title(lane: LaneSpec, base: str = "sgd") -> str:
    """The method and the lane's own settings, short enough for a legend; no two lanes of a race share one. ``base`` is the race's.

    >>> lane_title(LaneSpec.parse("ssam-f:rho=0.25:sparsity=0.8:norm=masked:region=late"))
    'SSAM-F 80% ρ 0.25 late masked'
    >>> lane_title(LaneSpec.parse("sgd:epochs=6:weight_decay=0.02"))
    'SGD, 6 epochs, weight decay 0.02'
    """
    title = _plain_title(lane, base)
    if lane.sparsity is not None:
        title += f" {lane.sparsity * 100:g}%"
    if lane.rho is not None:
        title += f" ρ {lane.rho:g}"
    own = {name: str(value) for name, value in lane.own_settings.items()}
    words = [title, *(form.format(SHORT.get(own[name], own[name])) for name, form in TITLED.items() if name in own)]
    return ", ".join([" ".join(words), *training_words(lane)])


def lane_titles(spec: RaceSpec) -> list[str]:
    """A title per lane: the method's, with what sets the lane apart where a method races twice, and what it trains by other than the
    race."""
    counts = Counter(lane.method for lane in spec.lanes)
    return [
        lane_title(lane, spec.base)
        if counts[lane.method] > 1
        else ", ".join([_plain_title(lane, spec.base), *training_words(lane)])
        for lane in spec.lanes
    ]


def _plain_title(lane: LaneSpec, base: str) -> str:
    """The method's; the base optimizer's for one that perturbs nothing.

    >>> [_plain_title(LaneSpec.parse(text), "sgd") for text in ("sgd", "sgd:base=adamw", "sam:base=adamw")]
    ['SGD', 'AdamW', 'SAM']
    """
    return METHODS[lane.method].title if METHODS[lane.method].perturbs else BASES[lane.base or base].title


def training_words(lane: LaneSpec) -> list[str]:
    """What the lane trains by other than its race, but for what its title says.

    >>> training_words(LaneSpec.parse("sam:epochs=1:lr=0.05:base=adamw"))
    ['AdamW', '1 epoch', 'lr 0.05']
    """
    words = {
        "base": BASES[lane.base].title if lane.base and METHODS[lane.method].perturbs else "",
        "epochs": f"{lane.epochs} epoch{'s' * (lane.epochs != 1)}",
        "lr": f"lr {lane.lr:g}" if lane.lr else "",
        "weight_decay": f"weight decay {lane.weight_decay:g}" if lane.weight_decay is not None else "",
        "label_smoothing": f"label smoothing {lane.label_smoothing:g}",
        "ema": f"EMA {lane.ema}",
        "patience": f"early stop after {lane.patience}",
    }
    return [said for name, said in words.items() if name in lane.own_settings and said]
