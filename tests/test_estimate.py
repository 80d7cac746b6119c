"""The estimate of a race's duration: proportions that must hold whatever the machine."""

import pytest

from ssam.catalogue import MODELS
from ssam.experiment import LaneSpec, RaceSpec, parse_spec
from ssam.planning.estimate import Rate, default_rate, estimate_seconds

CNN8 = MODELS["cnn8"].mmacs / 1e3  # GMAC of a forward pass of one image of Fashion-MNIST
RATE = Rate(gmacs=10.0, measured=True)


def spec(*methods: str, **changed: object) -> RaceSpec:
    return RaceSpec(lanes=tuple(LaneSpec(method=method) for method in methods), **changed)


def test_by_hand() -> None:
    race = spec("sgd", epochs=2, batch_size=100, train_size=1000)
    training = 2 * 10 * 100 * 3  # epochs × steps × images × forwards per gradient
    testing = 2 * 2000 + 10_000
    assert estimate_seconds(race, RATE) == pytest.approx((training + testing) * CNN8 / 10.0)


def test_the_fisher_mask_costs_its_samples_at_every_refresh() -> None:
    race = spec("ssam-f", epochs=5, mask_interval=2, fisher_samples=128)
    more = spec("ssam-f", epochs=5, mask_interval=2, fisher_samples=228)
    dynamic = spec("ssam-d", epochs=5, mask_interval=2, fisher_samples=228)
    extra = estimate_seconds(more, RATE) - estimate_seconds(race, RATE)
    assert extra == pytest.approx(3 * 100 * 3 * CNN8 / 10.0)  # three refreshes
    assert estimate_seconds(dynamic, RATE) < estimate_seconds(race, RATE)


def test_double_speed_halves_and_double_size_quadruples() -> None:
    race = spec("sgd", "sam")
    assert estimate_seconds(race, Rate(20.0, True)) == pytest.approx(estimate_seconds(race, RATE) / 2)
    assert estimate_seconds(spec("sgd", "sam", image_size=56), RATE) == pytest.approx(4 * estimate_seconds(race, RATE))


def test_clocks() -> None:
    slow = Rate(1e9, True)  # so fast that testing takes no time
    assert estimate_seconds(spec("sgd", "sam", clock="seconds", seconds=30), slow) == pytest.approx(60, abs=0.1)
    by_epochs = estimate_seconds(spec("sgd", "sam", epochs=50, clock="epochs"), RATE)
    by_gradients = estimate_seconds(spec("sgd", "sam", epochs=50, clock="gradients"), RATE)
    assert by_gradients / by_epochs == pytest.approx(4 / 3, rel=0.05)  # SGD gets SAM's two gradients a step


def test_a_guess_says_so() -> None:
    assert not default_rate("auto").measured
    assert default_rate("cuda:1") == default_rate("cuda")
    assert (
        default_rate("cuda").gmacs > default_rate("mps").gmacs > default_rate("cpu").gmacs == default_rate("auto").gmacs
    )


def test_the_numbers_of_own_images_are_taken_where_they_are_known() -> None:
    own = parse_spec(
        {"dataset": "images", "data": "x.zip", "batch_size": 32, "epochs": 3, "lanes": "sgd", "image_size": 28}
    )
    few, many = (estimate_seconds(own, RATE, (train, 18)) for train in (72, 7200))
    assert few == pytest.approx((3 * 2 * 32 * 3 + 3 * 18 + 18) * CNN8 / 10.0, rel=1e-6)
    assert many / few == pytest.approx(100, rel=0.2)
