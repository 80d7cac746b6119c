"""Fast steps against their slow twins: bit for bit where they claim to be exact."""

import copy

import pytest
import torch
from torch import nn

import ssam
from ssam.engine.plan import choose_plan, touched_stages
from ssam.experiment import LaneSpec, parse_spec
from ssam.methods.directions import against_momentum, last_gradient
from ssam.models import StagedModel, build_model, parameters_in, stage_macs, stage_shares
from ssam.training import steps
from ssam.training.timing import PhaseTimer
from tests import twins
from tests.closures import closure_for

CPU = torch.device("cpu")
MODELS = ("cnn8", "resnet20", "vit-tiny", "mixer")


def model_of(name, seed=0):
    return build_model(name, channels=1, classes=10, size=28, seed=seed).train()


def batch(step, size=16):
    generator = torch.Generator().manual_seed(step)
    return torch.randn(size, 1, 28, 28, generator=generator), torch.randint(10, (size,), generator=generator)


def sam_for(model, masks, norm="masked", rho=0.1, momentum=0.9):
    base = torch.optim.SGD(model.parameters(), lr=0.05, momentum=momentum, weight_decay=5e-4)
    return ssam.SAM(base, rho=rho, mask=masks, norm=norm)


def region_masks(model, region, share=1.0):
    """Masks that perturb ``share`` of each tensor of the region, at random."""
    generator = torch.Generator().manual_seed(5)
    return {p: torch.rand(p.shape, generator=generator) < share for p in parameters_in(model, region)}


def transferred(masks, model, twin):
    other = dict(zip(model.parameters(), twin.parameters(), strict=True))
    return {other[p]: mask for p, mask in masks.items()}


def first_stage(model, parameters):
    return next(i for i, what in enumerate(touched_stages(model, parameters)) if what != "nothing")


def nothing(_sam, _timer):
    pass


def assert_same_state(model, twin):
    for (name, a), b in zip(model.state_dict().items(), twin.state_dict().values(), strict=True):
        assert torch.equal(a, b), name


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("share", [1.0, 0.5])
@pytest.mark.parametrize("region", ["late", "early", "from-0", "from-4", "norm"])
def test_lean_passes_equal_two_full_ones_bit_for_bit(name, region, share):
    model, twin = model_of(name), model_of(name)
    masks = region_masks(model, region, share)
    sam, plain = sam_for(model, masks), sam_for(twin, transferred(masks, model, twin))
    split = first_stage(model, list(masks))
    for step in range(3):
        x, y = batch(step)
        record = steps.two_passes(model, sam, x, y, PhaseTimer(CPU), nothing, split)
        sam.base.zero_grad()
        loss = plain.step(closure_for(twin, plain, x, y))
        assert torch.equal(record.loss, loss.detach())
        assert torch.equal(record.radius, plain.radius)
    assert_same_state(model, twin)


def test_lean_passes_equal_the_paper_line_by_line():
    model, twin = model_of("cnn8").double(), model_of("cnn8").double()
    masks = region_masks(model, "late", 0.7)
    sam = sam_for(model, masks)
    base = torch.optim.SGD(twin.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4)
    listed = [masks.get(p, torch.zeros_like(p, dtype=torch.bool)) for p in model.parameters()]
    for step in range(3):
        x, y = batch(step)
        x = x.double()
        steps.two_passes(model, sam, x, y, PhaseTimer(CPU), nothing, first_stage(model, list(masks)))
        sam.base.zero_grad()
        closure = closure_for(twin, base, x, y)
        twins.sam_step(list(twin.parameters()), closure, base.step, 0.1, listed, norm="masked")
    for p, q in zip(model.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-9, atol=1e-12)


def test_every_way_tells_the_norm_of_the_whole_gradient_at_the_perturbed_weights():
    x, y = batch(0)
    ways = {
        "two passes": lambda model, sam: steps.two_passes(model, sam, x, y, PhaseTimer(CPU), nothing),
        "sub-batch": lambda model, sam: steps.sub_batch_ascent(model, sam, x, y, PhaseTimer(CPU), nothing, 4),
        "last": lambda model, sam: steps.free_ascent(model, sam, x, y, PhaseTimer(CPU), last_gradient),
    }
    for way, take in ways.items():
        model, twin = model_of("cnn8"), model_of("cnn8")
        masks = region_masks(model, "late", 0.5)
        sam = sam_for(model, masks, rho=0.5)
        plain = sam_for(twin, transferred(masks, model, twin), rho=0.5)
        part = slice(4) if way == "sub-batch" else slice(None)
        closure_for(twin, plain, x[part], y[part])()
        if way == "last":  # its gradients are there from the step before
            closure_for(model, sam, x, y)()
        plain.ascent_step()
        closure_for(twin, plain, x, y)()
        record = take(model, sam)
        expected = torch.sqrt(sum(p.grad.double().square().sum() for p in twin.parameters()))
        torch.testing.assert_close(record.perturbed_norm.double(), expected, rtol=1e-5, atol=0, msg=way)
        assert not torch.isclose(record.perturbed_norm, record.gradient_norm, rtol=1e-3), way
    model = model_of("cnn8")
    assert steps.descend(model, torch.optim.SGD(model.parameters()), x, y, PhaseTimer(CPU)).perturbed_norm is None


def test_the_prefix_runs_once_and_the_first_backward_stops_there():
    model = model_of("cnn8")
    masks = region_masks(model, "late")
    split = first_stage(model, list(masks))
    calls = []
    for name, stage in model.stages.items():
        stage.register_forward_hook(lambda *_args, name=name: calls.append(name))
    steps.two_passes(model, sam_for(model, masks), *batch(0), PhaseTimer(CPU), nothing, split)
    names = list(model.stages)
    assert calls == names + names[split:]


class Doubled(nn.Module):
    """A stage that changes its input in place."""

    def forward(self, x):
        return x.mul_(2)


def net_with(*extra):
    """A small staged net; ``extra`` stages stand before its last."""
    torch.manual_seed(0)
    first, last = nn.Sequential(nn.Linear(6, 8), nn.Dropout(0.5)), nn.Sequential(nn.Dropout(0.5), nn.Linear(8, 3))
    return StagedModel([("first", first), *extra, ("middle", nn.Linear(8, 8)), ("last", last)]).train()


def test_dropout_is_the_same_in_both_passes_also_behind_a_shared_prefix():
    model, twin = net_with(), net_with()
    masks = {p: torch.ones_like(p, dtype=torch.bool) for p in model.stages["last"].parameters()}
    sam, plain = sam_for(model, masks), sam_for(twin, transferred(masks, model, twin))
    for step in range(3):
        x, y = torch.randn(5, 6), torch.randint(3, (5,))
        torch.manual_seed(step)
        steps.two_passes(model, sam, x, y, PhaseTimer(CPU), nothing, split=2)
        sam.base.zero_grad()
        after = torch.get_rng_state()

        def closure(x=x, y=y, step=step):
            torch.manual_seed(step)
            return closure_for(twin, plain, x, y)()

        plain.step(closure)
        assert torch.equal(torch.get_rng_state(), after)  # and the stream goes on as after one pass
        assert_same_state(model, twin)


def test_a_stage_that_works_in_place_is_refused():
    model = net_with(("doubled", Doubled()))
    masks = {p: torch.ones_like(p, dtype=torch.bool) for p in model.stages["last"].parameters()}
    x, y = torch.randn(5, 6), torch.randint(3, (5,))
    with pytest.raises(RuntimeError, match=r"stage 'doubled' .*in place"):
        steps.two_passes(model, sam_for(model, masks), x, y, PhaseTimer(CPU), nothing, split=1)


def test_under_bf16_autocast_a_shared_prefix_changes_nothing(monkeypatch):
    monkeypatch.setattr("ssam.training.precision.precision", lambda device: "bfloat16")
    model, twin = model_of("vit-tiny"), model_of("vit-tiny")
    masks = region_masks(model, "late", 0.5)
    sam, plain = sam_for(model, masks), sam_for(twin, transferred(masks, model, twin))
    for step in range(2):
        x, y = batch(step)
        steps.two_passes(model, sam, x, y, PhaseTimer(CPU), nothing, first_stage(model, list(masks)))
        sam.base.zero_grad()
        steps.two_passes(twin, plain, x, y, PhaseTimer(CPU), nothing, 0, list(twin.parameters()))
        plain.base.zero_grad()
    assert_same_state(model, twin)


def test_the_full_norm_takes_every_gradient():
    model, twin = model_of("cnn8"), model_of("cnn8")
    masks = region_masks(model, "late")
    sam, plain = sam_for(model, masks, norm="full"), sam_for(twin, transferred(masks, model, twin), norm="full")
    x, y = batch(0)
    steps.two_passes(model, sam, x, y, PhaseTimer(CPU), nothing)
    plain.step(closure_for(twin, plain, x, y))
    assert torch.equal(sam.gradient_norm, plain.gradient_norm)
    assert_same_state(model, twin)


def test_sub_batch_ascent_equals_its_twin():
    model, twin = model_of("cnn8"), model_of("cnn8")
    sam, plain = sam_for(model, None, norm="full"), sam_for(twin, None, norm="full")
    for step in range(3):
        x, y = batch(step)
        steps.sub_batch_ascent(model, sam, x, y, PhaseTimer(CPU), nothing, ascent_batch=4)
        sam.base.zero_grad()
        with ssam.frozen_batchnorm():
            closure_for(twin, plain, x[:4], y[:4])()
        plain.ascent_step()
        closure_for(twin, plain, x, y)()
        plain.descent_step()
    assert_same_state(model, twin)
    assert int(model.stages["stem"].norm.num_batches_tracked) == 3


@pytest.mark.parametrize("share", [1.0, 0.5])
def test_momentum_ascent_equals_its_twin(share):
    """ε = −ρ m⊙v/‖v‖, and one gradient, at w+ε."""
    model, twin = model_of("cnn8"), model_of("cnn8")
    masks = region_masks(model, "all", share)
    sam = sam_for(model, masks, norm="full", rho=1.0)
    base = torch.optim.SGD(twin.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4)
    listed = [masks[p] for p in model.parameters()]
    for step in range(3):
        x, y = batch(step)
        if step:
            steps.free_ascent(model, sam, x, y, PhaseTimer(CPU), against_momentum)
        else:
            steps.descend(model, sam.base, x, y, PhaseTimer(CPU))
        sam.base.zero_grad()

        kept = [p.detach().clone() for p in twin.parameters()]
        if step:
            buffers = [base.state[p]["momentum_buffer"].clone() for p in twin.parameters()]
            norm = torch.stack([v.norm() for v in buffers]).norm()
            with torch.no_grad():
                for p, v, m in zip(twin.parameters(), buffers, listed, strict=True):
                    p -= m * v / norm
        closure_for(twin, base, x, y)()
        with torch.no_grad():
            for p, w in zip(twin.parameters(), kept, strict=True):
                p.copy_(w)
        base.step()
    for (name, a), b in zip(model.state_dict().items(), twin.state_dict().values(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-5, msg=name)


def plan(lane, model="cnn8", **values):
    spec = parse_spec({"lanes": lane, "model": model, **values})
    net = model_of(model)
    region = parameters_in(net, spec.lanes[0].region)
    return choose_plan(spec, spec.lanes[0], net, region, stage_shares(net, (1, 28, 28))), net


def test_the_plan_is_the_cheapest_exact_one():
    assert plan("sgd")[0].predicted_ratio == 1.0
    full, _ = plan("ssam-f:region=late")
    assert (full.predicted_ratio, full.split, full.exact) == (2.0, 0, True)  # the full norm asks for every gradient
    lean, net = plan("ssam-f:region=late:norm=masked")
    costs = stage_macs(net, (1, 28, 28))
    assert lean.split == first_stage(net, parameters_in(net, "late")) > 0
    assert lean.predicted_ratio == pytest.approx(1 + sum(costs[lean.split :]) / sum(costs))
    assert lean.exact
    norm, _ = plan("sam:region=norm:norm=masked")
    assert norm.predicted_ratio == pytest.approx(1 + 2 / 3, abs=0.01)
    early, _ = plan("sam:region=early:norm=masked")
    assert 1.7 < early.predicted_ratio < 2
    assert early.split == 0


def test_plans_that_approximate_say_so():
    small, _ = plan("sam:ascent_batch=32")
    assert (small.predicted_ratio, small.exact) == (1.25, False)
    assert plan("sam:ascent_batch=128")[0].exact
    seldom, _ = plan("sam:ascent_interval=4")
    assert (seldom.predicted_ratio, seldom.exact) == (1.25, False)
    free, _ = plan("ssam-f:direction=momentum")
    assert (free.predicted_ratio, free.exact) == (1.0, False)


@pytest.mark.parametrize("name", MODELS)
def test_late_and_early_halve_the_parameters(name):
    net = model_of(name)
    early, late = parameters_in(net, "early"), parameters_in(net, "late")
    assert [*early, *late] == list(net.parameters())
    share = sum(p.numel() for p in late) / sum(p.numel() for p in net.parameters())
    assert 0.3 < share < 0.7


def test_regions_that_are_not_there_are_refused():
    with pytest.raises(ValueError, match=r"stages .*0 to 7"):
        parameters_in(model_of("cnn8"), "from-40")
    net = model_of("cnn8")
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.requires_grad_(False)
    with pytest.raises(ValueError, match="normalisation layers"):
        parameters_in(net, "norm")


def test_a_lane_with_settings_survives_being_written_as_text():
    lane = LaneSpec(method="ssam-f", region="from-3", norm="masked", ascent_batch=32, ascent_interval=2, rho=0.2)
    assert LaneSpec.parse(str(lane)) == lane
    assert copy.copy(lane) == lane
