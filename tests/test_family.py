"""SAM's relatives: each against its slow twin, in closed form, and in a lane that is broken off and taken up again."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn

import ssam
from ssam.analysis.step import norm, numbers, take_step
from ssam.engine import Race
from ssam.experiment import parse_spec
from ssam.experiment.events import Checkpoint, EpochEvent
from ssam.methods import METHODS, f_sam, gsam, looksam, vasso
from ssam.models import build_model
from ssam.planning.cost import plan_for
from tests import twins
from tests.closures import closure_for

BASES = {
    "sgd-momentum": lambda params: torch.optim.SGD(params, lr=0.05, momentum=0.9, weight_decay=5e-4),
    "adamw": lambda params: torch.optim.AdamW(params, lr=0.01),
}
MASKS = {"dense": {}, "full norm": {"sparsity": 0.5}, "masked norm": {"sparsity": 0.5, "norm": "masked"}}
STEPS = 7


def network():
    torch.manual_seed(0)
    layers = nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 8), nn.Tanh(), nn.Linear(8, 3)
    return nn.Sequential(*layers).double()


def batch(step):
    generator = torch.Generator().manual_seed(step)
    x = torch.randn(16, 1, 6, 6, generator=generator, dtype=torch.float64)
    return x, torch.randint(3, (16,), generator=generator)


def optimizer_of(name, model, base="sgd-momentum", sparsity=None, **settings):
    """The optimizer of a method, as a lane has it."""
    draw = torch.Generator().manual_seed(7)
    mask = None if sparsity is None else ssam.random_mask(model.parameters(), sparsity, draw)
    return ssam.SAM(BASES[base](model.parameters()), rho=0.1, mask=mask, **{**METHODS[name].optimizer, **settings})


def trained(take, steps=STEPS):
    """The weights after some steps. ``take`` gives, for a network, what takes step number ``step`` of it."""
    model = network()
    step_of = take(model)
    for step in range(steps):
        step_of(step)
    return [p.detach().clone() for p in model.parameters()]


def taken(sam, closure, step, every):
    """One step as a lane takes it: it perturbs in every so many-th."""
    if step % every == 0:
        return sam.step(closure)
    loss = closure()
    sam.base.step()
    return loss


def by(name, steps=STEPS, every=None, **settings):
    def take(model):
        sam = optimizer_of(name, model, **settings)
        return lambda step: taken(sam, closure_for(model, sam, *batch(step)), step, every or METHODS[name].interval)

    return trained(take, steps)


def close(one, other, rtol=1e-10):
    for a, b in zip(one, other, strict=True):
        torch.testing.assert_close(a, b, rtol=rtol, atol=1e-12)


def same(one, other):
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


TWINS = {"f-sam": twins.f_sam_step, "vasso": twins.vasso_step, "gsam": twins.gsam_step, "looksam": twins.looksam_step}


@pytest.mark.parametrize("masks", MASKS)
@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("name", TWINS)
def test_equals_the_slow_twin_step_by_step(name, base, masks):
    model, twin, memory = network(), network(), []
    sam = optimizer_of(name, model, base, **MASKS[masks])
    other = BASES[base](twin.parameters())
    listed = None if sam.masks is None else [sam.masks[p] for p in model.parameters()]
    for step in range(STEPS):
        loss = taken(sam, closure_for(model, sam, *batch(step)), step, METHODS[name].interval)
        closure = closure_for(twin, other, *batch(step))
        expected = TWINS[name](list(twin.parameters()), closure, other.step, 0.1, memory, masks=listed, norm=sam.norm)
        assert loss.item() == pytest.approx(expected.item(), rel=1e-10)
        close(model.parameters(), twin.parameters())


# F-SAM


def test_the_first_step_of_f_sam_is_sams_and_so_is_every_step_with_sigma_zero(monkeypatch):
    assert same(by("f-sam", steps=1), by("sam", steps=1))
    assert not same(by("f-sam"), by("sam"))
    monkeypatch.setattr(f_sam, "SIGMA", 0.0)
    assert same(by("f-sam"), by("sam"))


def test_with_lambda_zero_f_sam_follows_the_difference_of_two_gradients(monkeypatch):
    monkeypatch.setattr(f_sam, "LAMBDA", 0.0)
    p, kept = nn.Parameter(torch.zeros(3)), {}
    gradients = torch.tensor([[1.0, 2.0, 3.0], [0.5, 0.0, 1.0], [2.0, 2.0, 2.0]])
    followed = [f_sam.away_from_average({p: g}, kept)[p] for g in gradients]
    torch.testing.assert_close(torch.stack(followed[1:]), gradients[1:] - gradients[:-1])


def test_f_sam_equals_the_oracle():
    from pytorch_optimizer import FriendlySAM

    def oracle(model):
        settings = {"rho": 0.1, "lr": 0.05, "momentum": 0.9, "weight_decay": 5e-4}
        optimizer = FriendlySAM(model.parameters(), torch.optim.SGD, sigma=1.0, lmbda=0.9, **settings)

        def step(number):
            closure = closure_for(model, optimizer, *batch(number))
            closure()
            optimizer.step(closure)

        return step

    close(by("f-sam"), trained(oracle), rtol=1e-5)  # the oracle's norm is float32


# VaSSO


def test_vasso_with_theta_one_is_sam(monkeypatch):
    assert same(by("vasso", steps=1), by("sam", steps=1))
    assert not same(by("vasso"), by("sam"))
    monkeypatch.setattr(vasso, "THETA", 1.0)
    close(by("vasso"), by("sam"))


def test_vasso_follows_the_weighted_sum_of_all_gradients(monkeypatch):
    monkeypatch.setattr(vasso, "THETA", 0.25)
    p, kept = nn.Parameter(torch.zeros(1)), {}
    for g in (8.0, 4.0, 16.0):
        followed = vasso.along_average({p: torch.tensor([g])}, kept)[p]
    assert float(followed) == 0.75 * (0.75 * 8 + 0.25 * 4) + 0.25 * 16


# GSAM


def test_gsam_with_alpha_zero_is_sam(monkeypatch):
    assert not same(by("gsam"), by("sam"))
    monkeypatch.setattr(gsam, "ALPHA", 0.0)
    assert same(by("gsam"), by("sam"))


def test_gsam_leaves_the_part_along_the_perturbed_gradient_alone():
    p, q = (nn.Parameter(torch.zeros(1)) for _ in range(2))
    at_w, at_perturbed = {p: torch.tensor([3.0]), q: torch.tensor([4.0])}, {p: torch.tensor([2.0]), q: torch.zeros(1)}
    used = gsam.less_orthogonal(at_w, at_perturbed, {})
    assert [float(used[p]), float(used[q])] == pytest.approx([2.0, -gsam.ALPHA * 4.0])


def test_gsam_equals_the_oracle():
    from pytorch_optimizer import GSAM

    def oracle(model):
        base, radius = BASES["sgd-momentum"](model.parameters()), SimpleNamespace(step=lambda: 0.1)
        optimizer = GSAM(model.parameters(), base, model, radius, alpha=gsam.ALPHA)

        def both(number):
            with torch.enable_grad():
                return None, closure_for(model, base, *batch(number))()

        return lambda number: optimizer.step(lambda: both(number))

    close(by("gsam"), trained(oracle), rtol=1e-5)  # the oracle's norm is float32


# LookSAM


def test_looksam_in_every_step_is_sam():
    assert same(by("looksam", every=1), by("sam"))


def test_without_alpha_the_steps_between_are_those_of_the_base(monkeypatch):
    assert not same(by("looksam"), by("sam", every=5))
    monkeypatch.setattr(looksam, "ALPHA", 0.0)
    assert same(by("looksam"), by("sam", every=5))


def test_looksam_equals_the_oracle_on_a_single_tensor():
    """It decomposes tensor by tensor, so only there."""
    from pytorch_optimizer import LookSAM

    weights = [nn.Parameter(torch.tensor([1.0, -2.0, 3.0], dtype=torch.float64)) for _ in range(2)]
    base = torch.optim.SGD(weights[:1], lr=0.05)
    sam = ssam.SAM(base, rho=0.3, **METHODS["looksam"].optimizer)
    oracle = LookSAM(weights[1:], torch.optim.SGD, rho=0.3, k=5, alpha=looksam.ALPHA, lr=0.05)

    def closure_of(w, optimizer, step):
        def closure():
            optimizer.zero_grad()
            loss = (torch.tensor([4.0, 1.0, 0.25]) * (w - 0.1 * step) ** 2).sum()
            loss.backward()
            return loss

        return closure

    for step in range(12):
        taken(sam, closure_of(weights[0], sam, step), step, 5)
        closure = closure_of(weights[1], oracle, step)
        closure()
        oracle.step(closure)
        torch.testing.assert_close(weights[0], weights[1], rtol=1e-5, atol=1e-6)


def test_a_step_of_looksam_leaves_the_gradient_at_w_and_costs_a_fifth_more():
    model = network()
    sam = optimizer_of("looksam", model)
    sam.step(closure_for(model, sam, *batch(0)))
    closure_for(model, sam, *batch(1))()
    before = [p.grad.clone() for p in model.parameters()]
    sam.base.step()
    assert same([p.grad for p in model.parameters()], before)
    race = parse_spec({"lanes": "looksam,looksam:ascent_interval=2,looksam:ascent_interval=5:rho=0.3"})
    assert [lane.passes for lane in race.lanes] == pytest.approx([1.2, 1.5, 1.2])
    plans = [plan_for(race, lane, ["network"], [1.0], ["matrices"]) for lane in race.lanes]
    assert [plan.predicted_ratio for plan in plans] == pytest.approx([1.2, 1.5, 1.2])
    assert all(plan.exact for plan in plans)
    assert str(race.lanes[2]) == "looksam:rho=0.3"


# Lanes


def ends(events):
    return [event for event in events if isinstance(event, EpochEvent)]


@pytest.mark.parametrize("lane", ["f-sam", "vasso", "gsam", "looksam"])
def test_a_lane_goes_on_from_its_checkpoint_bit_for_bit(tmp_path: Path, lane: str) -> None:
    spec = parse_spec({"lanes": lane, "train_size": 112, "batch_size": 16, "epochs": 2, "seed": 3, "rho": 0.1})
    whole = ends(Race(spec, home=tmp_path, threads=1).events())
    race, state = Race(spec, home=tmp_path, threads=1), None
    for event in race.events():
        if isinstance(event, EpochEvent) and event.epoch == 1:
            race.want_checkpoint()
        if isinstance(event, Checkpoint):
            state = event.state
            break
    assert any(tensor is not None for tensor in state["lanes"][lane]["optimizer"]["kept"]) == bool(METHODS[lane].keeps)
    again = ends(Race(spec, home=tmp_path, threads=1, state=state).events())
    assert (again[-1].test_loss, again[-1].train_loss) == (whole[-1].test_loss, whole[-1].train_loss)


def test_a_step_taken_apart_shows_what_f_sam_follows():
    model = build_model("cnn8", channels=1, classes=10, size=28, seed=0)
    sam = optimizer_of("f-sam", model)
    generator = torch.Generator().manual_seed(0)
    for _ in range(2):
        x, y = torch.randn(8, 1, 28, 28, generator=generator), torch.randint(10, (8,), generator=generator)
        averages = dict(sam.rules.kept)
        step = take_step(model, sam, x, y)
    row = numbers(step, sam)
    expected = [g - averages[p] for p, g in zip(model.parameters(), step.gradient, strict=True)]
    close(step.followed, expected, rtol=1e-6)
    assert row["dense"] == pytest.approx(0.1, rel=1e-5)
    assert row["divisor"] == pytest.approx(norm(step.followed), rel=1e-5)
    assert row["gradient_norm"] == pytest.approx(norm(step.gradient), rel=1e-5)


# Rules


def test_a_state_with_kept_tensors_fits_only_a_method_with_rules():
    model = network()
    sam = optimizer_of("f-sam", model)
    sam.step(closure_for(model, sam, *batch(0)))
    plain = optimizer_of("sam", model)
    with pytest.raises(ValueError, match="keep tensors"):
        plain.load_state_dict(sam.state_dict())
    state = sam.state_dict()
    for of_parameter in state["state"].values():
        del of_parameter["kept"]
    with pytest.raises(ValueError, match="had kept tensors"):
        sam.load_state_dict(state)


def test_rules_refuse_scaled_gradients():
    model = network().float()
    sam = optimizer_of("f-sam", model)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    loss = model(torch.randn(4, 1, 6, 6)).square().mean()
    scaler.scale(loss).backward()
    with sam.perturbed():
        scaler.scale(model(torch.randn(4, 1, 6, 6)).square().mean()).backward()
    scaler.unscale_(sam.base)
    with pytest.raises(RuntimeError, match="not scaled"):
        scaler.step(sam.base)
