"""The Hessian's numbers against dense matrices of tiny networks, in float64."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from ssam.analysis import Hessian, Objective, density, lanczos, power_iteration, top_eigenvalues, trace


def objective(seed: int = 0, mode: str = "evaluation") -> Objective:
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Tanh(), nn.Linear(6, 3)).double()
    x, y = torch.randn(24, 4, dtype=torch.float64), torch.randint(3, (24,))
    model(x)
    return Objective(model, [(x[:16], y[:16]), (x[16:], y[16:])], mode, torch.float64)


def dense(found: Objective) -> np.ndarray:
    """Column by column, by differentiating the whole loss twice."""
    point = parameters_to_vector(found.params).detach()

    def loss(flat: torch.Tensor) -> torch.Tensor:
        parts = dict(
            zip(
                [n for n, _ in found.model.named_parameters()],
                flat.split([p.numel() for p in found.params]),
                strict=True,
            )
        )
        named = {name: part.view_as(dict(found.model.named_parameters())[name]) for name, part in parts.items()}
        return (
            sum(
                cross_entropy(torch.func.functional_call(found.model, named, (x,)), y) * len(y)
                for x, y in found.batches
            )
            / 24
        )

    matrix = torch.autograd.functional.hessian(loss, point)
    vector_to_parameters(point, found.params)
    return matrix.numpy()


@pytest.mark.parametrize("mode", ["evaluation", "batch"])
def test_products_are_those_of_the_dense_hessian(mode):
    found = objective(mode=mode)
    truth, sizes = dense(found), [p.numel() for p in found.params]
    v = torch.randn(sum(sizes), dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    own = found.product([part.view_as(p) for part, p in zip(v.split(sizes), found.params, strict=True)])
    np.testing.assert_allclose(torch.cat([part.reshape(-1) for part in own]).numpy(), truth @ v.numpy(), atol=1e-12)
    np.testing.assert_allclose((Hessian(found) @ v).numpy(), truth @ v.numpy(), atol=1e-12)


@pytest.mark.parametrize("seed", [0, 1])
def test_eigenvalues_and_trace_are_the_dense_ones(seed):
    found = objective(seed)
    truth = dense(found)
    hessian = Hessian(found)
    np.testing.assert_allclose(
        top_eigenvalues(hessian, 5, tolerance=1e-10), np.linalg.eigvalsh(truth)[:-6:-1], rtol=1e-6
    )
    basis = torch.eye(len(truth), dtype=torch.float64)
    exact = sum(float(e @ (hessian @ e)) for e in basis)  # the estimator's sum over a basis in place of random signs
    assert exact == pytest.approx(np.trace(truth), rel=1e-6)
    value, error = trace(hessian, draws=200)
    assert abs(value - np.trace(truth)) < 4 * error
    assert trace(hessian, 3, seed=5) == trace(hessian, 3, seed=5)


def test_signs_give_the_trace_of_a_diagonal_at_once():
    class Diagonal:
        shape, device, dtype = (4, 4), torch.device("cpu"), torch.float64

        def __matmul__(self, v):
            return torch.tensor([1.0, 2.0, 3.0, 4.0], dtype=torch.float64) * v

    assert trace(Diagonal(), draws=1)[0] == pytest.approx(10.0)
    assert trace(Diagonal(), draws=3)[1] == pytest.approx(0.0, abs=1e-12)


def test_power_iteration_follows_the_largest_eigenvalue():
    found = objective()
    largest = np.linalg.eigvalsh(dense(found))[-1]
    start = [
        torch.randn(p.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64) for p in found.params
    ]
    rough = power_iteration(found, start, 2)
    fine = power_iteration(found, rough.vector, 60)
    assert fine.value == pytest.approx(largest, rel=1e-6)
    assert fine.residual < 1e-3 < rough.residual
    again = power_iteration(found, fine.vector, 1)  # warm: one product is enough
    assert again.value == pytest.approx(largest, rel=1e-6)
    assert rough.value == power_iteration(found, start, 2).value  # bit for bit
    with pytest.raises(ValueError, match=r"products .*1.*0"):
        power_iteration(found, start, 0)


def test_a_zero_start_gives_no_nan():
    found = objective()
    assert power_iteration(found, [torch.zeros_like(p) for p in found.params], 1).value == 0.0


def test_the_spectral_density_has_the_moments_of_the_spectrum():
    found = objective()
    values = np.linalg.eigvalsh(dense(found))
    ritz = lanczos(Hessian(found), steps=12, runs=60)
    assert ritz.weights.sum() == pytest.approx(1.0)
    assert ritz.values.max() == pytest.approx(values[-1], rel=1e-6)
    mean = float(ritz.values @ ritz.weights)
    assert mean == pytest.approx(values.mean(), abs=4 * values.std() / np.sqrt(60))
    grid = np.linspace(values[0] - 1, values[-1] + 1, 2000)
    drawn = density(ritz, grid)
    assert np.trapezoid(drawn, grid) == pytest.approx(1.0, rel=1e-6)
    assert (drawn >= 0).all()


def test_lanczos_repeats_and_leaves_the_random_state_alone():
    before = torch.get_rng_state()
    one, other = (lanczos(Hessian(objective()), steps=5, runs=2, seed=7) for _ in range(2))
    np.testing.assert_array_equal(one.values, other.values)
    torch.manual_seed(0)
    state = torch.get_rng_state()
    hessian = Hessian(objective())
    torch.set_rng_state(state)
    lanczos(hessian, steps=5)
    assert torch.equal(torch.get_rng_state(), state)
    torch.set_rng_state(before)


def test_a_random_loss_is_refused_in_one_line():
    class Noisy(nn.Linear):
        def forward(self, x):
            return super().forward(x) + torch.randn(len(x), 2, dtype=x.dtype)

    with pytest.raises(ValueError, match="random"):
        Hessian(
            Objective(Noisy(3, 2).double(), [(torch.randn(8, 3).double(), torch.randint(2, (8,)))], dtype=torch.float64)
        )


def test_dropout_is_off():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 8), nn.Dropout(0.5), nn.Linear(8, 2)).double()
    found = Objective(model, [(torch.randn(8, 3).double(), torch.randint(2, (8,)))], dtype=torch.float64)
    assert found.loss() == found.loss()
    assert np.isfinite(top_eigenvalues(Hessian(found), 2)).all()


def test_the_pulse_is_felt_before_each_product_and_may_end_it():
    class Enough(Exception):
        pass

    beats = []

    def pulse():
        beats.append(1)
        if len(beats) == 4:
            raise Enough

    with pytest.raises(Enough):
        top_eigenvalues(Hessian(objective(), pulse), 3)
    assert len(beats) == 4


def test_too_many_eigenvalues_are_refused():
    with pytest.raises(ValueError, match=r"count .*1 to"):
        top_eigenvalues(Hessian(objective()), 1000)
