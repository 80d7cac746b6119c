"""The Hessian of the mean loss: its largest eigenvalues, its trace, its spectral density.

The Hessian is an operator of curvlinops (Dangel et al.). Its check evaluates the loss twice and rejects a loss that is not a function of
the weights alone. Its products are those of the objective.

All values depend on the scale of the weights, on the images and on the mode of BatchNorm.
"""

import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from ssam.analysis.objective import Objective


class PowerIteration(NamedTuple):
    """The result of power iteration. ``residual`` is ‖Hv − λv‖/|λ|, 0 for an eigenvector; ``vector`` has unit length and can be used as
    the next start."""

    value: float
    vector: list[Tensor]
    residual: float


def power_iteration(objective: Objective, start: Sequence[Tensor], products: int) -> PowerIteration:
    """Estimate the eigenvalue of largest magnitude with ``products`` Hessian-vector products, which cost three to four gradients each.

    The estimate is the Rayleigh quotient of the vector used in the last product, so it is never above the largest eigenvalue.
    A few products are not enough from a random start; from the eigenvector at nearby weights, they track the eigenvalue.
    """
    if products < 1:
        raise ValueError(f"products must be at least 1, not {products}")
    vector = _unit(list(start))
    for _ in range(products):
        v, image = vector, objective.product(vector)
        vector = _unit(image)
    value = float(_dot(v, image))
    difference = torch._foreach_sub(image, torch._foreach_mul(v, value))
    residual = math.sqrt(max(0.0, float(_dot(difference, difference)))) / max(abs(value), 1e-30)
    return PowerIteration(value, vector, residual)


class Hessian:
    """∇²L at an objective's current weights, of shape (N, N): ``hessian @ v`` is its product with a tensor (N,).

    Args:
        objective: the loss L and its weights.
        pulse: called before each product, which takes three to four gradients on a CPU; may raise to stop the computation.

    Raises ValueError, one line, if the loss is not finite or not a function of the weights alone.
    """

    def __init__(self, objective: Objective, pulse: Callable[[], None] = lambda: None) -> None:
        if not math.isfinite(objective.loss()):
            raise ValueError("the loss is not finite at these weights: it has no Hessian")
        try:
            with _random_numbers(0, objective.params[0].device):
                self._operator = _operator(objective)
        except RuntimeError as error:
            if "deterministic" not in str(error):
                raise
            raise ValueError(
                "the same weights give different losses: switch off what is random in the model"
            ) from error
        self._pulse = pulse
        self.shape, self.device, self.dtype = self._operator.shape, self._operator.device, self._operator.dtype

    def __matmul__(self, vector: Tensor) -> Tensor:
        self._pulse()
        product: Tensor = self._operator @ vector
        if not product.isfinite().all():  # the quadrature divides by the product's norm before the next product
            raise ValueError("products with the Hessian are zero or not finite: it has no spectrum")
        return product

    def on_numpy(self, vector: np.ndarray) -> np.ndarray:
        """Return the product with an array (N,)."""
        return (self @ torch.from_numpy(vector.reshape(-1)).to(self.device, self.dtype)).cpu().numpy()


def top_eigenvalues(hessian: Hessian, count: int = 5, seed: int = 0, tolerance: float = 1e-3) -> np.ndarray:
    """Return the ``count`` algebraically largest eigenvalues, largest first, float64, by restarted Lanczos iteration (ARPACK).

    Takes about 20 to 60 products. ``tolerance`` is relative. Raise ValueError if the iteration does not converge.
    """
    from scipy.sparse.linalg import ArpackError, LinearOperator, eigsh

    size = hessian.shape[0]
    if not 1 <= count < size:
        raise ValueError(f"count must be 1 to {size - 1}, not {count}")
    start = np.random.default_rng(seed).standard_normal(size)
    subspace = min(size, max(2 * count + 1, 20))
    try:
        symmetric = LinearOperator(hessian.shape, matvec=hessian.on_numpy, dtype=np.float64)
        values = eigsh(symmetric, count, which="LA", v0=start, ncv=subspace, tol=tolerance, return_eigenvectors=False)
    except ArpackError as error:
        raise ValueError("the largest eigenvalues did not converge; take more images or float64") from error
    return np.sort(np.asarray(values, dtype=np.float64))[::-1]


def trace(hessian: Hessian, draws: int = 10, seed: int = 0) -> tuple[float, float]:
    """Return the trace and its standard error, by Hutchinson's estimator: the mean of vᵀHv over random sign vectors v.

    Takes ``draws`` products. For a diagonal Hessian a single draw is exact. The standard error of a single draw is unknown (NaN).
    """
    if draws < 1:
        raise ValueError(f"draws must be at least 1, not {draws}")
    generator = torch.Generator().manual_seed(seed)
    found = []
    for _ in range(draws):
        signs = torch.randint(0, 2, (hessian.shape[1],), generator=generator) * 2 - 1
        v = signs.to(hessian.device, hessian.dtype)
        found.append(float(v @ (hessian @ v)))
    error = float(np.std(found, ddof=1)) / math.sqrt(draws) if draws > 1 else math.nan
    return float(np.mean(found)), error


class Ritz(NamedTuple):
    """Ritz values: eigenvalues of the Lanczos matrix, and the weight of each in the spectral density; both (runs × steps,)."""

    values: np.ndarray
    weights: np.ndarray


def lanczos(hessian: Hessian, steps: int = 50, runs: int = 2, seed: int = 0) -> Ritz:
    """Run stochastic Lanczos quadrature (Ghorbani et al. 2019, arXiv 1901.10159), with ``runs`` × ``steps`` products.

    The result is accurate at the ends of the spectrum and an average in its bulk. Raise ValueError if a product is zero or not
    finite.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        from curvlinops.papyan2020traces.spectrum import fast_lanczos
    steps = min(steps, hessian.shape[0])
    values, weights = [], []
    for run in range(runs):
        with _random_numbers(seed + run, hessian.device):
            found, vectors = fast_lanczos(hessian, steps)
            values.append(np.asarray(found.cpu(), dtype=np.float64))
            weights.append(np.asarray(vectors[0].cpu(), dtype=np.float64) ** 2 / runs)
    return Ritz(np.concatenate(values), np.concatenate(weights))


def density(ritz: Ritz, grid: np.ndarray) -> np.ndarray:
    """Return the spectral density on ``grid`` (G,): each Ritz value as a normal distribution whose standard deviation is three grid
    cells. It integrates to 1 if the grid extends three such widths beyond all values."""
    width = 3 * float(grid[1] - grid[0])
    bumps = np.exp(-0.5 * ((grid[:, None] - ritz.values) / width) ** 2) / (width * math.sqrt(2 * math.pi))
    return np.asarray(bumps @ ritz.weights)


def _operator(objective: Objective) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # from imports of curvlinops, which take half a second
        from curvlinops import HessianLinearOperator

    class BackwardHessian(HessianLinearOperator):
        """A curvlinops Hessian with the objective's products. Its own use forward-mode differentiation, which is slower here, and wrong
        for some layers (see ``Objective.product_of``)."""

        def _matmat_batch(self, X: Tensor, y: Tensor, M: list[Tensor]) -> list[Tensor]:
            columns = zip(*(tensor.unbind(-1) for tensor in M), strict=True)
            products = [objective.product_of(X, y, column) for column in columns]
            return [torch.stack(found, -1) for found in zip(*products, strict=True)]

    return BackwardHessian(objective.model, _MeanLoss(objective), objective.params, objective.batches)


class _MeanLoss(nn.Module):
    """An objective's loss function in the form that curvlinops expects."""

    reduction = "mean"

    def __init__(self, objective: Objective) -> None:
        super().__init__()
        self._function = objective.loss_function

    def forward(self, outputs: Tensor, labels: Tensor) -> Tensor:
        return self._function(outputs, labels)


@contextmanager
def _random_numbers(seed: int, device: torch.device) -> Iterator[None]:
    """Seed PyTorch's global random numbers with ``seed`` inside the block; restore their state afterwards."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


def _dot(a: Sequence[Tensor], b: Sequence[Tensor]) -> Tensor:
    return torch.stack([(x * y).sum() for x, y in zip(a, b, strict=True)]).sum()


def _unit(tensors: list[Tensor]) -> list[Tensor]:
    norm = float(_dot(tensors, tensors)) ** 0.5
    return list(torch._foreach_div(tensors, norm)) if norm > 0 else tensors
