"""The contract of every sharpness-aware method, over several base optimizers."""

import copy
import io

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

import ssam
from ssam.methods import METHODS as METHODS_OF_LANES
from tests import twins

BASES = {
    "sgd-momentum": lambda groups: torch.optim.SGD(groups, lr=0.05, momentum=0.9, weight_decay=5e-4),
    "adamw": lambda groups: torch.optim.AdamW(groups, lr=0.01),
}
METHODS = {
    "sam": {},
    "asam": {"adaptive": True},
    "ssam-full-norm": {"sparsity": 0.5},
    "ssam-masked-norm": {"sparsity": 0.5, "norm": "masked"},
    "ssam-asam": {"sparsity": 0.8, "adaptive": True, "norm": "masked"},
}
RULES = {  # of which tests/test_family.py has the twins
    "f-sam": METHODS_OF_LANES["f-sam"].optimizer,
    "vasso": METHODS_OF_LANES["vasso"].optimizer,
    "gsam": METHODS_OF_LANES["gsam"].optimizer,
    "looksam": METHODS_OF_LANES["looksam"].optimizer,
    "f-sam-masked-norm": {"sparsity": 0.5, "norm": "masked", **METHODS_OF_LANES["f-sam"].optimizer},
}


def network(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(64, 8),
        nn.Tanh(),
        nn.Linear(8, 3),
    ).double()


def batch(step):
    generator = torch.Generator().manual_seed(100 + step)
    x = torch.randn(16, 1, 6, 6, generator=generator, dtype=torch.float64)
    return x, torch.randint(3, (16,), generator=generator)


def closure_for(model, optimizer, step, calls=None):
    x, y = batch(step)

    def closure():
        if calls is not None:
            calls.append(step)
        optimizer.zero_grad()
        loss = cross_entropy(model(x), y)
        loss.backward()
        return loss

    return closure


def make(model, base="sgd-momentum", rho=0.1, sparsity=None, **settings):
    mask = None
    if sparsity is not None:
        mask = ssam.random_mask(model.parameters(), sparsity, torch.Generator().manual_seed(7))
    return ssam.SAM(BASES[base](model.parameters()), rho=rho, mask=mask, **settings)


def weights(model):
    return [p.detach().clone() for p in model.parameters()]


def same(a, b):
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


@pytest.fixture(params=BASES)
def base(request):
    return request.param


@pytest.fixture(params=METHODS | RULES)
def settings(request):
    return (METHODS | RULES)[request.param]


@pytest.mark.parametrize("name", METHODS)
def test_equals_the_slow_twin_step_by_step(base, name):
    settings = METHODS[name]
    model, twin = network(), network()
    sam = make(model, base, **settings)
    twin_base = BASES[base](twin.parameters())
    masks = None if sam.masks is None else [sam.masks[p] for p in model.parameters()]
    twin_settings = {key: value for key, value in settings.items() if key != "sparsity"}
    for step in range(4):
        loss = sam.step(closure_for(model, sam, step))
        expected = twins.sam_step(
            list(twin.parameters()), closure_for(twin, twin_base, step), twin_base.step, 0.1, masks, **twin_settings
        )
        assert loss.item() == pytest.approx(expected.item(), rel=1e-12)
        for p, q in zip(model.parameters(), twin.parameters(), strict=True):
            torch.testing.assert_close(p, q, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("adaptive", [False, True])
def test_equals_the_oracle_for_sam_and_asam(adaptive):
    from pytorch_optimizer import SAM as OracleSAM

    model, other = network(), network()
    sam = make(model, adaptive=adaptive)
    oracle = OracleSAM(
        other.parameters(), torch.optim.SGD, rho=0.1, adaptive=adaptive, lr=0.05, momentum=0.9, weight_decay=5e-4
    )
    for step in range(3):
        sam.step(closure_for(model, sam, step))
        closure = closure_for(other, oracle, step)
        closure()
        oracle.step(closure)
        for p, q in zip(model.parameters(), other.parameters(), strict=True):
            torch.testing.assert_close(p, q, rtol=1e-6, atol=1e-8)  # the oracle's norm is float32


def test_closed_form_on_a_quadratic():
    """L = ½ wᵀAw: g' = A(w + ρ m⊙Aw/‖Aw‖), and plain SGD walks along it."""
    a = torch.diag(torch.tensor([4.0, 1.0, 0.25], dtype=torch.float64))
    w = nn.Parameter(torch.tensor([1.0, -2.0, 3.0], dtype=torch.float64))
    mask = torch.tensor([True, False, True])
    start, g = w.detach().clone(), a @ w.detach()
    sam = ssam.SAM(torch.optim.SGD([w], lr=0.1), rho=0.3, mask={w: mask})

    def closure():
        sam.zero_grad()
        loss = 0.5 * w @ a @ w
        loss.backward()
        return loss

    loss = sam.step(closure)
    epsilon = 0.3 * mask.double() * g / (g.norm() + 1e-12)
    torch.testing.assert_close(w.detach(), start - 0.1 * (a @ (start + epsilon)), rtol=1e-14, atol=1e-14)
    assert loss.item() == pytest.approx(float(0.5 * start @ a @ start), rel=1e-14)
    assert float(sam.gradient_norm) == pytest.approx(float(g.norm()), rel=1e-14)
    assert float(sam.radius) == pytest.approx(float(epsilon.norm()), rel=1e-14)


def test_rho_zero_is_the_base_optimizer_bitwise(base, settings):
    model, plain = network(), network()
    sam, optimizer = make(model, base, **{**settings, "rho": 0.0}), BASES[base](plain.parameters())
    for step in range(3):
        sam.step(closure_for(model, sam, step))
        optimizer.step(closure_for(plain, optimizer, step))
    if "descent" not in settings:  # such a rule rounds
        assert same(weights(model), weights(plain))
    for p, q in zip(model.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("norm", ["full", "masked"])
def test_sparsity_zero_is_sam_and_sparsity_one_is_the_base(base, norm):
    models = [network() for _ in range(4)]
    dense, full = make(models[0], base), make(models[1], base, sparsity=0.0, norm=norm)
    plain, empty = BASES[base](models[2].parameters()), make(models[3], base, sparsity=1.0, norm=norm)
    for step in range(3):
        for model, optimizer in zip(models, (dense, full, plain, empty), strict=True):
            optimizer.step(closure_for(model, optimizer, step))
    assert same(weights(models[0]), weights(models[1]))
    assert same(weights(models[2]), weights(models[3]))
    assert not same(weights(models[0]), weights(models[2]))


def test_masked_norm_keeps_the_radius_and_full_norm_shrinks_it():
    for norm, check in (("masked", lambda r: r == pytest.approx(0.1, rel=1e-9)), ("full", lambda r: 0.03 < r < 0.099)):
        model = network()
        sam = make(model, sparsity=0.5, norm=norm)
        sam.step(closure_for(model, sam, 0))
        assert check(float(sam.radius)), norm


def test_closure_runs_exactly_twice_and_the_loss_is_the_one_at_w(base, settings):
    model = network()
    sam, calls = make(model, base, **settings), []
    before = copy.deepcopy(model)
    loss = sam.step(closure_for(model, sam, 0, calls))
    assert calls == [0, 0]
    x, y = batch(0)
    assert loss.item() == cross_entropy(before(x), y).item()


def test_only_masked_weights_move_and_w_is_restored_bitwise(settings):
    """Float32 and a large radius, where adding and subtracting would leave rounding errors."""
    model = network().float()
    sam = make(model, rho=3.0, **settings)
    before = weights(model)
    x, y = batch(0)
    cross_entropy(model(x.float()), y).backward()
    sam.ascent_step()
    for p, old in zip(model.parameters(), before, strict=True):
        moved = p.detach() != old
        if sam.masks is not None:
            assert not moved[~sam.masks[p]].any()
    assert not same(weights(model), before)
    sam.restore()
    assert same(weights(model), before)


def test_three_steps_save_load_three_steps_equal_six(base, settings):
    straight, first = network(), network()
    sam = make(straight, base, **settings)
    for step in range(6):
        sam.step(closure_for(straight, sam, step))
    sam = make(first, base, **settings)
    for step in range(3):
        sam.step(closure_for(first, sam, step))
    file = io.BytesIO()
    torch.save({"model": first.state_dict(), "sam": sam.state_dict()}, file)
    saved = torch.load(io.BytesIO(file.getvalue()), weights_only=True)
    second = network(seed=5)
    second.load_state_dict(saved["model"])
    rules = {name: rule for name, rule in settings.items() if callable(rule)}
    resumed = ssam.SAM(BASES[base](second.parameters()), **rules)
    resumed.load_state_dict(saved["sam"])
    assert resumed.param_groups is resumed.base.param_groups
    assert resumed.state is resumed.base.state
    for step in range(3, 6):
        resumed.step(closure_for(second, resumed, step))
    assert same(weights(straight), weights(second))
    assert same(straight.buffers(), second.buffers())


def test_groups_stay_shared_when_the_base_loads_by_itself():
    model = network()
    sam = make(model)
    sam.base.load_state_dict(sam.base.state_dict())
    sam.base.param_groups[0]["lr"] = 0.5
    assert sam.param_groups[0]["lr"] == 0.5


def test_a_copy_of_model_and_optimizer_goes_on_alike():
    model = network()
    sam = make(model, sparsity=0.5)
    sam.step(closure_for(model, sam, 0))
    twin, twin_sam = copy.deepcopy((model, sam))
    for m, optimizer in ((model, sam), (twin, twin_sam)):
        optimizer.step(closure_for(m, optimizer, 1))
    assert same(weights(model), weights(twin))


def test_schedulers_attach_to_the_base_optimizer():
    model = network()
    sam = make(model)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(sam.base, 10)
    sam.step(closure_for(model, sam, 0))
    scheduler.step()
    assert sam.param_groups[0]["lr"] == sam.base.param_groups[0]["lr"] < 0.05


def test_batchnorm_statistics_count_once_a_step(settings):
    model, plain = network(), network()
    sam = make(model, **settings)
    sam.step(closure_for(model, sam, 0))
    plain(batch(0)[0])
    assert int(model[1].num_batches_tracked) == 1
    assert torch.equal(model[1].running_mean, plain[1].running_mean)
    assert torch.equal(model[1].running_var, plain[1].running_var)


def test_frozen_batchnorm_normalises_alike_nests_and_survives_an_error():
    bn, plain = nn.BatchNorm1d(3), nn.BatchNorm1d(3)
    x = torch.randn(8, 3)
    with ssam.frozen_batchnorm():
        with ssam.frozen_batchnorm():
            inner = bn(x)
        outer = bn(x)
        with pytest.raises(ValueError, match="2D or 3D"):
            bn(torch.randn(3))
    assert torch.equal(inner, plain(x))
    assert torch.equal(outer, inner)
    assert int(bn.num_batches_tracked) == 0
    assert torch.equal(bn.running_mean, torch.zeros(3))
    bn(x)
    assert int(bn.num_batches_tracked) == 1
    assert torch.equal(bn.running_mean, plain.running_mean)


def test_frozen_parameters_are_left_alone(base, settings):
    model = network()
    model[0].weight.requires_grad_(False)
    frozen = model[0].weight.clone()
    sam = make(model, base, **settings)
    sam.step(closure_for(model, sam, 0))
    assert torch.equal(model[0].weight, frozen)


@pytest.mark.parametrize("only_in", ["first", "second"])
def test_a_gradient_in_only_one_pass_neither_crashes_nor_stays_perturbed(only_in):
    a, b = (nn.Parameter(torch.ones(3, dtype=torch.float64)) for _ in range(2))
    sam = ssam.SAM(torch.optim.SGD([a, b], lr=0.1), rho=0.1)
    passes = []

    def closure():
        sam.zero_grad()
        passes.append("first" if not passes else "second")
        loss = (a**2).sum() + ((b**2).sum() if passes[-1] == only_in else 0.0)
        loss.backward()
        return loss

    sam.step(closure)
    expected = torch.ones(3) if only_in == "first" else torch.full((3,), 0.8, dtype=torch.float64)
    torch.testing.assert_close(b.detach(), expected.double(), rtol=1e-14, atol=0)


def test_a_zero_gradient_gives_no_nan(settings):
    model = network()
    sam = make(model, **settings)
    x, _ = batch(0)

    def closure():
        sam.zero_grad()
        loss = 0.0 * model(x).sum()
        loss.backward()
        return loss

    sam.step(closure)
    assert all(bool(p.isfinite().all()) for p in model.parameters())
    assert float(sam.radius) == 0.0


def test_groups_may_have_their_own_rho_and_adaptivity():
    w, b = (nn.Parameter(torch.full((2,), 2.0, dtype=torch.float64)) for _ in range(2))
    base = torch.optim.SGD([{"params": [w], "rho": 0.5}, {"params": [b], "adaptive": True}], lr=0.1)
    sam = ssam.SAM(base, rho=0.25)
    ((w * 3).sum() + (b * 4).sum()).backward()
    sam.ascent_step()
    norm = (2 * 3.0**2 + 2 * (2 * 4.0) ** 2) ** 0.5
    torch.testing.assert_close(
        w.detach(), torch.full((2,), 2 + 0.5 * 3 / norm, dtype=torch.float64), rtol=1e-12, atol=0
    )
    torch.testing.assert_close(
        b.detach(), torch.full((2,), 2 + 0.25 * 4 * 4 / norm, dtype=torch.float64), rtol=1e-12, atol=0
    )


def test_a_base_with_a_rho_of_its_own_keeps_it():
    p = nn.Parameter(torch.ones(2))
    sam = ssam.SAM(torch.optim.Adadelta([p], rho=0.9), rho=0.05)
    p.sum().backward()
    sam.ascent_step()
    assert float(sam.radius) == pytest.approx(0.05)
    assert sam.param_groups[0]["rho"] == 0.9


def test_the_ascent_does_not_depend_on_the_loss_scale(settings):
    moved = []
    for scale in (1.0, 65536.0):
        model = network()
        sam = make(model, **settings)
        x, y = batch(0)
        (scale * cross_entropy(model(x), y)).backward()
        sam.ascent_step()
        moved.append(weights(model))
    for a, b in zip(*moved, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


def test_an_error_in_the_second_pass_restores_w():
    model = network()
    sam = make(model)
    before, closure, calls = weights(model), closure_for(model, sam, 0), []

    def failing():
        calls.append(None)
        if len(calls) == 2:
            raise RuntimeError("out of memory")
        return closure()

    with pytest.raises(RuntimeError, match="out of memory"):
        sam.step(failing)
    assert same(weights(model), before)


def test_a_skipped_overflow_step_restores_w():
    """The GradScaler recipe of the docstring, with a second gradient that overflows."""
    model = network().float()
    sam = make(model)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    before, (x, y) = weights(model), batch(0)
    scaler.scale(cross_entropy(model(x.float()), y)).backward()
    sam.ascent_step()
    with ssam.frozen_batchnorm():
        scaler.scale(cross_entropy(model(x.float()), y) * float("inf")).backward()
    sam.restore()
    scaler.step(sam.base)
    scaler.update()
    assert same(weights(model), before)
    assert scaler.get_scale() < 1024.0


def test_two_identical_runs_are_identical_bitwise(base, settings):
    ends = []
    for _ in range(2):
        model = network()
        sam = make(model, base, **settings)
        for step in range(3):
            sam.step(closure_for(model, sam, step))
        ends.append(weights(model))
    assert same(*ends)


def test_foreign_keys_stay_out_of_the_base_state():
    model = network()
    sam = make(model, "adamw", sparsity=0.5)
    sam.step(closure_for(model, sam, 0))
    assert {key for state in sam.base.state.values() for key in state} == {"step", "exp_avg", "exp_avg_sq"}


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda m, s: ssam.SAM(s.base, rho=-0.1), ValueError, "rho must be"),
        (lambda m, s: ssam.SAM(s.base, rho=float("nan")), ValueError, "rho must be"),
        (lambda m, s: ssam.SAM(s.base, norm="l1"), ValueError, "'full' or 'masked'"),
        (lambda m, s: ssam.SAM(m.parameters()), TypeError, "base must be a torch optimizer"),
        (lambda m, s: s.step(), TypeError, "needs a closure"),
        (lambda m, s: s.ascent_step(), RuntimeError, "no parameter has a gradient"),
        (lambda m, s: s.load_state_dict({"state": {}}), ValueError, "not the state of a SAM"),
        (lambda m, s: setattr(s, "masks", {m[0].weight: torch.ones(3)}), ValueError, "must be bool"),
        (lambda m, s: setattr(s, "masks", {torch.ones(3): torch.ones(3).bool()}), ValueError, "does not hold"),
    ],
)
def test_wrong_use_says_what_is_wrong(call, error, words):
    model = network()
    with pytest.raises(error, match=words):
        call(model, make(model))


def test_perturbed_weights_are_guarded():
    model = network()
    sam = make(model, sparsity=0.5)
    x, y = batch(0)
    cross_entropy(model(x), y).backward()
    sam.ascent_step()
    for action in (sam.ascent_step, lambda: setattr(sam, "masks", None), lambda: sam.load_state_dict(sam.state_dict())):
        with pytest.raises(RuntimeError, match="weights are perturbed"):
            action()
    for action in (sam.state_dict, lambda: copy.deepcopy(sam)):
        with pytest.raises(RuntimeError, match="weights are perturbed"):
            action()


def test_the_two_halves_are_the_whole_step(settings):
    """Two backward passes without zeroing in between: the ascent step takes the first gradients away."""
    model, other = network(), network()
    whole, halves = make(model, **settings), make(other, **settings)
    for step in range(2):
        whole.step(closure_for(model, whole, step))
        x, y = batch(step)
        halves.zero_grad()
        cross_entropy(other(x), y).backward()
        halves.ascent_step()
        with ssam.frozen_batchnorm():
            cross_entropy(other(x), y).backward()
        halves.descent_step()
    assert same(weights(model), weights(other))


def no_masks(state):
    for of_parameter in state["state"].values():
        del of_parameter["mask"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda state: state["param_groups"][0].update(sam_rho=float("nan")), "rho must be"),
        (lambda state: state["param_groups"][0].pop("sam_rho"), "not the state of a SAM"),
        (lambda state: state["state"][0].update(mask=torch.ones(2, dtype=torch.bool)), "a mask must be bool, of shape"),
        (no_masks, "had masks when it was saved"),
        (lambda state: state["param_groups"][0]["params"].pop(), "of 6 parameters, the optimizer holds 7"),
    ],
)
def test_a_state_that_does_not_fit_changes_nothing(change, says):
    model = network()
    sam = make(model, rho=0.1, sparsity=0.5)
    masks, foreign = sam.masks, sam.state_dict()
    foreign["param_groups"][0]["lr"] = 0.7
    change(foreign)
    with pytest.raises(ValueError, match=says):
        sam.load_state_dict(foreign)
    assert (sam.rho, sam.norm, sam.param_groups[0]["lr"]) == (0.1, "full", 0.05)
    assert sam.masks is masks


def test_a_half_precision_gradient_does_not_overflow_the_norm():
    p = nn.Parameter(torch.zeros(3, dtype=torch.float16))
    sam = ssam.SAM(torch.optim.SGD([p], lr=0.1), rho=0.5)
    p.grad = torch.full((3,), 6e4, dtype=torch.float16)
    sam.ascent_step()
    assert float(sam.gradient_norm) == pytest.approx(6e4 * 3**0.5, rel=1e-3)
    assert p.detach().float().norm().item() == pytest.approx(0.5, rel=1e-2)
