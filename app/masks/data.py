"""The masks of a race for the page: of every lane with masks, at every refresh, as pictures and exact."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

import numpy as np

from app.masks import overlap as masks_overlap
from app.ui import recorded, theme
from app.ui.theme import Style
from ssam.store import Heatmap, Run, Window
from ssam.store.race_file import Recording

Layers = Sequence[dict[str, Any]]  # name, stage and shape of each layer

MOST = 120  # refreshes that are played, counted and compared; if there are more, every 2nd, 4th …


class Source(Protocol):
    """Where masks are read: ``Store.curves``, or a recorded race. What is read is kept by it."""

    def __hash__(self) -> int: ...
    def heatmap(self, run_id: str, lane: str, layer: str, step: int, /) -> Heatmap | None: ...
    def mask_bits(self, run_id: str, lane: str, step: int, /) -> dict[str, np.ndarray] | None: ...
    def mask_densities(self, run_id: str, lane: str, /) -> list[tuple[int, float, dict[str, float]]]: ...


@dataclass(frozen=True, eq=False)
class Recorded:
    """The masks of a recorded race: pictures and densities, no exact masks."""

    recording: Recording

    def heatmap(self, _run_id: str, lane: str, layer: str, step: int, /) -> Heatmap | None:
        return self.recording.pictures.get((lane, layer, step))

    def mask_bits(self, _run_id: str, _lane: str, _step: int, /) -> None:
        return None

    def mask_densities(self, _run_id: str, lane: str, /) -> list[tuple[int, float, dict[str, float]]]:
        (window,) = (each for each in self.recording.window.lanes if each.name == lane)
        layers = [layer["name"] for layer in self.recording.window.layers]
        found = []
        for mask in window.masks:
            pictures = ((name, self.heatmap("", lane, name, mask["step"])) for name in layers)
            densities = {name: picture.density for name, picture in pictures if picture}
            found.append((mask["step"], mask["epoch"], densities))
        return found


@lru_cache(maxsize=16)
def of_recording(name: str) -> Recorded:
    """Return the masks of a recorded race, always as one object: what is read from it is kept by it."""
    return Recorded(recorded.read(name))


@dataclass(frozen=True)
class Refresh:
    """One mask. ``density``, ``changed`` and ``overlap`` are of the whole network, the last two relative to the previous mask (None
    for the first); ``densities`` are the perturbed shares of the layers."""

    step: int
    epoch: float
    density: float
    changed: float | None
    overlap: float | None
    densities: dict[str, float]


@dataclass(frozen=True)
class Lane:
    """A lane with its masks so far; ``place`` is its position in the race."""

    place: int
    name: str
    title: str
    style: Style
    refreshes: tuple[Refresh, ...]

    @property
    def some(self) -> list[Refresh]:
        """Return at most about MOST of its refreshes."""
        return thinned(self.refreshes)


def lanes(source: Source, run: Run, window: Window, names: Sequence[str]) -> list[Lane]:
    """Return those of ``names`` that have a mask by now, in the order of the race."""
    found = []
    about = zip(window.lanes, theme.lane_titles(run.spec), theme.lane_styles(run.spec), strict=True)
    for place, (lane, title, style) in enumerate(about):
        if lane.name in names and lane.masks:
            newest = lane.masks[-1]["step"]
            known = {mask["step"]: mask for mask in lane.masks}
            refreshes = tuple(
                Refresh(step, epoch, known[step]["density"], known[step]["changed"], known[step]["overlap"], densities)
                for step, epoch, densities in _densities(source, run.id, lane.name, newest)
                if step in known
            )
            found.append(Lane(place, lane.name, title, style, refreshes))
    return found


@lru_cache(maxsize=64)
def _densities(source: Source, run_id: str, lane: str, newest: int) -> list[tuple[int, float, dict[str, float]]]:
    """Read the masks, once for each ``newest``: a mask does not change."""
    return source.mask_densities(run_id, lane)


def thinned(refreshes: Sequence[Refresh]) -> list[Refresh]:
    """Return all of them, or every 2nd, 4th … to stay near MOST; always the latest."""
    every = 1
    while len(refreshes) > MOST * every:
        every *= 2
    last = len(refreshes) - 1
    return [one for at, one in enumerate(refreshes) if at % every == 0 or at == last]


def moments(shown: Iterable[Lane]) -> list[float]:
    """Return the epochs at which any of these lanes has a mask, ascending."""
    return sorted({refresh.epoch for lane in shown for refresh in lane.some})


def at(lane: Lane, epoch: float | None) -> int | None:
    """Return the index in ``lane.some`` of the mask in use at an epoch (None: the latest); None before the first one."""
    some = lane.some
    past = [place for place, refresh in enumerate(some) if epoch is None or refresh.epoch <= epoch]
    return past[-1] if past else None


@lru_cache(maxsize=4096)
def picture(source: Source, run_id: str, lane: str, layer: str, step: int) -> Heatmap | None:
    return source.heatmap(run_id, lane, layer, step)


@lru_cache(maxsize=512)
def _packed(source: Source, run_id: str, lane: str, layers: tuple[str, ...], step: int) -> np.ndarray | None:
    """Return a whole mask, layer after layer, eight weights per byte; None if its bits are not stored."""
    bits = source.mask_bits(run_id, lane, step)
    return None if bits is None else np.packbits(np.concatenate([bits[layer].reshape(-1) for layer in layers]))


def has_bits(source: Source, run_id: str, lane: Lane, layers: Layers) -> bool:
    """Return whether the latest mask is stored exactly."""
    names = tuple(layer["name"] for layer in layers)
    return _packed(source, run_id, lane.name, names, lane.refreshes[-1].step) is not None


def packed(source: Source, run_id: str, lane: Lane, layers: Layers) -> dict[float, np.ndarray]:
    """Return the masks that are stored exactly, by epoch."""
    names = tuple(layer["name"] for layer in layers)
    found = ((refresh, _packed(source, run_id, lane.name, names, refresh.step)) for refresh in lane.some)
    return {refresh.epoch: mask for refresh, mask in found if mask is not None}


def sizes(layers: Layers) -> list[int]:
    """Return the number of weights of each layer."""
    return [math.prod(layer["shape"]) for layer in layers]


def often(source: Source, run_id: str, lane: Lane, layers: Layers, layer: str) -> "Often | None":
    """Return how often each weight of a layer was perturbed; None if no mask is stored exactly."""
    masks = packed(source, run_id, lane, layers)
    if not masks:
        return None
    names, each = [known["name"] for known in layers], sizes(layers)
    place = names.index(layer)
    shape = tuple(layers[place]["shape"])
    found = masks_overlap.counts(list(masks.values()), sum(each[:place]), each[place]).reshape(shape)
    used = [refresh.densities.get(layer, 0.0) for refresh in lane.some if refresh.epoch in masks]
    return Often(lane, found, masks_overlap.by_chance(used))


@dataclass(frozen=True, eq=False)
class Often:
    """``counts``: in how many masks each weight of a layer was perturbed, in the layer's shape. ``expected``: the share of weights
    perturbed 0, 1 … T times by independent random masks of the same densities in this layer, (T + 1,)."""

    lane: Lane
    counts: np.ndarray
    expected: np.ndarray

    @property
    def masks(self) -> int:
        return len(self.expected) - 1

    @property
    def shares(self) -> np.ndarray:
        """Return the share of weights that were perturbed 0, 1 … T times: (T + 1,)."""
        return np.bincount(self.counts.reshape(-1), minlength=self.masks + 1) / self.counts.size


@dataclass(frozen=True)
class Pair:
    """Two lanes at their common refreshes: the IoU of their masks, that of two random masks of the same densities, and that of masks
    that are random within each layer."""

    first: Lane
    second: Lane
    epochs: list[float]
    iou: list[float]
    chance: list[float]
    by_layer: list[float]


def pairs(source: Source, run_id: str, shown: Sequence[Lane], layers: Layers) -> list[Pair]:
    """Return every pair of lanes whose masks are stored exactly."""
    bits = {lane.name: packed(source, run_id, lane, layers) for lane in shown}
    return [
        _pair(first, second, bits[first.name], bits[second.name], layers)
        for number, first in enumerate(shown)
        for second in shown[number + 1 :]
        if bits[first.name].keys() & bits[second.name].keys()
    ]


def _pair(
    first: Lane,
    second: Lane,
    a: dict[float, np.ndarray],
    b: dict[float, np.ndarray],
    layers: Layers,
) -> Pair:
    epochs, each = sorted(a.keys() & b.keys()), sizes(layers)
    by_epoch = [{refresh.epoch: refresh for refresh in lane.some} for lane in (first, second)]
    densities = [[known[epoch].density for known in by_epoch] for epoch in epochs]
    of_layers = [
        [[known[epoch].densities.get(layer["name"], 0.0) for layer in layers] for known in by_epoch] for epoch in epochs
    ]
    return Pair(
        first,
        second,
        epochs,
        [masks_overlap.iou(a[epoch], b[epoch]) for epoch in epochs],
        [masks_overlap.chance(a, b) for a, b in densities],
        [masks_overlap.chance_by_layer(a, b, each) for a, b in of_layers],
    )


def since_first(source: Source, run_id: str, lane: Lane, layers: Layers) -> dict[float, float]:
    """Return the IoU of each mask with the lane's first one, by epoch; empty if they are not stored exactly."""
    masks = packed(source, run_id, lane, layers)
    first = next(iter(masks.values()), None)
    return {} if first is None else {epoch: masks_overlap.iou(first, mask) for epoch, mask in masks.items()}
