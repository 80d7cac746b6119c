"""Masks: exact counts at every sparsity, and the rules by which they change."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.functional import cross_entropy, mse_loss

import ssam
from ssam.masks import gradient_scores, group_mask, n_of_m_mask, perturbed_count
from ssam.training.mask_facts import density, heatmap, overlap, share_changed
from tests import twins

sparsities = st.floats(0.0, 1.0)
shapes = st.lists(st.lists(st.integers(1, 5), min_size=1, max_size=4), min_size=1, max_size=4)


def parameters(shapes):
    return [nn.Parameter(torch.zeros(shape)) for shape in shapes]


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def count(masks):
    return sum(int(m.sum()) for m in masks.values())


def total(masks):
    return sum(m.numel() for m in masks.values())


@settings(max_examples=200, deadline=None)
@given(shapes, sparsities, st.integers(0, 99))
def test_counts_are_exact_for_every_sparsity(shapes, sparsity, seed):
    params = parameters(shapes)
    scores = {p: torch.rand(p.shape, generator=seeded(seed)).mul(4).round() for p in params}  # many ties
    for masks in (ssam.top_k_mask(scores, sparsity), ssam.random_mask(params, sparsity, seeded(seed))):
        assert count(masks) == perturbed_count(total(masks), sparsity)
        assert abs(count(masks) - (1 - sparsity) * total(masks)) <= 0.5 + 1e-9
        assert all(m.dtype == torch.bool and m.shape == p.shape for p, m in masks.items())


@settings(max_examples=100, deadline=None)
@given(shapes, sparsities, st.integers(0, 99))
def test_no_unperturbed_score_is_larger_than_a_perturbed_one(shapes, sparsity, seed):
    scores = {p: torch.randn(p.shape, generator=seeded(seed)) for p in parameters(shapes)}
    masks = ssam.top_k_mask(scores, sparsity)
    inside = torch.cat([scores[p][m] for p, m in masks.items()])
    outside = torch.cat([scores[p][~m] for p, m in masks.items()])
    if len(inside) and len(outside):
        assert inside.min() >= outside.max()


@settings(max_examples=150, deadline=None)
@given(shapes, sparsities, st.floats(0.0, 1.0), st.integers(1, 8), st.integers(0, 99))
def test_the_dynamic_mask_keeps_its_count_at_every_step(shapes, sparsity, initial, epochs, seed):
    params, generator = parameters(shapes), seeded(seed)
    masks = ssam.random_mask(params, sparsity, generator)
    wanted = perturbed_count(total(masks), sparsity)
    for epoch in range(epochs + 1):
        gradients = {p: torch.randn(p.shape, generator=generator) for p in params}
        rate = ssam.cosine_drop_rate(epoch / epochs, initial)
        old, masks = masks, ssam.drop_and_grow(masks, gradients, rate, generator)
        assert count(masks) == wanted
        kept, dropped = twins.drop_and_grow_counts(wanted, total(masks) - wanted, rate)
        old_flat, new_flat = (torch.cat([m.reshape(-1) for m in x.values()]) for x in (old, masks))
        assert int((old_flat & new_flat).sum()) == kept  # what is grown was unperturbed before the drop
        assert int((~old_flat & new_flat).sum()) == dropped
        g = torch.cat([gradients[p].abs().reshape(-1) for p in masks])
        if kept and dropped:
            assert g[old_flat & new_flat].min() >= g[old_flat & ~new_flat].max()  # the smallest are dropped


@pytest.mark.parametrize("sparsity", [0.1, 0.2, 0.3])
def test_low_sparsity_does_not_lose_the_density(sparsity):
    """Where the published code turned an asked 0.2 into 0.4."""
    params = parameters([(100, 10)])
    masks = ssam.random_mask(params, sparsity, seeded())
    masks = ssam.drop_and_grow(masks, {params[0]: torch.randn(100, 10)}, 0.5, seeded())
    assert density(masks) == pytest.approx(1 - sparsity, abs=1e-9)


def test_growing_is_uniform_among_the_old_unperturbed():
    p = nn.Parameter(torch.zeros(20))
    start = torch.arange(20) < 10
    gradient, hits, generator = torch.arange(20.0), torch.zeros(20), seeded()
    for _ in range(4000):
        new = ssam.drop_and_grow({p: start}, {p: gradient}, 0.2, generator)[p]
        hits += new & ~start
    assert not hits[:10].any()
    assert torch.allclose(hits[10:] / 4000, torch.full((10,), 0.2), atol=0.03)


def test_a_parameter_without_gradient_counts_as_flat():
    a, b = parameters([(4,), (4,)])
    masks = {a: torch.ones(4, dtype=torch.bool), b: torch.zeros(4, dtype=torch.bool)}
    new = ssam.drop_and_grow(masks, {a: None, b: torch.ones(4)}, 0.5, seeded())
    assert int(new[a].sum()) == 2
    assert int(new[b].sum()) == 2


def test_the_drop_rate_is_half_a_cosine():
    assert ssam.cosine_drop_rate(0.0) == 0.5
    assert ssam.cosine_drop_rate(0.5) == pytest.approx(0.25)
    assert ssam.cosine_drop_rate(1.0) == pytest.approx(0.0)
    with pytest.raises(ValueError, match="0 to 1"):
        ssam.cosine_drop_rate(1.1)


@pytest.mark.parametrize("bad", [-0.1, 1.5, float("nan")])
def test_a_sparsity_out_of_range_is_refused(bad):
    (p,) = parameters([(4,)])
    with pytest.raises(ValueError, match=r"sparsity .*0 to 1"):
        ssam.random_mask([p], bad, seeded())
    with pytest.raises(ValueError, match=r"sparsity .*0 to 1"):
        ssam.top_k_mask({p: torch.ones(4)}, bad)


def test_nan_scores_are_refused():
    (p,) = parameters([(4,)])
    with pytest.raises(ValueError, match="NaN"):
        ssam.top_k_mask({p: torch.tensor([1.0, float("nan"), 2.0, 3.0])}, 0.5)


def convnet():
    torch.manual_seed(3)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.5), nn.Flatten(), nn.Linear(64, 3)
    ).double()


def images(n, seed=1):
    x = torch.randn(n, 1, 6, 6, generator=seeded(seed), dtype=torch.float64)
    return x, torch.randint(3, (n,), generator=seeded(seed + 1))


@pytest.mark.parametrize("samples", [1, 3, 9, 40])  # below ten the published code divides by zero
def test_fisher_equals_the_per_sample_loop(samples):
    model = convnet()
    model(images(32)[0])  # running statistics that are not the initial ones
    x, y = images(samples)
    scores = ssam.fisher_scores(model, cross_entropy, [(x[:2], y[:2]), (x[2:], y[2:])] if samples > 2 else [(x, y)])
    expected = twins.fisher_loop(model, cross_entropy, zip(x, y, strict=True))
    assert set(scores) == set(expected)
    for p, score in scores.items():
        torch.testing.assert_close(score, expected[p], rtol=1e-12, atol=1e-14)
    ours = ssam.top_k_mask(scores, 0.5)
    assert overlap(ours, ssam.top_k_mask(expected, 0.5)) == 1.0


@pytest.mark.parametrize("pack", [lambda x, y: (x, y), lambda x, y: {"x": x, "y": y}], ids=["pair", "dictionary"])
def test_fisher_of_a_classifier_takes_one_pass_for_all_samples(pack):
    model, calls = Counted(), []
    model.calls = calls
    x, y = torch.randn(8, 4), torch.arange(8) % 3

    def loss(outputs, targets):
        return cross_entropy(outputs, targets["y"] if isinstance(targets, dict) else targets)

    ssam.fisher_scores(model, loss, [pack(x, y)])
    assert len(calls) == 1


class Counted(nn.Module):
    """Notes each call."""

    def __init__(self):
        super().__init__()
        self.out = nn.Linear(4, 3)

    def forward(self, x, y=None):
        self.calls.append(len(x))
        return self.out(x)


def test_fisher_takes_any_loss():
    model = nn.Linear(3, 2).double()
    x, y = torch.randn(5, 3).double(), torch.randn(5, 2).double()
    for loss in (mse_loss, lambda out, target: ((out - target) ** 4).sum(dim=1)):
        scores = ssam.fisher_scores(model, loss, [(x, y)])
        expected = twins.fisher_loop(model, lambda a, b, loss=loss: loss(a, b).sum(), zip(x, y, strict=True))
        for p in scores:
            torch.testing.assert_close(scores[p], expected[p], rtol=1e-12, atol=1e-14)


def test_fisher_leaves_the_model_as_it_was():
    model = convnet().train()
    model[3].eval()
    model[0].weight.requires_grad_(False)
    x, y = images(8)
    cross_entropy(model(x), y).backward()
    gradients = [None if p.grad is None else p.grad.clone() for p in model.parameters()]
    buffers = [b.clone() for b in model.buffers()]
    random_state = torch.get_rng_state()
    scores = ssam.fisher_scores(model, cross_entropy, [(x, y)])
    assert model[0].weight not in scores
    assert [m.training for m in model] == [True, True, True, False, True, True]
    assert all(torch.equal(a, b) for a, b in zip(buffers, model.buffers(), strict=True))
    for p, g in zip(model.parameters(), gradients, strict=True):
        assert (p.grad is None) if g is None else torch.equal(p.grad, g)
    assert torch.equal(torch.get_rng_state(), random_state)


def test_the_batch_gradient_does_not_leak_into_the_scores():
    model, (x, y) = convnet(), images(4)
    clean = ssam.fisher_scores(model, cross_entropy, [(x, y)])
    for p in model.parameters():
        p.grad = torch.full_like(p, 1e6)
    assert all(torch.equal(clean[p], s) for p, s in ssam.fisher_scores(model, cross_entropy, [(x, y)]).items())


def test_fisher_without_samples_says_so():
    with pytest.raises(ValueError, match="one sample"):
        ssam.fisher_mask(convnet(), cross_entropy, [], 0.5)


@pytest.mark.parametrize("batch", [2, 3, 40])
def test_a_shared_gradient_is_squared_as_often_as_it_is_shared(batch):
    model, (x, y) = convnet(), images(8)
    scores = ssam.fisher_scores(model, cross_entropy, [(x[:6], y[:6]), (x[6:], y[6:])], batch=batch)
    model.eval()
    expected = {p: torch.zeros_like(p) for p in model.parameters()}
    for rows in [*x[:6].split(batch), *x[6:].split(batch)]:
        labels = y[[int((x == row).flatten(1).all(1).nonzero()[0, 0]) for row in rows]]
        model.zero_grad()
        cross_entropy(model(rows), labels).backward()
        for p in expected:
            expected[p] += len(rows) * p.grad**2
    for p, score in scores.items():
        torch.testing.assert_close(score, expected[p], rtol=1e-10, atol=1e-14)


def test_gradient_scores_are_the_mean_gradient_over_all_samples():
    model, (x, y) = convnet(), images(7)
    scores = gradient_scores(model, cross_entropy, [(x[:4], y[:4]), (x[4:], y[4:])])
    assert model.training
    model.eval()
    cross_entropy(model(x), y).backward()
    for p, score in scores.items():
        torch.testing.assert_close(score / 7, p.grad.abs(), rtol=1e-10, atol=1e-14)


def test_scores_of_shared_gradients_leave_the_model_as_it_was():
    model, (x, y) = convnet(), images(8)
    cross_entropy(model(x), y).backward()
    gradients = [p.grad.clone() for p in model.parameters()]
    buffers = [b.clone() for b in model.buffers()]
    for scores in (
        ssam.fisher_scores(model, cross_entropy, [(x, y)], batch=4),
        gradient_scores(model, cross_entropy, [(x, y)]),
    ):
        assert not any(score.requires_grad for score in scores.values())
    assert all(torch.equal(p.grad, g) for p, g in zip(model.parameters(), gradients, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(buffers, model.buffers(), strict=True))
    assert all(module.training for module in model)


@settings(max_examples=150, deadline=None)
@given(shapes, st.integers(1, 9), st.data())
def test_n_of_m_takes_exactly_n_of_every_m_and_the_largest(shapes, m, data):
    n = data.draw(st.integers(0, m))
    scores = {p: torch.rand(p.shape, generator=seeded(m)).mul(5).round() for p in parameters(shapes)}
    masks = n_of_m_mask(scores, n, m)
    for p, mask in masks.items():
        length = mask[0].numel() if mask.dim() > 1 else mask.numel()
        rows = [group for row in mask.reshape(-1, length) for group in row.split(m)]
        values = [group for row in scores[p].reshape(-1, length) for group in row.split(m)]
        for row, value in zip(rows, values, strict=True):
            assert int(row.sum()) == (n if len(row) == m else round(n * len(row) / m))
            if 0 < int(row.sum()) < len(row):
                assert value[row].min() >= value[~row].max()
        assert mask.shape == p.shape


def test_two_of_four_runs_along_the_inputs_of_a_convolution():
    """The published N:M mask of convolutions is scrambled and keeps about chance; right, it keeps the large scores."""
    p = nn.Parameter(torch.zeros(2, 2, 1, 2))
    scores = {p: torch.tensor([[[[4.0, 1.0]], [[3.0, 2.0]]], [[[1.0, 2.0]], [[3.0, 4.0]]]])}
    assert n_of_m_mask(scores, 2, 4)[p].flatten().tolist() == [True, False, True, False, False, False, True, True]


def test_a_group_never_crosses_the_end_of_a_row():
    """A first convolution of 1×3×3 inputs: each output unit has two groups of four and one weight over."""
    p = nn.Parameter(torch.zeros(5, 1, 3, 3))
    rows = n_of_m_mask({p: torch.rand(p.shape, generator=seeded())}, 2, 4)[p].flatten(1)
    assert rows[:, :4].sum(1).tolist() == rows[:, 4:8].sum(1).tolist() == [2] * 5


class Recurrent(nn.Module):
    """``torch.func.vmap`` cannot run a GRU."""

    def __init__(self):
        super().__init__()
        self.words, self.cell, self.out = nn.Embedding(9, 4), nn.GRU(4, 5, batch_first=True), nn.Linear(5, 3)

    def forward(self, words):
        return self.out(self.cell(self.words(words))[0][:, -1])


@pytest.mark.parametrize("sparse", [False, True])
def test_fisher_of_a_recurrent_network_goes_sample_by_sample(sparse):
    model = Recurrent().double()
    model.words.sparse = sparse
    x, y = torch.randint(9, (7, 3), generator=seeded()), torch.randint(3, (7,), generator=seeded())
    scores = ssam.fisher_scores(model, cross_entropy, [(x, y)])
    model.words.sparse = False
    expected = twins.fisher_loop(model, cross_entropy, zip(x, y, strict=True))
    for p, score in scores.items():
        torch.testing.assert_close(score, expected[p], rtol=1e-12, atol=1e-14)


class Pair(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(3, 2), nn.Linear(4, 2)

    def forward(self, left, right):
        return {"logits": self.a(left) + self.b(right)}


def test_fisher_takes_tuples_dictionaries_and_any_loss():
    """The same samples in each form give the same scores, and vmap the same as the loop."""
    model, generator = Pair().double(), seeded()
    left, right = (torch.randn(6, n, generator=generator, dtype=torch.float64) for n in (3, 4))
    y = torch.randint(2, (6,), generator=generator)

    def loss(outputs, targets):
        return cross_entropy(outputs["logits"], targets["labels"] if isinstance(targets, dict) else targets)

    class Keywords(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = model

        def forward(self, left, right, labels):
            return self.inner(left, right)

    forms = [
        ssam.fisher_scores(model, loss, [((left, right), y)]),
        ssam.fisher_scores(model, loss, [[[left, right], {"labels": y}]]),
        ssam.fisher_scores(model, loss, [({"left": left, "right": right}, y)]),
        ssam.fisher_scores(Keywords(), loss, [{"left": left, "right": right, "labels": y}]),
        ssam.fisher_scores(model, lambda o, t: loss(o, t) if o["logits"].sum().item() else None, [((left, right), y)]),
    ]
    for scores in forms[1:]:
        for p, score in forms[0].items():
            torch.testing.assert_close(scores[p], score, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(
    ("batch", "says"),
    [
        ((torch.ones(2, 3), torch.ones(2), torch.ones(2)), "has 3 parts"),
        ((torch.ones(2, 3), torch.ones(3)), r"\[2, 3\]"),
    ],
)
def test_a_batch_of_no_known_form_is_refused(batch, says):
    with pytest.raises(ValueError, match=says):
        ssam.fisher_scores(nn.Linear(3, 2), cross_entropy, [batch])


def test_fisher_of_a_half_precision_model_adds_up_in_float32():
    """Squares of 1e-4 are nothing in float16."""
    model = nn.Linear(4, 2).half()
    x, y = torch.full((8, 4), 1e-4, dtype=torch.float16), torch.zeros(8, dtype=torch.long)
    scores = ssam.fisher_scores(model, cross_entropy, [(x, y)])
    assert all(score.dtype == torch.float32 for score in scores.values())
    assert bool((scores[model.weight] > 0).all())


def test_groups_are_taken_by_score_until_the_next_does_not_fit():
    a, b, c, d = (nn.Parameter(torch.zeros(size)) for size in (3, 9, 2, 4))
    masks = group_mask([[a], [b], [c], [d]], scores=[3.0, 4.0, 1.0, 2.0], count=6)
    assert [bool(masks[p].any()) for p in (a, b, c, d)] == [True, False, False, False]  # b never fits, c comes after d
    masks = group_mask([[a], [b], [c], [d]], scores=[3.0, 4.0, 2.0, 1.0], count=6)
    assert [bool(masks[p].any()) for p in (a, b, c, d)] == [True, False, True, False]
    assert all(mask.all() or not mask.any() for mask in masks.values())
    assert count(group_mask([[a, c], [b]], scores=[1.0, 2.0], count=100)) == 14
    assert count(group_mask([[a], [b]], scores=[1.0, 2.0], count=2)) == 0


@pytest.mark.parametrize(("n", "m"), [(3, 2), (-1, 4), (0, 0)])
def test_an_impossible_pattern_is_refused(n, m):
    with pytest.raises(ValueError, match=r"^n .*0 to m"):
        n_of_m_mask({nn.Parameter(torch.zeros(4)): torch.zeros(4)}, n, m)


def test_change_and_overlap_of_known_masks():
    p = nn.Parameter(torch.zeros(4))
    a, b = ({p: torch.tensor(m).bool()} for m in ([1, 1, 0, 0], [1, 0, 1, 0]))
    assert (density(a), share_changed(a, b), overlap(a, b)) == (0.5, 0.5, pytest.approx(1 / 3))
    nothing = {p: torch.zeros(4, dtype=torch.bool)}
    assert overlap(nothing, nothing) == 1.0


def test_pictures_keep_the_entries_or_their_mean():
    small = torch.tensor([[True, False], [False, True]])
    assert heatmap(small).tolist() == [[255, 0], [0, 255]]
    assert heatmap(torch.tensor([True, False, True])).tolist() == [[255, 0, 255]]
    large = torch.zeros(128, 4, 3, 3, dtype=torch.bool)
    large[:64] = True
    assert heatmap(large).shape == (64, 36)
    assert heatmap(large).float().mean().item() == pytest.approx(127.5)
