"""Products with the Hessian of every kind of layer: against differences of gradients, another library, and in odd cases."""

import warnings

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ssam.analysis import Hessian, Objective, lanczos, power_iteration, top_eigenvalues, trace
from ssam.models import build_model

IMAGES = torch.randn(12, 1, 6, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
LABELS = torch.arange(12) % 3


def smooth(norm: nn.Module) -> nn.Module:
    """Without kinks, so that differences of gradients are exact to the square of their step."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), norm, nn.Tanh(), nn.Flatten(), nn.Linear(64, 3)).double()
    model(IMAGES)
    return model


def drawn(objective: Objective, seed: int = 1) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(p.shape, generator=generator, dtype=torch.float64).to(p) for p in objective.params]


def flat(tensors: list[Tensor]) -> Tensor:
    return torch.cat([tensor.reshape(-1) for tensor in tensors])


def differences(objective: Objective, vector: list[Tensor], step: float = 1e-5) -> Tensor:
    """(∇L(w + tv) − ∇L(w − tv)) / 2t"""
    ends = []
    for sign in (1, -1):
        with objective.moved([sign * step * v for v in vector]):
            ends.append(flat(objective.gradient()[1]))
    return (ends[0] - ends[1]) / (2 * step)


@pytest.mark.parametrize(
    ("norm", "mode"),
    [
        (nn.BatchNorm2d(4), "evaluation"),
        (nn.BatchNorm2d(4), "batch"),
        (nn.LayerNorm(4), "evaluation"),
        (nn.GroupNorm(2, 4), "evaluation"),
    ],
    ids=["stored statistics", "statistics of the chunk", "LayerNorm", "GroupNorm"],
)
def test_products_are_differences_of_gradients(norm, mode):
    """PyTorch 2.14 differentiates the gradient forwards rightly in the first case only; the last it cannot."""
    objective = Objective(smooth(norm), [(IMAGES[:8], LABELS[:8]), (IMAGES[8:], LABELS[8:])], mode, torch.float64)
    vector = drawn(objective)
    truth = differences(objective, vector)
    for product in (flat(objective.product(vector)), Hessian(objective) @ flat(vector)):
        assert float((product - truth).norm() / truth.norm()) < 1e-7


def test_products_of_the_transformer_are_differences_of_gradients():
    model = build_model("vit-tiny", channels=1, classes=3, size=8, seed=0)
    x = torch.randn(4, 1, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    objective = Objective(model, [(x, LABELS[:4])], dtype=torch.float64)
    vector = drawn(objective)
    truth = differences(objective, vector)
    assert float((Hessian(objective) @ flat(vector) - truth).norm() / truth.norm()) < 1e-5


def test_products_are_those_of_curvlinops_where_these_are_right():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        from curvlinops import HessianLinearOperator

        objective = Objective(smooth(nn.BatchNorm2d(4)), [(IMAGES, LABELS)], dtype=torch.float64)
        theirs = HessianLinearOperator(objective.model, nn.CrossEntropyLoss(), objective.params, objective.batches)
        vector = flat(drawn(objective))
        torch.testing.assert_close(Hessian(objective) @ vector, theirs @ vector, rtol=1e-10, atol=1e-12)


def test_the_hessian_is_that_of_the_objectives_own_loss():
    torch.manual_seed(0)
    x, y = torch.randn(9, 3, dtype=torch.float64), torch.randn(9, 1, dtype=torch.float64)
    model = nn.Linear(3, 1, bias=False).double()
    objective = Objective(model, [(x[:5], y[:5]), (x[5:], y[5:])], dtype=torch.float64, loss=nn.functional.mse_loss)
    dense = np.column_stack([(Hessian(objective) @ e).numpy() for e in torch.eye(3, dtype=torch.float64)])
    np.testing.assert_allclose(dense, (2 / 9 * x.T @ x).numpy(), rtol=1e-12)
    assert top_eigenvalues(Hessian(objective), 1)[0] == pytest.approx(np.linalg.eigvalsh(dense)[-1], rel=1e-6)


def test_a_weight_that_the_loss_does_not_see_has_no_curvature():
    class Spare(nn.Linear):
        def __init__(self) -> None:
            super().__init__(3, 2)
            self.spare = nn.Parameter(torch.ones(4))

    objective = Objective(Spare(), [(torch.randn(8, 3), LABELS[:8] % 2)], dtype=torch.float64)
    names = [name for name, _ in objective.model.named_parameters()]
    product = dict(zip(names, objective.product([torch.ones_like(p) for p in objective.params]), strict=True))
    assert not product["spare"].any()
    assert product["weight"].any()


def test_a_loss_without_curvature_has_no_spectrum():
    model = nn.Linear(3, 1, bias=False).double()
    x = torch.ones(4, 3, dtype=torch.float64)
    objective = Objective(model, [(x, LABELS[:4])], dtype=torch.float64, loss=lambda outputs, labels: outputs.mean())
    hessian = Hessian(objective)
    assert power_iteration(objective, [torch.ones(1, 3, dtype=torch.float64)], 2).value == 0.0
    assert trace(hessian, 2)[0] == 0.0
    with pytest.raises(ValueError, match="not finite"):
        lanczos(hessian, steps=2)
    with pytest.raises(ValueError, match="did not converge"):
        top_eigenvalues(hessian, 1)
    with pytest.raises(ValueError, match=r"draws .*1.*0"):
        trace(hessian, 0)


def test_weights_without_a_loss_are_refused():
    model = nn.Linear(3, 2)
    nn.init.constant_(model.weight, float("nan"))
    with pytest.raises(ValueError, match=r"loss .*not finite"):
        Hessian(Objective(model, [(torch.ones(4, 3), LABELS[:4] % 2)]))


def test_the_check_draws_no_random_numbers_from_others():
    objective = Objective(smooth(nn.BatchNorm2d(4)), [(IMAGES, LABELS)], dtype=torch.float64)
    before = torch.get_rng_state()
    Hessian(objective)
    assert torch.equal(torch.get_rng_state(), before)
