"""Lines and planes: what filter normalisation is for, and that a plane through lanes goes through them."""

import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from ssam.analysis import (
    Layout,
    Objective,
    Plane,
    coarse_to_fine,
    common_plane,
    filter_normalised,
    line,
    project,
    surface,
)
from ssam.models import build_model

TICKS = [-0.5, 0.0, 0.5]


def net(scale: float = 1.0, seed: int = 0) -> nn.Module:
    """A convolution before a BatchNorm: its scale makes no difference to the function."""
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(64, 3)).double()
    model(torch.randn(32, 1, 6, 6, dtype=torch.float64))
    with torch.no_grad():
        model[0].weight *= scale
        model[0].bias *= scale
        model[1].running_mean *= scale
        model[1].running_var *= scale**2
    model[1].eps = 1e-30
    return model


def images(count: int = 20) -> list[tuple[torch.Tensor, torch.Tensor]]:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(count, 1, 6, 6, generator=generator, dtype=torch.float64)
    return [(x, torch.randint(3, (count,), generator=generator))]


def random_direction(layout: Layout, weights: dict[str, torch.Tensor], seed: int) -> torch.Tensor:
    """The same draw, not normalised by filters, as long as all weights together."""
    generator = torch.Generator().manual_seed(seed)
    draw = torch.randn(layout.size, generator=generator, dtype=torch.float64)
    length = layout.point(weights)[: layout.size].double().norm().cpu()
    point = layout.point(weights)
    return torch.cat([(draw * length / draw.norm()).to(point), point.new_zeros(len(point) - layout.size)])


def picture(model: nn.Module, direction, mode: str = "evaluation") -> np.ndarray:
    objective, layout = Objective(model, images(), mode, torch.float64), Layout.of(model)
    weights = model.state_dict()
    axes = (direction(layout, weights, seed) for seed in (1, 2))
    drawn = np.full((3, 3), np.nan)
    for row, column, loss, _ in surface(objective, layout, Plane(layout.point(weights), *axes), TICKS, TICKS):
        drawn[row, column] = loss
    return drawn


@pytest.mark.parametrize("mode", ["evaluation", "batch"])
@pytest.mark.parametrize("scale", [0.1, 10.0])
def test_a_scaled_network_has_the_same_picture_only_if_filters_are_normalised(scale, mode):
    one, other = (picture(net(s), filter_normalised, mode) for s in (1.0, scale))
    np.testing.assert_allclose(other, one, rtol=1e-9)
    one, other = (picture(net(s), random_direction, mode) for s in (1.0, scale))
    assert np.abs(other / one - 1).max() > 0.02  # this is what the normalisation is for


def test_each_filter_is_as_long_as_the_weights_own_and_vectors_stand_still():
    model = build_model("resnet20", channels=3, classes=10, size=32, seed=0)
    layout, weights = Layout.of(model), model.state_dict()
    named = layout.named(filter_normalised(layout, weights, seed=3))
    for name in layout.weights:
        if weights[name].dim() > 1:
            torch.testing.assert_close(named[name].flatten(1).norm(dim=1), weights[name].flatten(1).norm(dim=1))
        else:
            assert not named[name].any()
    assert all(not named[name].any() for name in layout.statistics)
    again = filter_normalised(layout, weights, seed=3)
    assert torch.equal(again, filter_normalised(layout, weights, seed=3))
    assert not torch.equal(again, filter_normalised(layout, weights, seed=4))


def test_a_filter_of_zeros_gives_no_nan():
    model = nn.Linear(3, 2)
    nn.init.zeros_(model.weight)
    layout = Layout.of(model)
    assert not filter_normalised(layout, model.state_dict(), 0).any()


def test_a_line_is_the_loss_with_the_weights_moved_by_hand():
    model = net()
    objective, layout, weights = Objective(model, images(), dtype=torch.float64), Layout.of(model), model.state_dict()
    direction = filter_normalised(layout, weights, 5)
    found = list(line(objective, layout, layout.point(weights), direction, TICKS))
    twin, moves = net().eval(), layout.named(direction)
    for step, (loss, accuracy) in zip(TICKS, found, strict=True):
        twin.load_state_dict(
            {name: t + step * moves[name] if name in layout.weights else t for name, t in weights.items()}
        )
        (x, y) = images()[0]
        outputs = twin(x).detach()
        assert loss == pytest.approx(float(nn.functional.cross_entropy(outputs, y)), rel=1e-9)
        assert accuracy == float((outputs.argmax(1) == y).double().mean())
    assert found[1][0] == pytest.approx(Objective(model, images(), dtype=torch.float64).loss(), rel=1e-12)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 45))
def test_coarse_to_fine_visits_each_point_once_and_the_coarse_ones_first(size):
    order = coarse_to_fine(size)
    assert sorted(order) == [(row, column) for row in range(size) for column in range(size)]
    stride = order[1][1] - order[0][1] if size > 1 else 1
    whole = -(-size // stride)
    assert 5 <= whole <= 8 or size < 5 or stride == 1  # few points make a first picture,
    assert set(order[: whole**2]) == {
        (row, column) for row in range(0, size, stride) for column in range(0, size, stride)
    }


@pytest.mark.parametrize("count", [2, 3, 4])
def test_the_common_plane_goes_through_its_lanes(count):
    lanes = [net(seed=seed) for seed in range(count)]
    layout = Layout.of(lanes[0])
    shared = common_plane(layout, [lane.state_dict() for lane in lanes], seed=0)
    x, y = shared.plane.x[: layout.size], shared.plane.y[: layout.size]
    assert [float(x @ x), float(y @ y), float(x @ y)] == pytest.approx([1.0, 1.0, 0.0], abs=1e-9)
    exact = count <= 3
    assert (shared.in_plane == pytest.approx(np.ones(count))) is exact
    objective = Objective(lanes[0], images(), dtype=torch.float64)
    for lane, (a, b) in zip(lanes, shared.coordinates, strict=True):
        objective.go_to(layout.named(shared.plane.origin + a * shared.plane.x + b * shared.plane.y))
        own = Objective(lane, images(), dtype=torch.float64).loss()
        assert (objective.loss() == pytest.approx(own, rel=1e-6)) is exact  # its BatchNorm statistics too


def test_lanes_on_a_line_are_in_the_plane_too():
    """Two lanes with the same weights and a third: no plane is theirs, so the second direction is a random one."""
    lanes = [net(seed=seed) for seed in (0, 0, 1)]
    layout = Layout.of(lanes[0])
    shared = common_plane(layout, [lane.state_dict() for lane in lanes], seed=0)
    x, y = shared.plane.x[: layout.size], shared.plane.y[: layout.size]
    assert [float(x @ x), float(y @ y), float(x @ y)] == pytest.approx([1.0, 1.0, 0.0], abs=1e-9)
    assert shared.in_plane == pytest.approx(np.ones(3))
    assert shared.coordinates[:, 1] == pytest.approx(np.zeros(3), abs=1e-9)
    assert re.search("3 lanes.*random", shared.kind)


def test_projection_keeps_distances_in_the_plane_and_says_what_it_loses():
    lanes = [net(seed=seed) for seed in range(3)]
    layout = Layout.of(lanes[0])
    points = [layout.point(lane.state_dict()) for lane in lanes]
    shared = common_plane(layout, [lane.state_dict() for lane in lanes], seed=0)
    apart = float((points[0] - points[1])[: layout.size].norm())
    assert np.linalg.norm(shared.coordinates[0] - shared.coordinates[1]) == pytest.approx(apart, rel=1e-9)
    off = shared.plane.origin + 3 * shared.plane.x
    aside = torch.zeros_like(off)
    aside[:5] = 1.0
    aside -= (aside @ shared.plane.x) * shared.plane.x + (aside @ shared.plane.y) * shared.plane.y
    (place,), (share,) = project(layout, shared.plane, [off + 4 * aside / aside[: layout.size].norm()])
    assert place == pytest.approx([3.0, 0.0], abs=1e-9)
    assert share == pytest.approx(9 / 25)


def test_planes_that_cannot_be_are_refused():
    weights = net().state_dict()
    with pytest.raises(ValueError, match="two lanes"):
        common_plane(Layout.of(net()), [weights], 0)
    with pytest.raises(ValueError, match="same weights"):
        common_plane(Layout.of(net()), [weights, weights], 0)
    plane = Plane(*(Layout.of(net()).point(weights) for _ in range(3)))
    with pytest.raises(ValueError, match=r"rows.*columns.*2 and 3"):
        next(surface(Objective(net(), images(), dtype=torch.float64), Layout.of(net()), plane, TICKS, TICKS[:2]))


def test_a_variance_never_becomes_negative():
    model = net()
    layout = Layout.of(model)
    point = layout.point(model.state_dict())
    assert (layout.named(point - 1000)["1.running_var"] == 0).all()
