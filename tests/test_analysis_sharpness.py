"""Sharpness estimators against closed forms on quadratics, and what must not change under rescaling."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from ssam.analysis import Objective, adaptive_sharpness, ascent_gap, m_sharpness, random_directions, worst_case
from ssam.models import build_model

RHO = 0.1


class Quadratic(nn.Module):
    """L(w) = ½ Σ hᵢ wᵢ², whatever the images."""

    def __init__(self, weights: list[float], curvatures: list[float]) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.tensor(weights, dtype=torch.float64))
        self.register_buffer("h", torch.tensor(curvatures, dtype=torch.float64))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (0.5 * (self.h * self.w**2).sum()).expand(len(x), 1)


def quadratic(weights: list[float], curvatures: list[float], images: int = 4) -> Objective:
    x, y = torch.zeros(images, 1, dtype=torch.float64), torch.zeros(images, dtype=torch.int64)
    return Objective(Quadratic(weights, curvatures), [(x, y)], dtype=torch.float64, loss=lambda out, y: out.mean())


def net(scale: float = 1.0) -> nn.Module:
    """Two layers with a ReLU between them; ``scale`` moves length from one to the other and leaves the function as it is."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 8, bias=False), nn.ReLU(), nn.Linear(8, 3, bias=False)).double()
    with torch.no_grad():
        model[0].weight *= scale
        model[2].weight /= scale
    return model


def images(count: int = 32) -> list[tuple[torch.Tensor, torch.Tensor]]:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(count, 5, generator=generator, dtype=torch.float64)
    return [(x, torch.randint(3, (count,), generator=generator))]


WEIGHTS = st.lists(st.floats(0.1, 3.0), min_size=2, max_size=4)


@settings(max_examples=30, deadline=None)
@given(WEIGHTS, st.floats(0.01, 1.0))
def test_the_gap_of_a_quadratic_is_rho_g_plus_half_rho_squared(weights, rho):
    curvatures = [float(number) for number in range(1, len(weights) + 1)]
    g = [h * w for h, w in zip(curvatures, weights, strict=True)]
    norm = math.sqrt(sum(value**2 for value in g))
    second = sum(h * (value / norm) ** 2 for h, value in zip(curvatures, g, strict=True))
    assert ascent_gap(quadratic(weights, curvatures), rho) == pytest.approx(
        rho * norm + 0.5 * rho**2 * second, rel=1e-9
    )


def test_under_a_mask_only_perturbed_weights_count():
    objective = quadratic([1.0, 2.0], [3.0, 1.0])
    mask = [torch.tensor([True, False])]
    g, norm = 3.0, math.sqrt(13)
    full = RHO * g / norm
    assert ascent_gap(objective, RHO, mask) == pytest.approx(g * full + 0.5 * 3 * full**2)
    assert ascent_gap(objective, RHO, mask, "masked") == pytest.approx(g * RHO + 0.5 * 3 * RHO**2)
    assert ascent_gap(objective, RHO, [torch.tensor([False, False])]) == 0.0


def test_the_worst_case_finds_the_sharp_direction():
    """Near the minimum the gradient points the wrong way; the worst of the ball lies along the largest curvature."""
    objective = quadratic([1e-3, 0.5], [100.0, 1.0])
    truth = 0.5 * 100 * (RHO + 1e-3) ** 2 - 0.5 * 100 * 1e-6  # along the first axis
    found = worst_case(objective, RHO, steps=30)
    assert ascent_gap(objective, RHO) <= found <= truth + 0.5 * RHO
    assert found > 0.9 * truth
    assert worst_case(objective, RHO, steps=1) == pytest.approx(ascent_gap(objective, RHO))


def test_random_directions_average_the_trace():
    """E[½ρ² uᵀHu] = ½ρ² tr H/N; the linear part averages to nothing."""
    objective = quadratic([0.0, 0.0, 0.0], [9.0, 3.0, 0.0])
    mean, error = random_directions(objective, RHO, draws=400)
    assert abs(mean - 0.5 * RHO**2 * 4) < 4 * error
    assert random_directions(objective, RHO, 5, seed=3) == random_directions(objective, RHO, 5, seed=3)
    assert random_directions(objective, RHO, 5, seed=3) != random_directions(objective, RHO, 5, seed=4)


def test_m_sharpness_is_the_mean_of_the_groups_own_gaps():
    batches = images(32)
    (x, y) = batches[0]
    gaps = [
        ascent_gap(Objective(net(), [group], dtype=torch.float64), RHO)
        for group in zip(x.split(8), y.split(8), strict=True)
    ]
    mean, error = m_sharpness(Objective(net(), batches, dtype=torch.float64), RHO, m=8)
    assert mean == pytest.approx(sum(gaps) / 4, rel=1e-12)
    assert error > 0
    whole, unknown = m_sharpness(Objective(net(), batches, dtype=torch.float64), RHO, m=32)
    assert whole == pytest.approx(ascent_gap(Objective(net(), batches, dtype=torch.float64), RHO), rel=1e-12)
    assert math.isnan(unknown)  # one group has no spread
    with pytest.raises(ValueError, match=r"^m .*chunk.*64"):
        m_sharpness(Objective(net(), batches, dtype=torch.float64), RHO, m=64)
    with pytest.raises(ValueError, match=r"^m .*1.*0"):
        m_sharpness(Objective(net(), batches, dtype=torch.float64), RHO, m=0)


@pytest.mark.parametrize("scale", [0.1, 10.0])
def test_rescaling_changes_the_plain_gap_and_not_the_adaptive_one(scale):
    one, other = (Objective(net(s), images(), dtype=torch.float64) for s in (1.0, scale))
    assert other.loss() == pytest.approx(one.loss(), rel=1e-12)
    assert adaptive_sharpness(other, RHO) == pytest.approx(adaptive_sharpness(one, RHO), rel=1e-9)
    assert abs(ascent_gap(other, RHO) / ascent_gap(one, RHO) - 1) > 0.05


@pytest.mark.parametrize("mode", ["evaluation", "batch"])
def test_the_model_is_left_as_it_was(mode):
    model = build_model("cnn8", channels=1, classes=10, size=28, seed=0)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    x, y = torch.randn(16, 1, 28, 28), torch.randint(10, (16,))
    objective = Objective(model, [(x, y)], mode)
    kept = {name: tensor.clone() for name, tensor in objective.tensors.items()}
    gap = ascent_gap(objective, RHO)
    worst_case(objective, RHO, steps=2)
    assert ascent_gap(objective, RHO) == gap  # bit for bit
    assert model.training
    for name, tensor in before.items():
        assert torch.equal(model.state_dict()[name], tensor)
        assert torch.equal(objective.tensors[name], kept[name])


def test_the_modes_of_batchnorm_are_different_functions():
    model = build_model("cnn8", channels=1, classes=10, size=28, seed=0)
    x, y = torch.randn(64, 1, 28, 28), torch.randint(10, (64,))
    model(x)  # its statistics move a tenth of the way
    stored, own = (Objective(model, [(x, y)], mode).loss() for mode in ("evaluation", "batch"))
    assert stored != pytest.approx(own, rel=1e-3)
    with pytest.raises(ValueError, match=r"batchnorm .*'evaluation'.*'batch'.*'train'"):
        Objective(model, [(x, y)], "train")
    with pytest.raises(ValueError, match="one chunk"):
        Objective(model, [])


def test_chunks_do_not_matter_in_evaluation_mode():
    (x, y) = images(30)[0]
    whole, parts = (
        Objective(net(), [(x, y)], dtype=torch.float64),
        Objective(net(), list(zip(x.split(7), y.split(7), strict=True)), dtype=torch.float64),
    )
    assert parts.loss() == pytest.approx(whole.loss(), rel=1e-12)
    assert parts.loss_and_accuracy() == pytest.approx(whole.loss_and_accuracy(), rel=1e-12)
    for one, other in zip(whole.gradient()[1], parts.gradient()[1], strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)
