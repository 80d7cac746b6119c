"""Disturbed weights: each disturbance against a loop over single weights; a model has its own back afterwards."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as some
from torch import Tensor, nn

from ssam.analysis.disturbed_weights import changes, disturbed, noisy, pruned, quantised
from ssam.catalogue import WEIGHT_DISTURBANCES
from ssam.models import build_model

SHARES = (0.0, 0.2, 0.5, 0.6, 0.9, 1.0)
NUMBERS = some.one_of(some.integers(-3, 3).map(float), some.floats(-2, 2, width=32))  # the integers tie often
WEIGHTS = some.lists(NUMBERS, min_size=1, max_size=12).map(lambda values: torch.tensor(values, dtype=torch.float64))


def drawn(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(5))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def quantised_by_hand(w: Tensor, bits: int) -> list[float]:
    """Every weight at the nearest of the values −m … m times the step; of two equally near the even multiple."""
    largest = max(abs(x) for x in w.tolist())
    m = 2 ** (bits - 1) - 1
    values = [place * (largest / m) for place in range(-m, m + 1)]
    found = []
    for x in w.tolist():
        near = min(abs(x - value) for value in values)
        ties = [place for place, value in enumerate(values, -m) if abs(x - value) <= near * (1 + 1e-9)]
        found.append(min(ties, key=lambda place: place % 2) * (largest / m))
    return found


def pruned_by_hand(w: Tensor, share: float) -> list[float]:
    """The smallest weight is set to 0, of equal ones the last, until as many as asked are."""
    values, left = w.tolist(), list(range(len(w)))
    for _ in range(len(values) - round((1 - share) * len(values))):
        smallest = min(left, key=lambda place: (abs(w[place].item()), -place))
        values[smallest] = 0.0
        left.remove(smallest)
    return values


@given(w=WEIGHTS, bits=some.sampled_from((2, 3, 4, 6)))
def test_quantised_is_the_nearest_of_few_values(w: Tensor, bits: int) -> None:
    found = quantised(w, bits)
    assert found.tolist() == pytest.approx(quantised_by_hand(w, bits))
    assert len(found.unique()) <= 2**bits - 1
    torch.testing.assert_close(quantised(found, bits), found)
    torch.testing.assert_close(quantised(-w, bits), -found)


def test_many_bits_change_less_than_half_a_step() -> None:
    w = drawn(40, 30).double()
    step = float(w.abs().max()) / (2**31 - 1)
    assert float((quantised(w, 32) - w).abs().max()) <= 0.501 * step


@given(w=WEIGHTS, share=some.sampled_from(SHARES))
def test_pruned_are_the_smallest_one_after_the_other(w: Tensor, share: float) -> None:
    assert pruned(w, share).tolist() == pruned_by_hand(w, share)
    assert torch.equal(pruned(w, 0.0), w)


def test_of_equal_weights_exactly_as_many_as_asked_are_pruned() -> None:
    found = pruned(torch.tensor([[1.0, -1.0], [-1.0, 1.0], [1.0, -1.0]]), 0.5)
    assert found.tolist() == [[1.0, -1.0], [-1.0, 0.0], [0.0, 0.0]]


def test_noise_is_a_share_of_the_root_mean_square() -> None:
    w, level = drawn(3, 4), 0.3
    n = torch.randn(3, 4, generator=generator()).flatten().tolist()
    rms = math.sqrt(sum(x * x for x in w.flatten().tolist()) / 12)
    by_hand = [x + level * rms * z for x, z in zip(w.flatten().tolist(), n, strict=True)]
    assert noisy(w, level, generator()).flatten().tolist() == pytest.approx(by_hand, rel=1e-5)
    assert torch.equal(noisy(w, 0.0, generator()), w)
    large = drawn(400, 400)
    change = noisy(large, level, generator()) - large
    assert float(change.std() / large.square().mean().sqrt()) == pytest.approx(level, rel=0.02)


@pytest.mark.parametrize("kind", WEIGHT_DISTURBANCES)
def test_zeros_stay_zeros_and_a_scale_changes_nothing(kind: str) -> None:
    w = drawn(6, 7)
    for level in WEIGHT_DISTURBANCES[kind].levels:
        zeros, plain, scaled = (changes(kind, level, 0)[0](x) for x in (torch.zeros(4, 5), w, 8 * w))
        assert torch.equal(zeros, torch.zeros(4, 5))
        torch.testing.assert_close(scaled, 8 * plain)


@pytest.mark.parametrize("kind", WEIGHT_DISTURBANCES)
def test_the_next_level_is_stronger(kind: str) -> None:
    w, last = drawn(50, 40), 0.0
    for level in WEIGHT_DISTURBANCES[kind].levels:
        change = float((changes(kind, level, 0)[0](w) - w).square().mean())
        assert change > last
        last = change


def test_the_noise_is_the_same_for_all_lanes_and_levels_and_new_with_each_draw() -> None:
    first, second = [drawn(3, 4), drawn(5, 2)], [2 + drawn(3, 4), drawn(5, 2) - 1]

    def directions(weights: list[Tensor], level: float, seed: int) -> list[Tensor]:
        draws = changes("noise", level, seed)
        assert len(draws) == WEIGHT_DISTURBANCES["noise"].draws == 3
        found = [(change(w) - w) / (level * w.square().mean().sqrt()) for change in draws for w in weights]
        return [torch.cat([n.flatten() for n in found[place : place + 2]]) for place in (0, 2, 4)]

    own, state = directions(first, 0.1, 7), torch.get_rng_state()
    for other in (directions(second, 0.1, 7), directions(first, 0.5, 7)):
        torch.testing.assert_close(own, other, rtol=1e-4, atol=1e-4)
    new = [*own, *directions(first, 0.1, 8)]
    assert all(not torch.allclose(a, b, atol=0.1) for place, a in enumerate(new) for b in new[:place])
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("network", ["cnn8", "vit-tiny"])
def test_only_tensors_of_two_dimensions_are_disturbed_and_restored_to_the_bit(network: str) -> None:
    model = build_model(network, channels=1, classes=10, size=28, seed=0)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    (change,) = changes("pruning", 0.9, 0)

    def changed() -> set[str]:
        return {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])}

    matrices = {name for name, p in model.named_parameters() if p.dim() > 1}
    with disturbed(model, change):
        assert changed() == matrices
    assert changed() == set()
    with pytest.raises(InterruptedError), disturbed(model, change):
        raise InterruptedError
    assert changed() == set()


def test_weights_that_are_no_numbers_are_no_error() -> None:
    model = nn.Linear(2, 2)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[math.nan, 1.0], [-math.inf, 2.0]]))
    for kind, each in WEIGHT_DISTURBANCES.items():
        for change in changes(kind, each.shown, 0):
            with disturbed(model, change):
                assert not model.weight.isfinite().all(), kind
