"""The optimizer in other people's training code: right or refused, never wrong without a word."""

import sys
import threading
from contextlib import nullcontext

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.nn.modules.module import _global_forward_pre_hooks
from torch.nn.utils import parametrizations, parametrize, spectral_norm

import ssam
from benchmarks.border.cases import X, Y, closure_for, network


def sgd(model, **settings):
    return torch.optim.SGD(model.parameters(), lr=0.1, **settings)


def weights(model):
    return [p.detach().clone() for p in model.parameters()]


def same(a, b):
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


# ── the second pass sees w + ε ──


def test_autocast_around_the_step_does_not_keep_the_weights_of_the_first_pass():
    ends = []
    for around in (True, False):
        model, losses = network(), []
        sam = ssam.SAM(sgd(model), rho=2.0)
        low = torch.autocast("cpu", torch.bfloat16)

        def closure(low=low, around=around, model=model, sam=sam, losses=losses):
            sam.zero_grad()
            with nullcontext() if around else low:
                loss = cross_entropy(model(X), Y)
            loss.backward()
            losses.append(loss.item())
            return loss

        with low if around else nullcontext():
            for _ in range(2):
                sam.step(closure)
        assert losses[0] != losses[1] != losses[2]
        ends.append(weights(model))
    assert same(*ends)


def test_cached_parametrizations_are_made_anew_for_the_second_pass():
    model = network()
    parametrizations.weight_norm(model[0])
    losses, sam = [], ssam.SAM(sgd(model), rho=2.0)
    with parametrize.cached():
        sam.step(closure_for(sam, model, losses))
    assert losses[0] != losses[1]


# ── statistics count once ──


def compiled(model):
    return torch.compile(model, backend="eager")


def compiled_in_place(model):
    model.compile(backend="aot_eager")
    return model


def function_compiled(model):
    return torch.compile(lambda x: model(x), backend="eager")


def in_another_thread(model):
    def run(x):
        out = []
        thread = threading.Thread(target=lambda: out.append(model(x)))
        thread.start()
        thread.join()
        return out[0]

    return run


RUNNERS = {
    "eager": lambda model: model,
    "compile": compiled,
    "aot": lambda model: torch.compile(model, backend="aot_eager"),
    "in-place": compiled_in_place,
    "function": function_compiled,
    "script": torch.jit.script,
    "trace": lambda model: torch.jit.trace(model, X, check_trace=False),
    "thread": in_another_thread,
}


@pytest.mark.parametrize("how", RUNNERS)
@pytest.mark.filterwarnings("ignore:.*torch.jit", "ignore:Using .torch.compile", "ignore::torch.jit.TracerWarning")
def test_batchnorm_counts_once_however_the_model_runs(how):
    torch._dynamo.reset()
    model, plain = network(nn.BatchNorm1d(8)), network(nn.BatchNorm1d(8))
    run = RUNNERS[how](model)
    if how == "trace":
        model[1].reset_running_stats()  # tracing runs the model
    sam, other = ssam.SAM(sgd(model), rho=0.5), ssam.SAM(sgd(plain), rho=0.5)
    for _ in range(2):
        sam.step(closure_for(sam, run))
        other.step(closure_for(other, plain))
    assert int(model[1].num_batches_tracked) == 2
    torch.testing.assert_close(model[1].running_mean, plain[1].running_mean)
    torch.testing.assert_close(model[0].weight, plain[0].weight)


class OwnStatistics(nn.Module):
    """Replaces its buffer instead of changing it."""

    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.zeros(8))

    def forward(self, x):
        self.mean = 0.9 * self.mean + 0.1 * x.detach().mean(0)
        return x - self.mean


def instance_norm():
    return nn.Sequential(
        nn.Unflatten(1, (2, 4)), nn.InstanceNorm1d(2, track_running_stats=True), nn.Flatten(), nn.Identity()
    )


@pytest.mark.parametrize(
    "middle",
    [
        instance_norm,
        OwnStatistics,
        lambda: spectral_norm(nn.Linear(8, 8)),
        lambda: parametrizations.spectral_norm(nn.Linear(8, 8)),
    ],
)
@pytest.mark.filterwarnings("ignore:.*spectral_norm")
def test_whatever_a_module_counts_is_counted_once(middle):
    """After the step the buffers are as after one forward pass at w."""
    model = network(middle())
    torch.manual_seed(0)
    plain = network(middle())
    plain.load_state_dict(model.state_dict())
    sam = ssam.SAM(sgd(model), rho=0.5)
    sam.step(closure_for(sam, model))
    plain(X)
    assert len(list(model.buffers())) > 0
    assert same(model.buffers(), plain.buffers())


def test_a_trunk_that_another_optimizer_trains_is_counted_once_too():
    trunk, head = nn.Sequential(nn.Linear(6, 6), nn.BatchNorm1d(6)), nn.Linear(6, 3)
    sam = ssam.SAM(sgd(head))
    sam.step(closure_for(sam, lambda x: head(trunk(x).detach())))
    assert int(trunk[1].num_batches_tracked) == 1


# ── w is always restored ──


def test_wherever_a_signal_strikes_w_is_restored():
    """An interrupt at each line that a step runs in the package, one after the other."""
    model = network(nn.BatchNorm1d(8)).double()
    x = X.double()
    sam = ssam.SAM(sgd(model), rho=1.0)
    before = weights(model)

    def closure():
        sam.zero_grad()
        loss = cross_entropy(model(x), Y)
        loss.backward()
        return loss

    def strike_at(line):
        count = 0

        def trace(frame, event, _):
            nonlocal count
            if "/ssam/optim/" not in frame.f_code.co_filename:
                return None
            if event == "line":
                count += 1
                if count == line:
                    raise KeyboardInterrupt
            return trace

        sys.settrace(trace)
        try:
            sam.step(closure)
        except KeyboardInterrupt:
            return True
        except StopIteration:
            return False
        finally:
            sys.settrace(None)

    def stop(*_):
        raise StopIteration  # at w again: the update itself is not what this is about

    sam.base.register_step_pre_hook(stop)
    line, hooks = 1, len(_global_forward_pre_hooks)
    while strike_at(line):
        assert same(weights(model), before), line
        assert len(_global_forward_pre_hooks) == hooks
        line += 1
    assert line > 60
    assert same(weights(model), before)


def test_a_perturbation_that_fails_half_way_leaves_w(monkeypatch):
    model = network()
    sam = ssam.SAM(sgd(model))
    before = weights(model)
    cross_entropy(model(X), Y).backward()
    add = torch._foreach_add_

    def fail(tensors, *args):
        add(tensors, *args)
        raise torch.OutOfMemoryError("no memory left")

    monkeypatch.setattr(torch, "_foreach_add_", fail)
    with pytest.raises(torch.OutOfMemoryError):
        sam.ascent_step()
    assert same(weights(model), before)


# ── settings and masks that change ──


def test_settings_are_checked_whenever_they_change():
    model = network()
    sam = ssam.SAM(sgd(model))
    for name, value in (("rho", -1.0), ("rho", float("inf")), ("norm", "ful")):
        with pytest.raises(ValueError, match=name):
            setattr(sam, name, value)
    with pytest.raises(ValueError, match="rho must be"):
        sam.add_param_group({"params": [nn.Parameter(torch.zeros(2))], "rho": -3.0})
    assert len(sam.param_groups) == 1
    new = nn.Parameter(torch.ones(2))
    sam.add_param_group({"params": [new], "rho": 0.5})
    assert sam.param_groups is sam.base.param_groups
    new.sum().backward()
    sam.ascent_step()
    assert float(sam.radius) == pytest.approx(0.5)
    sam.restore()
    sam.param_groups[0]["rho"] = -2.0
    with pytest.raises(ValueError, match="rho must be"):
        sam.step(closure_for(sam, model))


def test_a_base_that_evaluates_the_loss_itself_is_refused():
    with pytest.raises(TypeError, match="LBFGS"):
        ssam.SAM(torch.optim.LBFGS([nn.Parameter(torch.zeros(2))]))
    with pytest.raises(TypeError, match="not SAM"):
        ssam.SAM(ssam.SAM(sgd(network())))


def test_masks_may_be_changed_in_place_and_by_entry():
    model = network()
    a, b = model[0].weight, model[1].weight
    sam = ssam.SAM(sgd(model), mask={p: torch.ones_like(p, dtype=torch.bool) for p in model.parameters()})

    def moved():
        before = weights(model)
        cross_entropy(model(X), Y).backward()
        sam.ascent_step()
        changed = {p for p, w in zip(model.parameters(), before, strict=True) if not torch.equal(p, w)}
        sam.restore()
        sam.zero_grad()
        return changed

    assert moved() == set(model.parameters())
    sam.masks[a].zero_()
    assert moved() == set(model.parameters()) - {a}
    sam.masks[b] = torch.zeros_like(b, dtype=torch.bool)
    assert moved() == set(model.parameters()) - {a, b} == set(sam.perturbed_parameters())
    del sam.masks[model[0].bias]
    sam.masks[a][0, 0] = True
    assert moved() == {a, model[1].bias}
    sam.masks[a] = torch.ones(2, dtype=torch.bool)
    with pytest.raises(ValueError, match=r"mask .*bool"):
        moved()


# ── loss scaling ──


def scaled_step(model, sam, scaler, unscale_early=False, which="base", step="base", clip=True):
    optimizers = {"base": sam.base, "sam": sam}
    scaler.scale(cross_entropy(model(X), Y)).backward()
    if unscale_early:
        scaler.unscale_(sam.base)
    with sam.perturbed():
        scaler.scale(cross_entropy(model(X), Y)).backward()
    if which and not unscale_early:
        scaler.unscale_(optimizers[which])
    if clip:
        torch.nn.utils.clip_grad_norm_(model.parameters(), 0.1)
    scaler.step(optimizers[step])
    scaler.update()
    sam.zero_grad()


@pytest.mark.parametrize("one", ["base", "sam"])
def test_scaled_and_clipped_is_the_step_without_scaling(one):
    model, plain = network(), network()
    sam, other = ssam.SAM(sgd(model, momentum=0.9)), ssam.SAM(sgd(plain, momentum=0.9))
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    for _ in range(3):
        scaled_step(model, sam, scaler, which=one, step=one)
        cross_entropy(plain(X), Y).backward()
        with other.perturbed():
            cross_entropy(plain(X), Y).backward()
        torch.nn.utils.clip_grad_norm_(plain.parameters(), 0.1)
        other.step()
        other.zero_grad()
    for p, q in zip(model.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"which": "sam"}, "unscaled twice"),
        ({"which": "base", "step": "sam"}, "unscaled twice"),
        ({"unscale_early": True, "clip": False}, "still scaled"),
    ],
)
def test_unscaling_twice_or_too_early_is_refused(wrong, says, fused):
    model = network()
    sam, before = ssam.SAM(sgd(model, fused=fused)), weights(model)
    with pytest.raises(RuntimeError, match=says):
        scaled_step(model, sam, torch.amp.GradScaler("cpu", init_scale=1024.0), **wrong)
    assert same(weights(model), before)


def test_a_scaler_cannot_take_the_closure():
    model = network()
    sam, scaler = ssam.SAM(sgd(model)), torch.amp.GradScaler("cpu")
    with pytest.raises(RuntimeError, match="Closure use"):
        scaler.step(sam, closure=closure_for(sam, model))
    scaler.scale(cross_entropy(model(X), Y)).backward()
    with pytest.raises(TypeError, match="needs a closure"):
        scaler.step(sam)


# ── half precision ──


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_the_radius_is_the_distance_that_half_precision_weights_moved(dtype):
    model = network().to(dtype)
    sam, before = ssam.SAM(sgd(model), rho=0.01), weights(model)
    cross_entropy(model(X.to(dtype)), Y).backward()
    gradients = torch.cat([p.grad.float().flatten() for p in model.parameters()])
    sam.ascent_step()
    moved = torch.cat(
        [(p.detach().float() - w.float()).flatten() for p, w in zip(model.parameters(), before, strict=True)]
    )
    assert float(sam.radius) == pytest.approx(float(moved.norm()), rel=1e-5)
    share = ((moved == 0) & (gradients != 0)).sum() / (gradients != 0).sum()
    assert float(sam.rounded_away) == pytest.approx(float(share), rel=1e-5)
    assert dtype != torch.bfloat16 or share > 0.1
    sam.restore()
    assert same(weights(model), before)


# ── accumulation ──


def test_accumulated_by_hand_is_the_whole_batch():
    model, whole = network(), network()
    sam, other = ssam.SAM(sgd(model)), ssam.SAM(sgd(whole))
    halves = [(X[:8], Y[:8]), (X[8:], Y[8:])]

    def backward():
        for x, y in halves:
            (cross_entropy(model(x), y) / 2).backward()

    backward()
    with sam.perturbed():
        backward()
    sam.step()
    other.step(closure_for(other, whole))
    for p, q in zip(model.parameters(), whole.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("to_none", [True, False])
def test_a_closure_must_zero_the_gradients(to_none):
    model = network()
    sam = ssam.SAM(sgd(model))

    def adds():
        loss = cross_entropy(model(X), Y)
        loss.backward()
        return loss

    def zeroes():
        sam.base.zero_grad(set_to_none=to_none)
        return adds()

    sam.step(zeroes)
    sam.step(zeroes)
    with pytest.raises(RuntimeError, match="zero the gradients"):
        sam.step(adds)


def test_both_passes_for_each_micro_batch_are_refused():
    model = network()
    sam = ssam.SAM(sgd(model))
    cross_entropy(model(X), Y).backward()
    with sam.perturbed():
        cross_entropy(model(X), Y).backward()
    cross_entropy(model(X), Y).backward()
    with pytest.raises(RuntimeError, match="not been used"), sam.perturbed():
        pass


# ── random numbers ──


def test_dropout_draws_the_same_in_both_passes_unless_told_otherwise():
    for repeat in (True, False):
        dropped = []
        model = network(nn.Dropout(0.5))
        model[1].register_forward_hook(lambda _m, _i, out, dropped=dropped: dropped.append(out == 0))
        sam = ssam.SAM(sgd(model), rho=1e-6, repeat_random=repeat)
        sam.step(closure_for(sam, model))
        sam.step(closure_for(sam, model))
        assert torch.equal(dropped[0], dropped[1]) == repeat
        assert not torch.equal(dropped[1], dropped[2])


def test_a_sparse_gradient_is_perturbed_as_a_dense_one():
    ends = []
    for sparse in (False, True):
        torch.manual_seed(0)
        table = nn.Embedding(5, 3, sparse=sparse)
        sam = ssam.SAM(torch.optim.SGD(table.parameters(), lr=0.1), rho=0.5)
        table(torch.tensor([1, 3])).square().sum().backward()
        sam.ascent_step()
        ends.append(weights(table))
    assert same(*ends)
