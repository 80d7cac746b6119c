"""The race engine: fairness, clocks, what it tells, and that its lanes do exactly what the optimizers say."""

import copy
import dataclasses
import itertools
import statistics

import pytest
import torch
from torch.nn.functional import cross_entropy

import ssam
from ssam.engine import Race, device, lockstep
from ssam.engine.lane import Lane
from ssam.engine.lockstep import run_in_lockstep
from ssam.engine.mask_source import FISHER_DRAW, MASK_DRAW
from ssam.engine.plan import touched_stages
from ssam.experiment.events import PHASES, STEP_PHASES, EpochEvent, LaneEnded, MaskEvent, Result, Started, StepEvent
from ssam.masks import fisher_scores
from ssam.models import stage_shares
from ssam.stats.typical import typical
from ssam.training import timing
from ssam.training.mask_facts import overlap
from ssam.training.schedule import derived_seed, learning_rate
from tests.small_races import STEPS, losses, of, parts, run, small


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def events(home):
    return run(home)


def test_lanes_advance_in_lock_step(events):
    order = [(e.lane, e.step) for e in of(events, StepEvent)]
    assert order == [(lane, step) for step in range(1, 17) for lane in ("sgd", "sam", "ssam-f", "ssam-d")]


def test_started_comes_first_and_the_result_last(events):
    started = of(events, Started)
    assert len(started) == 1
    assert events.index(started[0]) < events.index(of(events, StepEvent)[0])
    assert started[0].steps_per_epoch == STEPS
    assert started[0].parameters == 73_890 == sum(torch.Size(layer.shape).numel() for layer in started[0].layers)
    result = events[-1]
    assert isinstance(result, Result)
    assert [lane.name for lane in result.lanes] == ["sgd", "sam", "ssam-f", "ssam-d"]
    assert [lane.sparsity for lane in result.lanes] == [1.0, 0.0, 0.5, 0.5]
    assert [lane.rho for lane in result.lanes] == [0.0, 0.1, 0.1, 0.1]


def test_the_result_is_the_last_evaluation_on_all_test_images(events):
    for lane in events[-1].lanes:
        evaluations = of(events, EpochEvent, lane.name)
        assert [e.final for e in evaluations] == [False, True]
        assert [e.test_size for e in evaluations] == [2000, 10_000]
        assert (lane.test_accuracy, lane.test_loss) == (evaluations[-1].test_accuracy, evaluations[-1].test_loss)
        assert evaluations[0].train_loss == pytest.approx(statistics.fmean(losses(events, lane.name)[:STEPS]))


def test_step_times_are_paired_with_the_sgd_step_before(events):
    for sgd, *others in (
        itertools.batched(of(events, StepEvent), 4) if hasattr(itertools, "batched") else groups(events)
    ):
        base = sum(sgd.ms[phase] for phase in STEP_PHASES if phase in sgd.ms)
        assert sgd.ratio == 1.0
        for other in others:
            assert other.ratio == pytest.approx(sum(other.ms.get(phase, 0) for phase in STEP_PHASES) / base)
    ratios = [e.ratio for e in of(events, StepEvent, "sam") if e.step > 5]
    sam = next(lane for lane in events[-1].lanes if lane.name == "sam")
    assert sam.step_ratio_to_sgd == pytest.approx(statistics.median(ratios))


def test_the_cost_of_a_lane_that_perturbs_seldom_is_a_mean_over_its_two_kinds_of_steps():
    steps_ = [(number, 2.0 if number % 4 == 1 else 1.0) for number in range(6, 41)]
    assert typical(steps_, interval=4) == 1.25
    assert typical([*steps_, (41, 90.0)], interval=4) == 1.25  # one step that was held up does not count
    assert typical(steps_, interval=1) == 1.0
    assert typical(steps_[:2], interval=100) == 1.0  # none that perturbs yet


def groups(events):
    steps = of(events, StepEvent)
    return [steps[i : i + 4] for i in range(0, len(steps), 4)]


def test_phases_are_complete_and_add_up_to_the_lanes_seconds(events):
    for lane in ("sgd", "sam", "ssam-f", "ssam-d"):
        steps, total = of(events, StepEvent, lane), 0.0
        for event in steps:
            assert set(event.ms) <= set(PHASES)
            assert ("forward2" in event.ms) == (lane != "sgd")
            assert ("mask" in event.ms) == (lane in ("ssam-f", "ssam-d") and event.step % STEPS == 1)
            total += sum(event.ms.values()) / 1000
            assert event.seconds == pytest.approx(total)
    data = {(e.step, e.ms["data"]) for e in of(events, StepEvent)}
    assert len(data) == 2 * STEPS  # one batch for all lanes, its cost counted to each


def test_masks_are_exact_and_described(events):
    for lane in ("ssam-f", "ssam-d"):
        first, second = of(events, MaskEvent, lane)
        assert (first.changed, first.overlap, first.step) == (None, None, 0)
        for mask in (first, second):
            assert mask.density == 36_945 / 73_890
            assert set(mask.heatmaps) == set(mask.densities) == {layer.name for layer in of(events, Started)[0].layers}
            assert all(max(picture.shape) <= 64 for picture in mask.heatmaps.values())
        assert 0 < second.changed < 1
        assert second.overlap == pytest.approx((1 - second.changed) / (1 + second.changed), rel=1e-6)  # equal densities
    assert of(events, StepEvent, "ssam-f")[0].radius > 0  # the published code starts with an empty mask


def test_radius_and_gap_are_told(events):
    for event in of(events, StepEvent):
        if event.lane == "sgd":
            assert event.radius is event.ascent_gap is None
        elif event.lane == "sam":
            assert event.radius == pytest.approx(0.1, rel=1e-4)
        else:
            assert 0 < event.radius < 0.1
    gaps = [e.ascent_gap for e in of(events, StepEvent, "sam")]
    assert statistics.fmean(gaps) > 0  # the ascent step goes up


def test_the_masked_norm_keeps_the_radius(home):
    told = run(home, lanes="ssam-f,ssam-d", norm="masked", epochs=1)
    assert all(e.radius == pytest.approx(0.1, rel=1e-4) for e in of(told, StepEvent))


def test_a_lane_does_not_depend_on_its_company(events, home):
    alone = run(home, lanes="ssam-d")
    assert losses(alone, "ssam-d") == losses(events, "ssam-d")
    assert of(alone, EpochEvent)[-1].test_loss == of(events, EpochEvent, "ssam-d")[-1].test_loss


def test_the_same_seed_gives_the_same_race_and_another_does_not(events, home):
    again, other = run(home), run(home, seed=1, lanes="sgd")
    for lane in ("sgd", "sam", "ssam-f", "ssam-d"):
        assert losses(again, lane) == losses(events, lane)
    assert losses(other, "sgd") != losses(events, "sgd")


def test_sgd_and_sam_lanes_equal_a_plain_training_loop(events, home):
    for method in ("sgd", "sam"):
        _, batches, model = parts(home)
        base = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
        optimizer = base if method == "sgd" else ssam.SAM(base, rho=0.1)
        for step, told in enumerate(losses(events, method)):
            x, y = batches.get(step)
            base.param_groups[0]["lr"] = learning_rate(0.1, (step + 0.5) / 16, 0.2)

            def closure(x=x, y=y, model=model, optimizer=optimizer):
                optimizer.zero_grad()
                loss = cross_entropy(model(x), y)
                loss.backward()
                return loss

            assert optimizer.step(closure).item() == pytest.approx(told, rel=2e-4), (method, step)


@pytest.mark.parametrize(("rho", "equal"), [(0, True), (0.1, False)])
def test_rho_zero_is_sgd_bitwise(home, rho, equal):
    told = run(home, lanes="sgd,sam", rho=rho, epochs=1)
    assert (losses(told, "sgd") == losses(told, "sam")) is equal


@pytest.mark.parametrize("method", ["ssam-f", "ssam-d"])
def test_sparsity_zero_is_sam_and_one_is_sgd(home, method):
    told = run(home, lanes=f"sgd,sam,{method}:sparsity=0,{method}:sparsity=1", epochs=1)
    names = [lane.name for lane in told[-1].lanes]
    assert losses(told, names[2]) == losses(told, "sam")
    assert losses(told, names[3]) == losses(told, "sgd")


@pytest.mark.parametrize("method", ["ssam-f", "ssam-d"])
def test_sparsity_one_is_sgd_under_the_masked_norm_too(home, method):
    told = run(home, lanes=f"sgd,{method}", sparsity=1, norm="masked", epochs=2)
    assert losses(told, method) == losses(told, "sgd")


@pytest.mark.parametrize("text", ["ssam", "ssam-d:norm=masked", "ssam:direction=momentum"])
def test_a_mask_that_perturbs_nothing_costs_one_pass(home, text):
    told = run(home, lanes=f"sgd,{text}", sparsity=1, epochs=2)
    assert losses(told, told[-1].lanes[1].name) == losses(told, "sgd")
    assert {event.gradients for event in of(told, StepEvent) if event.step == 2 * STEPS} == {2 * STEPS}


def test_a_refresh_may_perturb_tensors_that_were_left_alone_before(home):
    """Dynamic masks under the masked norm, so sparse that small tensors come and go: a lean first pass must have the
    gradients that the new mask asks for, else the step is not the one of two full passes."""
    spec, batches, model = parts(home, lanes="ssam-d", sparsity=0.98, norm="masked", epochs=3)
    lane, twin = lane_of(spec, "ssam-d", model, batches), copy.deepcopy(model)
    base = torch.optim.SGD(twin.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4, fused=True)
    plain = ssam.SAM(base, rho=0.1, norm="masked")
    pairs = dict(zip(model.parameters(), twin.parameters(), strict=True))
    woken = 0
    for step in range(3 * STEPS):
        before = None if lane.sam.masks is None else dict(lane.sam.masks)
        x, y = batches.get(step)
        lane.step(x, y)
        if before is not None:
            woken += sum(bool(mask.any()) and not before[p].any() for p, mask in lane.sam.masks.items())
        plain.masks = {pairs[p]: mask for p, mask in lane.sam.masks.items()}
        base.param_groups[0]["lr"] = lane.base.param_groups[0]["lr"]

        def closure(x=x, y=y):
            plain.zero_grad()
            loss = cross_entropy(twin(x), y)
            loss.backward()
            return loss

        plain.step(closure)
        assert float(plain.radius) == float(lane.sam.radius), step
    assert woken > 0


def test_batchnorm_counts_once_a_step(home):
    spec, batches, model = parts(home, epochs=1, lanes="ssam-f")
    lane = lane_of(spec, "ssam-f", model, batches)
    list(run_in_lockstep([lane], batches, "epochs"))
    counters = [int(b) for name, b in model.named_buffers() if name.endswith("num_batches_tracked")]
    assert counters == [STEPS] * len(counters)


def test_the_gradients_clock_gives_every_lane_as_many_passes(home):
    told = run(home, clock="gradients", lanes="sgd,sam", epochs=1)
    assert of(told, StepEvent, "sgd")[-1].gradients == of(told, StepEvent, "sam")[-1].gradients == 16
    assert of(told, StepEvent, "sgd")[-1].epoch == 2.0
    position = {"sgd": 0, "sam": 0}
    for event in of(told, StepEvent):
        assert position[event.lane] == min(position.values())
        position[event.lane] = event.gradients


def test_the_seconds_clock_gives_every_lane_as_much_compute(home):
    told = run(home, clock="seconds", seconds=1, lanes="sgd,sam", train_size=2048)
    for lane in ("sgd", "sam"):
        steps = of(told, StepEvent, lane)
        assert steps[-1].seconds >= 1.0 > steps[-2].seconds
    assert len(of(told, StepEvent, "sgd")) > len(of(told, StepEvent, "sam"))
    assert of(told, Started)[0].lanes[0].total_steps is None
    first_update = of(told, EpochEvent, "sgd")[0]
    assert first_update.lr > 0


def spoil(model):
    with torch.no_grad():
        next(model.parameters()).fill_(float("nan"))


def lane_of(spec, name, model, batches):
    spec_lane = next(lane for lane in spec.lanes if str(lane) == name)
    return Lane(spec, spec_lane, name, model, batches, stage_shares(model, batches.shape))


def test_a_lane_that_diverges_is_stopped_and_the_others_go_on(home):
    spec, batches, model = parts(home, lanes="sgd,sam", epochs=1)
    lanes = [lane_of(spec, "sgd", copy.deepcopy(model), batches), lane_of(spec, "sam", model, batches)]
    spoil(lanes[0].model)
    told = list(run_in_lockstep(lanes, batches, "epochs"))
    assert of(told, LaneEnded, "sgd") == [LaneEnded("sgd", 1, "diverged")]
    assert of(told, LaneEnded, "sam") == [LaneEnded("sam", STEPS, "finished")]
    sgd, sam = told[-1].lanes
    assert (sgd.diverged, sgd.test_accuracy) == (True, None)
    assert not sam.diverged
    assert 0 < sam.test_accuracy <= 1
    assert len(of(told, StepEvent, "sgd")) == 1
    assert [e.ratio is None for e in of(told, StepEvent, "sam")] == [False] + [True] * (
        STEPS - 1
    )  # no SGD step beside it
    assert sam.step_ratio_to_sgd is None


@pytest.mark.parametrize(("method", "deferred"), [("ssam-f", False), ("ssam-d", False), ("ssam-f", True)])
def test_weights_that_are_nan_at_a_mask_refresh_end_the_lane_not_the_race(home, monkeypatch, method, deferred):
    monkeypatch.setattr(lockstep, "reads_later", lambda device, clock: deferred)  # as on a GPU
    spec, batches, model = parts(home, lanes=f"sgd,{method}", epochs=2)
    lanes = [lane_of(spec, "sgd", copy.deepcopy(model), batches), lane_of(spec, method, model, batches)]
    told = []
    for event in run_in_lockstep(lanes, batches, "epochs"):
        told.append(event)
        if isinstance(event, EpochEvent) and event.lane == method and event.step == STEPS:
            spoil(model)  # the next thing to happen to this lane is the refresh of its mask
    assert of(told, LaneEnded, method) == [LaneEnded(method, STEPS + 1, "diverged")]
    assert of(told, LaneEnded, "sgd") == [LaneEnded("sgd", 2 * STEPS, "finished")]
    assert len(of(told, MaskEvent, method)) == 1
    (last,) = (event for event in of(told, StepEvent, method) if event.step == STEPS + 1)
    assert told.index(last) < told.index(of(told, LaneEnded, method)[0])


def test_a_last_update_that_breaks_the_weights_is_no_finish(home):
    spec, batches, model = parts(home, lanes="sgd", epochs=1)
    lane = lane_of(spec, "sgd", model, batches)
    told = []
    for event in run_in_lockstep([lane], batches, "epochs"):
        told.append(event)
        if isinstance(event, StepEvent) and event.step == STEPS:
            spoil(model)
    assert of(told, LaneEnded)[0].reason == "diverged"
    assert told[-1].lanes[0].test_accuracy is None


def test_a_loss_that_is_infinite_only_at_the_perturbed_weights_is_divergence(home):
    spec, batches, model = parts(home, lanes="sam", epochs=1)
    lane = lane_of(spec, "sam", model, batches)
    step = lane.step

    def broken_step(x, y):
        return dataclasses.replace(step(x, y), loss_at_perturbed=torch.tensor(float("inf")))

    lane.step = broken_step
    told = list(run_in_lockstep([lane], batches, "epochs"))
    assert of(told, LaneEnded) == [LaneEnded("sam", 1, "diverged")]


def test_a_lane_uses_its_own_rho(home):
    told = run(home, lanes="sam,sam:rho=0.3", rho=0.1, epochs=1)
    assert all(e.radius == pytest.approx(0.1, rel=1e-4) for e in of(told, StepEvent, "sam"))
    assert all(e.radius == pytest.approx(0.3, rel=1e-4) for e in of(told, StepEvent, "sam:rho=0.3"))
    assert [lane.rho for lane in told[-1].lanes] == [0.1, 0.3]


def test_the_fisher_mask_is_that_of_the_asked_samples(home):
    spec, batches, model = parts(home, lanes="ssam-f", fisher_samples=32)
    lane = lane_of(spec, "ssam-f", model, batches)
    fresh = copy.deepcopy(model)
    lane.step(*batches.get(0))
    expected = ssam.fisher_mask(fresh, cross_entropy, batches.samples(32, derived_seed(0, FISHER_DRAW, 0)), 0.5)
    assert all(torch.equal(a, b) for a, b in zip(lane.sam.masks.values(), expected.values(), strict=True))


def test_the_dynamic_mask_drops_by_the_gradient_at_w_and_the_rate_of_its_progress(home):
    spec, batches, model = parts(home, lanes="ssam-d", epochs=4)
    lane = lane_of(spec, "ssam-d", model, batches)
    trained = list(model.parameters())
    first = ssam.random_mask(trained, 0.5, torch.Generator().manual_seed(derived_seed(0, MASK_DRAW, 0)))
    for step in range(STEPS):
        lane.step(*batches.get(step))
        assert all(torch.equal(lane.sam.masks[p], first[p]) for p in trained)
    x, y = batches.get(STEPS)
    twin = copy.deepcopy(model).train()
    cross_entropy(twin(x), y).backward()
    gradients = {p: q.grad for p, q in zip(trained, twin.parameters(), strict=True)}
    generator = torch.Generator().manual_seed(derived_seed(0, MASK_DRAW, STEPS))
    expected = ssam.drop_and_grow(first, gradients, ssam.cosine_drop_rate(1 / 4), generator)
    lane.step(x, y)
    assert all(torch.equal(lane.sam.masks[p], expected[p]) for p in trained)


FAST = (
    "sgd,ssam-f:norm=masked:region=late,sam:ascent_batch=16,sam:ascent_interval=2,"
    "ssam-f:direction=momentum,sam:direction=last,ssam-d:region=early"
)


@pytest.fixture(scope="module")
def fast(home):
    return run(home, lanes=FAST)


def test_lanes_say_how_they_step_and_count_their_passes(fast):
    lanes = {lane.name: lane for lane in of(fast, Started)[0].lanes}
    assert [lane.exact for lane in lanes.values()] == [True, True, False, False, False, False, True]
    assert lanes["ssam-f:norm=masked:region=late"].predicted_ratio < 1.5
    passes = {name: of(fast, StepEvent, name)[-1].gradients for name in lanes}
    assert list(passes.values()) == [16, 32, 32, 24, 16, 16, 32]


def test_a_region_decides_where_weights_are_perturbed(fast):
    stages = {layer.name: layer.stage for layer in of(fast, Started)[0].layers}
    late, early = (of(fast, MaskEvent, name)[0] for name in ("ssam-f:norm=masked:region=late", "ssam-d"))
    touched = {
        name: {stages[layer] for layer, d in e.densities.items() if d} for name, e in (("l", late), ("e", early))
    }
    assert not touched["l"] & touched["e"]
    assert late.density <= 0.5
    assert {lane.name: lane.sparsity for lane in fast[-1].lanes}["ssam-d"] == pytest.approx(1 - early.density)


def test_only_what_was_computed_is_told(fast):
    for event in of(fast, StepEvent):
        whole = event.lane in ("ssam-f:norm=masked:region=late", "ssam-d")
        alternate = event.lane == "sam:ascent_interval=2" and event.step % 2 == 1
        assert (event.ascent_gap is not None) == (whole or alternate), event
        assert ("forward2" in event.ms and "forward1" in event.ms) == (
            whole or alternate or event.lane == "sam:ascent_batch=16"
        )


COARSE = (
    "sgd,ssam-f:granularity=tensor,ssam:granularity=block:norm=masked,ssam:score=magnitude:granularity=n-of-4,"
    "ssam:score=fisher-per-cost:granularity=block:norm=masked,ssam:score=gradient:sparsity=0.8"
)


@pytest.fixture(scope="module")
def coarse(home):
    return run(home, lanes=COARSE)


def test_coarse_masks_take_whole_groups_and_never_more_than_asked(coarse):
    layers = {layer.name: layer for layer in of(coarse, Started)[0].layers}
    for lane, group in (
        ("ssam-f", "name"),
        ("ssam:norm=masked:granularity=block", "stage"),
        ("ssam:norm=masked:granularity=block:score=fisher-per-cost", "stage"),
    ):
        for event in of(coarse, MaskEvent, lane):
            assert 0 < event.density <= 0.5
            taken = {}
            for name, density in event.densities.items():
                taken.setdefault(getattr(layers[name], group), set()).add(density)
            assert all(densities in ({0.0}, {1.0}) for densities in taken.values())


def test_two_of_four_leaves_half_of_every_layer(coarse):
    event = of(coarse, MaskEvent, "ssam:granularity=n-of-4:score=magnitude")[0]
    assert event.density == pytest.approx(0.5, abs=0.001)
    assert all(density == pytest.approx(0.5, abs=0.06) for density in event.densities.values())


def test_the_result_tells_the_sparsity_that_groups_made_of_what_was_asked(coarse):
    made = {lane.name: lane.sparsity for lane in coarse[-1].lanes}
    for lane in ("ssam-f", "ssam:norm=masked:granularity=block"):
        assert made[lane] == pytest.approx(1 - of(coarse, MaskEvent, lane)[-1].density)
    assert made["ssam:sparsity=0.8:score=gradient"] == 0.8


def test_the_gradient_score_ranks_by_the_mean_gradient_of_the_samples(home):
    spec, batches, model = parts(home, lanes="ssam:score=gradient", sparsity=0.9)
    lane = lane_of(spec, "ssam:score=gradient", model, batches)
    twin = copy.deepcopy(model).eval()
    samples = list(batches.samples(spec.fisher_samples, derived_seed(spec.seed, FISHER_DRAW, 0)))
    cross_entropy(twin(torch.cat([x for x, _ in samples])), torch.cat([y for _, y in samples])).backward()
    expected = ssam.top_k_mask(
        {p: q.grad.abs() for p, q in zip(model.parameters(), twin.parameters(), strict=True)}, 0.9
    )
    lane.step(*batches.get(0))
    assert overlap(lane.sam.masks, expected) > 0.999


def test_blocks_by_fisher_mass_over_cost(home):
    text = "ssam:norm=masked:granularity=block:score=fisher-per-cost"
    spec, batches, model = parts(home, lanes=text)
    shares = stage_shares(model, batches.shape)
    scores = fisher_scores(
        model, cross_entropy, batches.samples(spec.fisher_samples, derived_seed(spec.seed, FISHER_DRAW, 0))
    )
    worth = [
        sum(float(scores[p].sum()) for p in stage.parameters()) / share
        for stage, share in zip(model.stages.values(), shares, strict=True)
    ]
    lane = lane_of(spec, text, model, batches)
    lane.step(*batches.get(0))
    best = worth.index(max(worth))
    assert all(lane.sam.masks[p].all() for p in list(model.stages.values())[best].parameters())


@pytest.mark.parametrize(
    ("text", "sparsity"), [("ssam:norm=masked:granularity=block", 0.7), ("ssam:norm=masked", 0.9999)]
)
def test_the_split_follows_the_mask(home, text, sparsity):
    """Blocks, or a few single weights, are drawn again with each mask: the stages before the first drawn one run once, and
    the step stays exact."""
    spec, batches, model = parts(home, lanes=text, sparsity=sparsity, epochs=6)
    lane, splits = lane_of(spec, text, model, batches), set()
    for step in range(6 * STEPS):
        twin = copy.deepcopy(lane)
        lane.step(*batches.get(step))
        first = next(
            i for i, what in enumerate(touched_stages(model, lane.sam.perturbed_parameters())) if what != "nothing"
        )
        assert lane.plan.split == first
        splits.add(lane.plan.split)
        if step % STEPS == 0:
            twin.step(*batches.get(step))  # makes the same mask; now both take one more step, the twin without a split
            assert all(torch.equal(a, b) for a, b in zip(lane.model.parameters(), twin.model.parameters(), strict=True))
            twin.plan = dataclasses.replace(twin.plan, split=0)
            again = copy.deepcopy(lane)
            again.step(*batches.get(step + 1))
            twin.step(*batches.get(step + 1))
            assert all(
                torch.equal(a, b) for a, b in zip(again.model.parameters(), twin.model.parameters(), strict=True)
            )
    assert len(splits) > 1


def test_the_gradients_clock_counts_the_passes_of_each_plan(home):
    told = run(home, clock="gradients", lanes="sgd,sam,sam:ascent_interval=2,sam:direction=last", epochs=2)
    assert {e.lane: e.gradients for e in of(told, StepEvent)} == {
        "sgd": 32,
        "sam": 32,
        "sam:ascent_interval=2": pytest.approx(32, abs=2),
        "sam:direction=last": 32,
    }


def test_what_does_not_fit_into_memory_gets_one_line(home, monkeypatch):
    def no_room(*_arguments):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 3 GiB\nmore")

    monkeypatch.setattr(Lane, "step", no_room)
    with pytest.raises(MemoryError, match=r"batch_size 64 .*'cnn8' .*4 lanes"):
        run(home)


def test_a_mask_interval_of_two_epochs(home):
    told = run(home, lanes="ssam-d", mask_interval=2, epochs=4)
    assert [e.epoch for e in of(told, MaskEvent)] == [0.0, 2.0]


def test_nothing_is_printed_and_nothing_written(home, capfd):
    run(home, epochs=1, lanes="sgd")
    assert capfd.readouterr() == ("", "")
    assert not list(home.iterdir())


def test_a_device_that_is_not_there_is_refused(home):
    with pytest.raises(ValueError, match=r"^device 'cuda:7' .*allowed: auto, "):
        run(home, device="cuda:7")


def test_the_device_setting_of_the_environment_decides_auto(monkeypatch):
    monkeypatch.setenv("SSAM_DEVICE", "cpu")
    assert device.pick_device("auto") == torch.device("cpu")
    monkeypatch.setenv("SSAM_DEVICE", "tpu")
    with pytest.raises(ValueError, match=r"^device 'tpu' .*allowed: auto, "):
        device.pick_device("auto")


def test_a_race_can_be_closed_in_the_middle(home):
    events = Race(small(), home=home, threads=1).events()
    assert any(isinstance(event, StepEvent) for event in itertools.islice(events, 20))
    events.close()


@pytest.fixture
def threads():
    """Gives torch's number of threads back."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("threads")
def test_calibration_leaves_the_model_alone(home):
    _, batches, model = parts(home)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    assert device.calibrate_threads(model, *batches.get(0), most=2, seconds=0.01) in (1, 2)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize(
    ("alone", "together", "choice"), [(0.02, 0.01, 2), (0.02, 1.0, 1), (3.0, 2.0, 2), (3.0, 9.0, 1)]
)
def test_calibration_takes_the_faster_and_few_steps_where_steps_are_long(home, monkeypatch, alone, together, choice):
    _, batches, model = parts(home)
    clock, passes = [0.0], []

    def step(*_arguments):
        passes.append(torch.get_num_threads())
        clock[0] += alone if passes[-1] == 1 else together

    monkeypatch.setattr(device, "training_pass", step)
    monkeypatch.setattr(device, "perf_counter", lambda: clock[0])
    assert device.calibrate_threads(model, *batches.get(0), most=2) == choice
    assert clock[0] < 0.5 + alone + together
    assert set(passes) == {1, 2}


def test_the_learning_rate_warms_up_and_ends_at_zero():
    rates = [learning_rate(1.0, i / 100, 0.1) for i in range(101)]
    assert rates[:11] == pytest.approx([i / 10 for i in range(11)])
    assert rates[10] == max(rates)
    assert rates[55] == pytest.approx(0.5)
    assert rates[100] == pytest.approx(0.0)
    assert all(b <= a for a, b in itertools.pairwise(rates[10:]))


def test_derived_seeds_tell_their_parts_apart():
    seeds = {derived_seed(a, b, c) for a in range(5) for b in range(5) for c in range(5)}
    assert len(seeds) == 125
    assert derived_seed(1, 2) == derived_seed(1, 2)


def test_gpu_times_come_from_events_in_the_stream(monkeypatch):
    """The CUDA path with stand-in events: no wait until the times are asked for, then one."""
    ticks, waits = itertools.count(0, 5), []

    @dataclasses.dataclass
    class Event:
        enable_timing: bool
        at: int = 0

        def record(self):
            self.at = next(ticks)

        def elapsed_time(self, end):
            return float(end.at - self.at)

        def synchronize(self):
            waits.append(self.at)

    monkeypatch.setattr(torch.cuda, "Event", Event)
    timer = timing.PhaseTimer(torch.device("cuda"))
    for phase in ("forward1", "backward1", "forward1"):
        timer.mark(phase)
    assert waits == []
    assert timer.milliseconds() == {"forward1": 10.0, "backward1": 5.0}
    assert waits == [15]
