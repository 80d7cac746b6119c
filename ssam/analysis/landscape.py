"""The loss on lines and planes through weights.

A point is a flat vector (N,) of all weights followed by BatchNorm's running statistics, so that the statistics move with the weights:
on a random line they do not change; on a plane through several lanes they are mixed in the same way as the weights.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from ssam.analysis.objective import Objective

Weights = Mapping[str, Tensor]


@dataclass(frozen=True)
class Layout:
    """The entries of a ``state_dict`` that make up a point, in order: trained weights first, then floating-point statistics."""

    weights: tuple[str, ...]
    statistics: tuple[str, ...]
    shapes: dict[str, torch.Size]

    @classmethod
    def of(cls, model: nn.Module) -> "Layout":
        trained = tuple(name for name, p in model.named_parameters() if p.requires_grad)
        buffers = tuple(name for name, buffer in model.named_buffers() if buffer.is_floating_point())
        state = model.state_dict()
        return cls(trained, buffers, {name: state[name].shape for name in (*trained, *buffers)})

    @property
    def size(self) -> int:
        """Return the number of weights of a point; the entries after them are statistics."""
        return sum(self.shapes[name].numel() for name in self.weights)

    def point(self, weights: Weights) -> Tensor:
        """Return the weights as a point (N,) in their own dtype."""
        return torch.cat([weights[name].detach().reshape(-1) for name in (*self.weights, *self.statistics)])

    def named(self, point: Tensor) -> dict[str, Tensor]:
        """Return the point as named tensors; variances that mixing made negative become 0."""
        names = (*self.weights, *self.statistics)
        parts = point.split([self.shapes[name].numel() for name in names])
        named = {name: part.view(self.shapes[name]) for name, part in zip(names, parts, strict=True)}
        return {name: part.clamp_min(0) if name.endswith("running_var") else part for name, part in named.items()}


def filter_normalised(layout: Layout, weights: Weights, seed: int) -> Tensor:
    """Draw a random direction (N,) in which each filter has the norm of the same filter of the weights (Li et al. 2018,
    arXiv 1712.09913).

    A filter computes one output: a slice along dimension 0 of a tensor with two or more dimensions. One-dimensional tensors (biases,
    BatchNorm) and statistics do not move, as the authors recommend. A network whose filters are rescaled without changing its
    function therefore has the same picture.
    """
    generator = torch.Generator().manual_seed(seed)
    parts = []
    for name in layout.weights:
        weight = weights[name].detach()
        draw = torch.randn(weight.shape, generator=generator, dtype=torch.float64)
        if weight.dim() < 2:
            parts.append(torch.zeros_like(weight).reshape(-1))
            continue
        rows, lengths = draw.flatten(1), weight.double().flatten(1).norm(dim=1)
        parts.append((rows * (lengths.cpu() / rows.norm(dim=1))[:, None]).to(weight).reshape(-1))
    still = sum(layout.shapes[name].numel() for name in layout.statistics)
    return torch.cat([*parts, parts[0].new_zeros(still)])


class Plane(NamedTuple):
    """The plane ``origin`` + a·``x`` + b·``y``, all (N,)."""

    origin: Tensor
    x: Tensor
    y: Tensor


class Shared(NamedTuple):
    """A plane through several lanes. ``coordinates`` is (lanes, 2); ``in_plane`` is the share of each lane's squared distance from the
    origin that lies in the plane, 0–1; ``kind`` describes in words how the plane was chosen."""

    plane: Plane
    coordinates: np.ndarray
    in_plane: np.ndarray
    kind: str


def common_plane(layout: Layout, lanes: Sequence[Weights], seed: int) -> Shared:
    """Return one plane for several lanes: through their mean, along the first two principal components of their weights, of unit length.

    Three lanes lie in it exactly; for more, it is the closest plane. If the lanes lie on a line, as two always do, the second
    direction is a filter-normalised random one, orthogonal to the first. BatchNorm's statistics are mixed like the weights, so at a
    lane in the plane they are the lane's own. Raise ValueError if there are fewer than two lanes or all have the same weights.
    """
    if len(lanes) < 2:
        raise ValueError("a common plane needs at least two lanes")
    points = torch.stack([layout.point(weights).double() for weights in lanes])  # (L, N)
    origin = points.mean(0)
    offsets = points - origin
    moved = offsets[:, : layout.size]
    values, vectors = torch.linalg.eigh(moved @ moved.T)  # ascending; (L, L)
    if float(values[-1]) <= 0:
        raise ValueError("the lanes have the same weights: there is no plane between them")
    on_a_line = float(values[-2]) <= 1e-9 * float(values[-1])  # exact up to the rounding of float32 weights
    axes = [(vectors[:, -1 - k] @ offsets) / values[-1 - k].sqrt() for k in range(1 if on_a_line else 2)]
    if on_a_line:
        other = filter_normalised(layout, lanes[0], seed).double()
        other = other - (other @ axes[0]) * axes[0]
        axes.append(other / other[: layout.size].norm())
        kind = f"{'two' if len(lanes) == 2 else len(lanes)} lanes on a line and a random direction"
    elif len(lanes) == 3:
        kind = "through three lanes"
    else:
        kind = f"principal components of {len(lanes)} lanes"
    plane = Plane(origin, *axes)
    coordinates, in_plane = project(layout, plane, list(points))
    return Shared(plane, coordinates, in_plane, kind)


def project(layout: Layout, plane: Plane, points: Sequence[Tensor]) -> tuple[np.ndarray, np.ndarray]:
    """Project points (N,) onto a plane with orthonormal axes. Return coordinates (P, 2) and, for each point, the share of its squared
    distance from the origin that lies in the plane (1 for the origin itself)."""
    size, rows, shares = layout.size, [], []
    for point in points:
        offset = (point.double() - plane.origin.double())[:size]
        found = torch.stack([offset @ plane.x.double()[:size], offset @ plane.y.double()[:size]])
        whole = float(offset @ offset)
        rows.append(found.cpu().numpy())
        shares.append(float(found @ found) / whole if whole > 0 else 1.0)
    return np.array(rows).reshape(-1, 2), np.array(shares)


def coarse_to_fine(size: int) -> list[tuple[int, int]]:
    """Return all (row, column) of a square grid in an order that gives a coarse picture first and then fills the gaps."""
    stride = 1
    while stride * 8 < size:
        stride *= 2
    order: list[tuple[int, int]] = []
    seen: set[tuple[int, int]] = set()
    while stride:
        level = [(row, column) for row in range(0, size, stride) for column in range(0, size, stride)]
        order += [place for place in level if place not in seen]
        seen.update(level)
        stride //= 2
    return order


def surface(
    objective: Objective, layout: Layout, plane: Plane, xs: Sequence[float], ys: Sequence[float]
) -> Iterator[tuple[int, int, float, float]]:
    """Yield loss and accuracy on a grid of the plane, coarse to fine: (row of ``ys``, column of ``xs``, loss, accuracy). Each point takes
    one forward pass of the images. The objective stays at the last point. Raise ValueError if ``xs`` and ``ys`` differ in length."""
    if len(xs) != len(ys):
        raise ValueError(f"a surface has as many rows as columns, not {len(ys)} and {len(xs)}")
    for row, column in coarse_to_fine(len(xs)):
        point = plane.origin + xs[column] * plane.x + ys[row] * plane.y
        objective.go_to(layout.named(point))
        yield row, column, *objective.loss_and_accuracy()


def line(
    objective: Objective, layout: Layout, origin: Tensor, direction: Tensor, steps: Sequence[float]
) -> Iterator[tuple[float, float]]:
    """Yield loss and accuracy at origin + t·direction for each t of ``steps``. Each point takes one forward pass of the images."""
    for step in steps:
        objective.go_to(layout.named(origin + step * direction))
        yield objective.loss_and_accuracy()
