"""Checks of what can differ on a GPU. Each returns its facts, and raises AssertionError if something is wrong."""

import copy
import itertools
from collections.abc import Callable
from functools import partial
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

import ssam
from ssam.config import default_home
from ssam.engine import Race
from ssam.experiment import parse_spec
from ssam.experiment.events import STEP_PHASES, Checkpoint, Event, StepEvent
from ssam.models import StagedModel, build_model
from ssam.training.precision import autocast, precision
from ssam.training.steps import two_passes
from ssam.training.timing import PhaseTimer

Facts = dict[str, Any]
BATCH, SIZE, CLASSES = 32, 16, 10
ROUNDING = {
    "float32": 1e-3,
    "bfloat16": 5e-2,
}  # relative, of the weights after three steps, which amplify what the first rounds


def bf16_autocast(device: torch.device) -> Facts:
    """Activations have the device's precision, weights stay in float32, and steps are close to those in float32."""
    model, x, y = _problem(device)
    plain = copy.deepcopy(model)
    with autocast(device):
        logits = model(x)
    assert str(logits.dtype) == f"torch.{precision(device)}", logits.dtype
    _steps(model, lambda: _loss(model, x, y))
    _steps(plain, lambda: cross_entropy(plain(x), y))
    assert all(p.dtype == torch.float32 for p in model.parameters())
    return _agree(model, plain, ROUNDING[precision(device)]) | {"precision": precision(device)}


def event_timing(device: torch.device) -> Facts:
    """Every phase of a step has a time."""
    model, x, y = _problem(device)
    sam, times = _sam(model), []
    for _ in range(3):  # the first selects kernels
        timer = PhaseTimer(device)
        two_passes(model, sam, x, y, timer, lambda *_: None)
        times.append(timer.milliseconds())
    assert set(times[-1]) == set(STEP_PHASES), times[-1]
    assert all(ms >= 0 for ms in times[-1].values()), times[-1]
    assert sum(times[-1].values()) > 0
    return {"milliseconds": times[-1]}


def event_timing_by_stand_ins(device: torch.device) -> Facts:
    """The code for CUDA events, with stand-ins for them: what a machine without a GPU can rehearse."""
    ticks = itertools.count()

    class Event:
        def __init__(self, enable_timing: bool) -> None:
            self.at = -1

        def record(self) -> None:
            self.at = next(ticks)

        def elapsed_time(self, end: "Event") -> float:
            return float(end.at - self.at)

        def synchronize(self) -> None:
            pass

    with patch.object(torch.cuda, "Event", Event):
        timer = PhaseTimer(torch.device("cuda"))
        for phase in STEP_PHASES:
            timer.mark(phase)
        assert timer.milliseconds() == dict.fromkeys(STEP_PHASES, 1.0)
    return {}


def pinned_memory(device: torch.device) -> Facts:
    """Pixels arrive unchanged through pinned memory."""
    pixels = torch.randint(256, (256, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    held = pixels.pin_memory() if device.type == "cuda" else pixels
    there = held.to(device, non_blocking=True)
    assert torch.equal(there.cpu(), pixels)
    return {"pinned": held.is_pinned()}


def channels_last(device: torch.device) -> Facts:
    """The memory format does not change the steps by more than rounding."""
    model, x, y = _problem(device)
    other = copy.deepcopy(model).to(memory_format=torch.channels_last)
    last = x.to(memory_format=torch.channels_last)
    _steps(model, lambda: cross_entropy(model(x), y))
    _steps(other, lambda: cross_entropy(other(last), y))
    return _agree(model, other, ROUNDING[_matmul_precision(device)])


def resumed(device: torch.device) -> Facts:
    """A race that is broken off and resumed takes the same steps to the bit, unless the device does not repeat itself."""
    spec = parse_spec(
        {
            "lanes": "sgd,sam,ssam-f",
            "epochs": 2,
            "train_size": 512,
            "batch_size": 64,
            "fisher_samples": 16,
            "device": device.type,
        }
    )
    make = partial(Race, spec, home=default_home(), threads=1)
    whole, again = (_losses(make().events()) for _ in range(2))
    race, before, state = make(), [], None
    for event in race.events():
        if isinstance(event, Checkpoint):
            state = event.state
            break
        before.append(event)
        if isinstance(event, StepEvent) and event.step == 5:
            race.want_checkpoint()
    assert state is not None
    broken = _losses(before) | _losses(make(state=state).events())
    assert broken.keys() == whole.keys()
    apart = max(abs(whole[key] - broken[key]) for key in whole)
    assert apart == 0 or whole != again, f"losses differ by {apart}, although the device repeats itself"
    return {"largest_difference": apart, "repeats_itself": whole == again}


def prefix_reuse(device: torch.device) -> Facts:
    """Stages before the first perturbed one may run once for both passes."""
    model, x, y = _problem(device)
    other = copy.deepcopy(model)
    split = len(model.stages) // 2
    for each, shared in ((model, split), (other, 0)):
        late = {p for stage in list(each.stages.values())[split:] for p in stage.parameters()}
        masks = {p: torch.full_like(p, p in late, dtype=torch.bool) for p in each.parameters()}
        sam = ssam.SAM(torch.optim.SGD(each.parameters(), lr=0.05), rho=0.1, mask=masks, norm="masked")
        for _ in range(3):
            two_passes(each, sam, x, y, PhaseTimer(device), lambda *_: None, split=shared)
    return _agree(model, other, 0.0 if device.type == "cpu" else ROUNDING[precision(device)])


def compiled(device: torch.device) -> Facts:
    """``torch.compile`` with its default backend on a GPU; without one, a backend that needs no C++ compiler."""
    backend = "inductor" if device.type == "cuda" else "aot_eager"
    return _compiled(device, {"backend": backend}) | {"backend": backend}


def cuda_graphs(device: torch.device) -> Facts:
    """``torch.compile`` with CUDA graphs."""
    if device.type != "cuda":
        return {"skipped": "needs CUDA"}
    return _compiled(device, {"mode": "reduce-overhead"})


def fp16_scaler(device: torch.device) -> Facts:
    """The documented recipe for float16, with clipping, against steps in float32."""
    model, x, y = _problem(device)
    plain = copy.deepcopy(model)
    half = torch.autocast(device.type, torch.float16, enabled=device.type == "cuda")
    sam, scaler, other = _sam(model), torch.amp.GradScaler(device.type, init_scale=1024.0), _sam(plain)
    for _ in range(3):
        for each, scale in ((model, scaler.scale), (plain, lambda loss: loss)):
            optimizer = sam if each is model else other
            with half if each is model else torch.autocast(device.type, enabled=False):
                scale(cross_entropy(each(x), y)).backward()
                with optimizer.perturbed():
                    scale(cross_entropy(each(x), y)).backward()
        scaler.unscale_(sam.base)
        for each in (model, plain):
            nn.utils.clip_grad_norm_(each.parameters(), 1.0)
        scaler.step(sam.base)
        scaler.update()
        other.step()
        sam.zero_grad()
        other.zero_grad()
    return _agree(model, plain, ROUNDING["bfloat16" if device.type == "cuda" else "float32"])


def repeated_dropout(device: torch.device) -> Facts:
    """Both passes of ``step`` drop the same units, by the device's own generator."""
    dropped: list[Tensor] = []
    model = nn.Sequential(nn.Linear(8, 64), nn.Dropout(0.5), nn.Linear(64, 3)).to(device)
    model[1].register_forward_hook(lambda _m, _i, out: dropped.append(out == 0))
    x, y = torch.randn(16, 8, device=device), torch.randint(3, (16,), device=device)
    sam = ssam.SAM(torch.optim.SGD(model.parameters(), lr=0.1), rho=1e-6)
    for _ in range(2):
        sam.step(_closure(sam, lambda: cross_entropy(model(x), y)))
    assert torch.equal(dropped[0], dropped[1])
    assert not torch.equal(dropped[1], dropped[2])
    return {}


def fisher_mask(device: torch.device) -> Facts:
    """The mask has exactly the wanted size, and is nearly that of a CPU."""
    model, x, y = _problem(device)
    there = ssam.fisher_mask(model, cross_entropy, [(x, y)], 0.5)
    here = ssam.fisher_mask(model.cpu(), cross_entropy, [(x.cpu(), y.cpu())], 0.5)
    masks = [torch.cat([mask.cpu().flatten() for mask in each.values()]) for each in (there, here)]
    same = float((masks[0] == masks[1]).float().mean())
    assert int(masks[0].sum()) == int(masks[1].sum())
    assert same > 0.98, same
    return {"equal_share": same}


CHECKS: tuple[Callable[[torch.device], Facts], ...] = (
    *(bf16_autocast, event_timing, event_timing_by_stand_ins, pinned_memory, channels_last, resumed, prefix_reuse),
    *(compiled, cuda_graphs, fp16_scaler, repeated_dropout, fisher_mask),
)


def _problem(device: torch.device) -> tuple[StagedModel, Tensor, Tensor]:
    model = build_model("cnn8", channels=3, classes=CLASSES, size=SIZE, seed=0).to(device)
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(BATCH, 3, SIZE, SIZE, generator=generator).to(device)
    return model, x, (torch.arange(BATCH) % CLASSES).to(device)


def _loss(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    with autocast(x.device):
        return cross_entropy(model(x), y)


def _sam(model: nn.Module) -> ssam.SAM:
    return ssam.SAM(torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9), rho=0.1)


def _closure(sam: ssam.SAM, loss_of: Callable[[], Tensor]) -> Callable[[], Tensor]:
    def closure() -> Tensor:
        sam.zero_grad()
        loss = loss_of()
        loss.backward()
        return loss

    return closure


def _steps(model: nn.Module, loss_of: Callable[[], Tensor], count: int = 3) -> None:
    sam = _sam(model)
    for _ in range(count):
        sam.step(_closure(sam, loss_of))


def _compiled(device: torch.device, how: dict[str, str]) -> Facts:
    torch._dynamo.reset()
    model, x, y = _problem(device)
    plain = copy.deepcopy(model)
    run = torch.compile(model, **how)
    _steps(model, lambda: cross_entropy(run(x), y))
    _steps(plain, lambda: cross_entropy(plain(x), y))
    counted = {int(b) for name, b in model.named_buffers() if name.endswith("num_batches_tracked")}
    assert counted == {3}, f"BatchNorm has counted {counted} batches in three steps"
    return _agree(model, plain, ROUNDING[_matmul_precision(device)])


def _matmul_precision(device: torch.device) -> str:
    """Convolutions in float32 use TF32 on a GPU, which rounds to ten bits."""
    return "bfloat16" if device.type == "cuda" else "float32"


def _agree(a: nn.Module, b: nn.Module, tolerance: float) -> Facts:
    """Compare two networks: the distance of their weights over the length of the weights."""
    apart, length = (
        torch.linalg.vector_norm(torch.cat([t.detach().flatten() for t in tensors])).item()
        for tensors in (
            [p - q for p, q in zip(a.parameters(), b.parameters(), strict=True)],
            list(a.parameters()),
        )
    )
    assert apart <= tolerance * length, f"apart by {apart / length:.2e} of their length, allowed {tolerance:.0e}"
    return {"relative_difference": apart / length, "tolerance": tolerance}


def _losses(events: Any) -> dict[tuple[str, int], float]:
    taken: list[Event] = list(events)
    return {(event.lane, event.step): event.loss for event in taken if isinstance(event, StepEvent)}
