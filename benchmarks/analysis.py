"""The cost of analysing weights: ``python -m benchmarks.analysis``.

The network is a cnn8 after three epochs of the preset noisy-labels (SGD, seed 0), with 1,000 training images. All times are CPU seconds
of one thread, so that other work on the machine has little effect. Each estimator is compared with the obvious way to get the same:

- surface: load the weights with ``load_state_dict``, then loop over batches of 128 images in the memory format of training and read each
  loss and count at once; on a subset of the points, scaled up.
- products with the Hessian: those of curvlinops, forward over reverse mode, and the difference of two gradients. The error of each
  relative to the difference of gradients in float64, on networks without kinks, is reported by kind of norm.
- λ₁ during training: warm-started power iteration compared with a fresh start at each epoch, after the same number of products.
"""

import json
import tempfile
import time
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from benchmarks.machine import machine
from ssam.analysis import (
    Hessian,
    Layout,
    Objective,
    Plane,
    filter_normalised,
    lanczos,
    power_iteration,
    surface,
    top_eigenvalues,
    trace,
)
from ssam.data import load_dataset
from ssam.engine import Race
from ssam.experiment import ASSETS, parse_spec, preset
from ssam.experiment.events import Snapshot
from ssam.models import build_model

SPEC = parse_spec({"lanes": "sgd", "epochs": 3, "seed": 0, "snapshot_interval": 1}, base=preset("noisy-labels").spec)
IMAGES, POINTS, PART = 1000, 41, 40  # PART: points on which the obvious loop is timed
PRODUCTS = 2  # per live estimate


def main() -> None:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        snapshots = [event for event in Race(SPEC, home=home, threads=1).events() if isinstance(event, Snapshot)]
        dataset = load_dataset(SPEC, home, progress=lambda *_: None)
        batches = dataset.batches(SPEC, torch.device("cpu"), channels_last=False)
        chunks = list(batches.samples(IMAGES, seed=0))
    states = [{name: torch.from_numpy(array) for name, array in event.weights.items()} for event in snapshots]
    model = build_model("cnn8", channels=1, classes=10, size=28, seed=0)
    model.load_state_dict(states[-1])
    objective = Objective(model, chunks)
    record = {
        "command": "python -m benchmarks.analysis",
        **machine(),
        "versions": {name: version(name) for name in ("curvlinops-for-pytorch", "scipy")},
        "threads": 1,
        "time": "processor seconds of one thread",
        "network": {"model": "cnn8", "preset": "noisy-labels", "method": "sgd", "epochs": SPEC.epochs, "seed": 0},
        "images": IMAGES,
        "chunks": [len(y) for _, y in chunks],
        "pieces": {"forward": best(objective.loss), "gradient": best(objective.gradient)},
        "surface": of_surface(model, objective, chunks),
        "product": of_products(objective),
        "hessian": of_hessian(objective),
        "live": of_live(model, states, chunks),
    }
    (ASSETS / "measured" / "analysis.json").write_text(json.dumps(rounded(record), indent=1) + "\n", encoding="utf-8")
    print(json.dumps(rounded(record), indent=1))


def took(function: Callable[[], Any]) -> tuple[float, Any]:
    begin = time.process_time()
    answer = function()
    return time.process_time() - begin, answer


def best(function: Callable[[], Any], times: int = 5) -> float:
    """Return the shortest of several times, after one call that is not counted."""
    function()
    return min(took(function)[0] for _ in range(times))


def of_surface(model: nn.Module, objective: Objective, chunks: list[tuple[Tensor, Tensor]]) -> dict[str, Any]:
    layout, weights = Layout.of(model), model.state_dict()
    plane = Plane(layout.point(weights), *(filter_normalised(layout, weights, seed) for seed in (1, 2)))
    ticks = np.linspace(-1, 1, POINTS).tolist()
    seconds, drawn = took(lambda: list(surface(objective, layout, plane, ticks, ticks)))
    objective.go_to(weights)
    x, y = (torch.cat(parts) for parts in zip(*chunks, strict=True))
    images = x.contiguous(memory_format=torch.channels_last)
    points = drawn[:: len(drawn) // PART][:PART]
    twin = build_model("cnn8", channels=1, classes=10, size=28, seed=0).to(memory_format=torch.channels_last)

    def loop() -> list[float]:
        return [
            obvious(twin, weights, layout, plane, ticks[column], ticks[row], images, y) for row, column, *_ in points
        ]

    slow, losses = took(loop)
    worst = max(abs(loss / found[2] - 1) for loss, found in zip(losses, points, strict=True))
    scaled = slow * POINTS**2 / PART
    return {
        "points": POINTS**2,
        "seconds": seconds,
        "obvious": {"points": PART, "seconds": slow, "scaled_seconds": scaled, "ratio": scaled / seconds},
        "largest_relative_difference": worst,
    }


def obvious(
    twin: nn.Module, weights: Any, layout: Layout, plane: Plane, a: float, b: float, x: Tensor, y: Tensor
) -> float:
    """Return the loss at one point, computed the obvious way."""
    twin.load_state_dict(dict(weights) | layout.named(plane.origin + a * plane.x + b * plane.y))
    twin.eval()
    total = right = 0.0
    with torch.no_grad():
        for some, labels in zip(x.split(128), y.split(128), strict=True):
            outputs = twin(some)
            total += cross_entropy(outputs, labels).item() * len(labels)
            right += (outputs.argmax(1) == labels).sum().item()
    return total / len(y)


def of_products(objective: Objective) -> dict[str, Any]:
    vector = drawn_for(objective)
    own, theirs = Hessian(objective), curvlinops(objective)
    flat = joined(vector)
    step = [1e-3 * v / flat.norm() for v in vector]
    return {
        "seconds": best(lambda: own @ flat),
        "curvlinops_seconds": best(lambda: theirs @ flat),
        "difference_of_gradients_seconds": best(lambda: difference(objective, step)),
        "relative_error_in_float64": {
            "BatchNorm, stored statistics": errors(nn.BatchNorm2d(4), "evaluation"),
            "BatchNorm, statistics of the chunk": errors(nn.BatchNorm2d(4), "batch"),
            "LayerNorm": errors(nn.LayerNorm(4), "evaluation"),
            "GroupNorm": errors(nn.GroupNorm(2, 4), "evaluation"),
            "vit-tiny, untrained": errors_of(small_transformer(), torch.randn(16, 1, 8, 8).double(), "evaluation"),
        },
    }


def small_transformer() -> nn.Module:
    return build_model("vit-tiny", channels=1, classes=3, size=8, seed=0)


def errors(norm: nn.Module, mode: Any) -> dict[str, float | str]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), norm, nn.Tanh(), nn.Flatten(), nn.Linear(64, 3)).double()
    x = torch.randn(16, 1, 6, 6, dtype=torch.float64)
    model(x)
    return errors_of(model, x, mode)


def errors_of(model: nn.Module, x: Tensor, mode: Any) -> dict[str, float | str]:
    """Return ‖product − truth‖/‖truth‖ for a random vector; the truth is a central difference of gradients."""
    objective = Objective(model, [(x, torch.arange(len(x)) % 3)], mode, torch.float64)
    vector = drawn_for(objective)
    size = 1e-5
    truth = joined(difference(objective, [size * v for v in vector])) / (2 * size)
    found: dict[str, float | str] = {}
    for name, product in (("own", Hessian(objective)), ("curvlinops", curvlinops(objective, check=False))):
        try:
            found[name] = float((product @ joined(vector) - truth).norm() / truth.norm())
        except NotImplementedError:
            found[name] = "not implemented"
    return found


def difference(objective: Objective, step: list[Tensor]) -> list[Tensor]:
    """Return ∇L(w + step) − ∇L(w − step)."""
    with objective.moved(step):
        _, above = objective.gradient()
    with objective.moved([-s for s in step]):
        _, below = objective.gradient()
    return list(torch._foreach_sub(above, below))


def curvlinops(objective: Objective, check: bool = True) -> Any:
    warnings.simplefilter("ignore", FutureWarning)  # from its imports
    from curvlinops import HessianLinearOperator

    return HessianLinearOperator(
        objective.model, nn.CrossEntropyLoss(), objective.params, objective.batches, check_deterministic=check
    )


def of_hessian(objective: Objective) -> dict[str, Any]:
    counted = {"products": 0}

    def pulse() -> None:
        counted["products"] += 1

    opening, hessian = took(lambda: Hessian(objective, pulse))
    record: dict[str, Any] = {"check_seconds": opening}
    for name, estimate in (
        ("top_5", lambda: top_eigenvalues(hessian, 5).tolist()),
        ("trace", lambda: trace(hessian)),
        ("spectrum", lambda: lanczos(hessian)),
    ):
        counted["products"] = 0
        seconds, answer = took(estimate)
        record[name] = {"seconds": seconds, **counted}
        if name == "spectrum":
            answer = {"largest": float(answer.values.max()), "smallest": float(answer.values.min())}
        record[name]["answer"] = answer
    return record


def of_live(model: nn.Module, states: list[dict[str, Tensor]], chunks: list[tuple[Tensor, Tensor]]) -> dict[str, Any]:
    """Return an estimate at each of the weights, from first to last, with the truth from 100 products."""
    rows, vector = [], None
    for state in states:
        model.load_state_dict(state)
        objective = Objective(model, chunks)
        start = vector or drawn_for(objective)
        begin = time.process_time()
        warm = power_iteration(objective, start, PRODUCTS)
        seconds = time.process_time() - begin
        cold = power_iteration(objective, drawn_for(objective), PRODUCTS)
        truth = power_iteration(objective, warm.vector, 100)
        rows.append({"seconds": seconds, "warm": of(warm), "cold": of(cold), "after_100_more": of(truth)})
        vector = warm.vector
    return {"products": PRODUCTS, "epochs": rows}


def of(found: Any) -> dict[str, float]:
    return {"value": found.value, "residual": found.residual}


def drawn_for(objective: Objective) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(p.shape, generator=generator).to(p) for p in objective.params]


def joined(tensors: list[Tensor]) -> Tensor:
    return torch.cat([tensor.detach().reshape(-1) for tensor in tensors])


def rounded(value: Any) -> Any:
    """Round every number to four digits; the measurement is no more precise."""
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(item) for item in value]
    return float(f"{value:.4g}") if isinstance(value, float) else value


if __name__ == "__main__":
    main()
