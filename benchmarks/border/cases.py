"""The situations. Each returns whether what came out is right; an exception counts as an error of the library or of torch."""

import copy
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.nn.utils import spectral_norm

from benchmarks.border.libraries import Library, NotOfferedError, Ours

X = torch.randn(16, 6, generator=torch.Generator().manual_seed(1))
Y = torch.randint(3, (16,), generator=torch.Generator().manual_seed(2))
Run = Callable[[Tensor], Tensor]


def network(*middle: nn.Module) -> nn.Sequential:
    """Return the same small network each time."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), *middle, nn.Linear(8, 3))


def closure_for(optimizer: Any, run: Run, losses: list[float] | None = None) -> Callable[[], Tensor]:
    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = cross_entropy(run(X), Y)
        loss.backward()
        if losses is not None:
            losses.append(loss.item())
        return loss

    return closure


def slow_step(model: nn.Module, rho: float = 0.5, lr: float = 0.1, adaptive: bool = False) -> None:
    """Take one step of SAM with plain SGD, written out: the reference."""
    params = [p for p in model.parameters() if p.requires_grad]
    gradients = torch.autograd.grad(cross_entropy(model(X), Y), params)
    kept = copy.deepcopy(model.state_dict())
    scaled = [p.detach().abs() * g if adaptive else g for p, g in zip(params, gradients, strict=True)]
    norm = sum(float(g.double().square().sum()) for g in scaled) ** 0.5
    with torch.no_grad():
        for p, g in zip(params, scaled, strict=True):
            p += rho * (p.abs() * g if adaptive else g) / norm
    second = torch.autograd.grad(cross_entropy(model(X), Y), params)
    model.load_state_dict(kept)
    with torch.no_grad():
        for p, g in zip(params, second, strict=True):
            p -= lr * g


def equal(a: nn.Module, b: nn.Module, atol: float = 1e-5) -> bool:
    """Return whether parameters and buffers that hold fractions agree."""
    pairs = zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    return all(torch.allclose(x, y, rtol=1e-4, atol=atol) for x, y in pairs if x.is_floating_point())


def as_written_out(library: Library, *middle: nn.Module, run: Callable[[nn.Module], Run] = lambda m: m) -> bool:
    """Return whether three steps of the library are three steps of the reference; ``run`` calls the model its own way."""
    model = network(*middle)
    plain = copy.deepcopy(model)
    optimizer, called = library.make(model), run(model)
    model.load_state_dict(plain.state_dict())  # tracing or scripting may have run the model
    for _ in range(3):
        library.step(optimizer, model, closure_for(optimizer, called))
        slow_step(plain)
    return equal(model, plain)


def plain(library: Library) -> bool:
    return as_written_out(library)


def adaptive(library: Library) -> bool:
    model, other = network(), network()
    optimizer = library.make(model, adaptive=True)
    library.step(optimizer, model, closure_for(optimizer, model))
    slow_step(other, adaptive=True)
    return equal(model, other)


def autocast_around(library: Library) -> bool:
    """The second loss differs: autocast must not go on with its copy of w."""
    model, losses = network(), []
    optimizer = library.make(model, rho=2.0)
    with torch.autocast("cpu", torch.bfloat16):
        library.step(optimizer, model, closure_for(optimizer, model, losses))
    return losses[0] != losses[1]


def scaler_and_clipping(library: Library) -> bool:
    """The step with a scaled loss is the step without scaling, in float32 on a CPU."""
    if not isinstance(library, Ours):
        raise NotOfferedError
    ends = []
    for scale in (1.0, 1024.0):
        model = network()
        sam, scaler = library.make(model), torch.amp.GradScaler("cpu", init_scale=scale)
        scaler.scale(cross_entropy(model(X), Y)).backward()
        with sam.perturbed():
            scaler.scale(cross_entropy(model(X), Y)).backward()
        scaler.unscale_(sam.base)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 0.1)
        scaler.step(sam.base)
        ends.append(model)
    return equal(*ends)


def unscaled_twice(library: Library) -> bool:
    """``unscale_`` of the one and ``step`` of the other divide by the scale twice."""
    if not isinstance(library, Ours):
        raise NotOfferedError
    model = network()
    sam, scaler = library.make(model), torch.amp.GradScaler("cpu", init_scale=1024.0)
    scaler.scale(cross_entropy(model(X), Y)).backward()
    with sam.perturbed():
        scaler.scale(cross_entropy(model(X), Y)).backward()
    scaler.unscale_(sam)
    scaler.step(sam.base)
    return False


def bfloat16_weights(library: Library) -> bool:
    """What rounding leaves of ε is reported."""
    if not isinstance(library, Ours):
        raise NotOfferedError
    model = network().bfloat16()
    before = [p.detach().clone() for p in model.parameters()]
    sam = library.make(model, rho=0.01)
    cross_entropy(model(X.bfloat16()), Y).backward()
    sam.ascent_step()
    moved = sum(
        float((p.detach().double() - w.double()).square().sum())
        for p, w in zip(model.parameters(), before, strict=True)
    )
    return abs(float(sam.radius) - moved**0.5) < 1e-5 and float(sam.rounded_away) > 0


def batchnorm(library: Library) -> bool:
    return as_written_out(library, nn.BatchNorm1d(8))


def batchnorm_compiled(library: Library) -> bool:
    torch._dynamo.reset()
    return as_written_out(library, nn.BatchNorm1d(8), run=lambda model: torch.compile(model, backend="eager"))  # type: ignore[arg-type,return-value]


def batchnorm_scripted(library: Library) -> bool:
    return as_written_out(library, nn.BatchNorm1d(8), run=torch.jit.script)


def batchnorm_in_a_thread(library: Library) -> bool:
    def run(model: nn.Module) -> Run:
        def in_thread(x: Tensor) -> Tensor:
            out: list[Tensor] = []
            thread = threading.Thread(target=lambda: out.append(model(x)))
            thread.start()
            thread.join()
            return out[0]

        return in_thread

    return as_written_out(library, nn.BatchNorm1d(8), run=run)


def batchnorm_average(library: Library) -> bool:
    """``momentum=None``: the statistics are the mean over the batches, which a second count changes."""
    return as_written_out(library, nn.BatchNorm1d(8, momentum=None))


def instance_norm(library: Library) -> bool:
    norm = nn.InstanceNorm1d(2, track_running_stats=True)
    return as_written_out(library, nn.Unflatten(1, (2, 4)), norm, nn.Flatten())


def spectral(library: Library) -> bool:
    return as_written_out(library, spectral_norm(nn.Linear(8, 8)))


def micro_batches(library: Library) -> bool:
    """All micro-batches inside the closure are the whole batch."""
    model, whole = network(), network()
    optimizer = library.make(model)

    def closure() -> Tensor:
        optimizer.zero_grad()
        losses = [cross_entropy(model(x), y) / 2 for x, y in ((X[:8], Y[:8]), (X[8:], Y[8:]))]
        for loss in losses:
            loss.backward()
        return torch.stack(losses).sum().detach()

    library.step(optimizer, model, closure)
    slow_step(whole)
    return equal(model, whole)


def sparse_gradient(library: Library) -> bool:
    ends = []
    for sparse in (False, True):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Embedding(5, 4, sparse=sparse), nn.Flatten(), nn.Linear(8, 3))
        optimizer, words = library.make(model), torch.arange(32).view(16, 2) % 4

        def run(_: Tensor, model: nn.Module = model, words: Tensor = words) -> Tensor:
            return model(words)

        library.step(optimizer, model, closure_for(optimizer, run))
        ends.append(model)
    return equal(*ends)


def one_gradient_only(library: Library) -> bool:
    """A parameter that the second loss does not depend on is back at w."""
    model = network()
    extra = nn.Parameter(torch.ones(4))
    model.register_parameter("extra", extra)
    optimizer, calls = library.make(model), []

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = cross_entropy(model(X), Y) + (extra.sum() if not calls else 0.0)
        calls.append(1)
        loss.backward()
        return loss

    library.step(optimizer, model, closure)
    return bool((extra == 1).all())


def second_pass_fails(library: Library) -> bool:
    """After an exception in the second pass, out of memory say, the weights are w."""
    model = network()
    before = copy.deepcopy(model)
    optimizer = library.make(model)
    calls: list[int] = []

    def closure() -> Tensor:
        optimizer.zero_grad()
        calls.append(1)
        if len(calls) == 2:
            raise torch.OutOfMemoryError
        loss = cross_entropy(model(X), Y)
        loss.backward()
        return loss

    with suppress(torch.OutOfMemoryError):
        library.step(optimizer, model, closure)
    return equal(model, before, atol=0)


def resumed(library: Library) -> bool:
    """Two steps, saved and loaded, and two more are four, with momentum."""
    model, whole = network(), network()
    through = library.make(whole, momentum=0.9)
    for _ in range(4):
        library.step(through, whole, closure_for(through, whole))
    first = library.make(model, momentum=0.9)
    for _ in range(2):
        library.step(first, model, closure_for(first, model))
    second = library.make(model, momentum=0.9)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    for _ in range(2):
        library.step(second, model, closure_for(second, model))
    return equal(model, whole)


def scheduled(library: Library) -> bool:
    """A schedule that is attached to the optimizer itself changes its step."""
    model, other = network(), network()
    optimizer = library.make(model)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda epoch: 0.5)
    library.step(optimizer, model, closure_for(optimizer, model))
    schedule.step()
    slow_step(other, lr=0.05)
    return equal(model, other)


def negative_rho(library: Library) -> bool:
    model = network()
    optimizer = library.make(model)
    if isinstance(library, Ours):
        optimizer.rho = -1.0
    else:
        optimizer.param_groups[0]["rho"] = -1.0
    library.step(optimizer, model, closure_for(optimizer, model))
    return False


def lbfgs(library: Library) -> bool:
    model = network()
    optimizer = library.make(model, base=torch.optim.LBFGS)
    library.step(optimizer, model, closure_for(optimizer, model))
    return False


def same_dropout(library: Library) -> bool:
    """Both passes drop the same units."""
    if not isinstance(library, Ours):
        raise NotOfferedError
    dropped: list[Tensor] = []
    model = network(nn.Dropout(0.5))
    model[1].register_forward_hook(lambda _m, _i, out: dropped.append(out == 0))
    optimizer = library.make(model, rho=1e-6)
    library.step(optimizer, model, closure_for(optimizer, model))
    return torch.equal(*dropped)


CASES: dict[str, Callable[[Library], bool]] = {
    "a plain step": plain,
    "adaptive SAM": adaptive,
    "`autocast` around the step": autocast_around,
    "`GradScaler` and clipping": scaler_and_clipping,
    "`GradScaler`, unscaled twice": unscaled_twice,
    "bfloat16 weights: what rounding leaves of ε": bfloat16_weights,
    "BatchNorm": batchnorm,
    "BatchNorm, `torch.compile`": batchnorm_compiled,
    "BatchNorm, `torch.jit.script`": batchnorm_scripted,
    "BatchNorm, model called in another thread": batchnorm_in_a_thread,
    "BatchNorm, `momentum=None`": batchnorm_average,
    "InstanceNorm with running statistics": instance_norm,
    "spectral norm": spectral,
    "the same dropout in both passes": same_dropout,
    "micro-batches inside the closure": micro_batches,
    "sparse gradients of an embedding": sparse_gradient,
    "a parameter with a gradient in one pass only": one_gradient_only,
    "an exception in the second pass": second_pass_fails,
    "saved and resumed, with momentum": resumed,
    "a learning-rate schedule on the optimizer": scheduled,
    "rho set to −1 later": negative_rho,
    "a base that needs a closure (LBFGS)": lbfgs,
}
