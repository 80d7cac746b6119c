"""Disturbed images: each disturbance against its plain definition, and what an analysis measures on them."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from ssam.catalogue import DISTURBANCES
from ssam.data.disturbances import disturbed

MEAN, STD = (0.2, 0.5, 0.6), (0.3, 0.25, 0.4)


def pixels(count: int = 6, side: int = 20) -> Tensor:
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(3))


def seen(x: Tensor, kind: str, level: float, seed: int = 0) -> Tensor:
    """What a network is shown of pixels, as pixels again."""
    mean, std = (torch.tensor(values).view(-1, 1, 1) for values in (MEAN, STD))
    batches = [((x - mean) / std, torch.arange(len(x)))]
    [(found, labels)] = disturbed(batches, kind, level, mean=MEAN, std=STD, seed=seed)
    assert torch.equal(labels, torch.arange(len(x)))
    assert found.shape == x.shape
    return found * std + mean


@pytest.mark.parametrize("kind", DISTURBANCES)
def test_every_level_stays_in_the_range_of_a_pixel_and_the_next_one_is_stronger(kind: str) -> None:
    x, last = pixels(), 0.0
    for level in DISTURBANCES[kind].levels:
        found = seen(x, kind, level)
        assert float(found.min()) >= -1e-6
        assert float(found.max()) <= 1 + 1e-6
        change = float((found - x).square().mean())
        if kind != "shift":  # of random pixels every shift is as strong
            assert change > last
        last = change
    torch.testing.assert_close(seen(x, kind, 0.0), x)


@pytest.mark.parametrize("kind", ["noise", "shift", "occlusion"])
def test_the_seed_alone_decides_what_is_left_to_chance(kind: str) -> None:
    x, state = pixels(), torch.get_rng_state()
    assert torch.equal(seen(x, kind, 0.2), seen(x, kind, 0.2))
    assert not torch.equal(seen(x, kind, 0.2), seen(x, kind, 0.2, seed=1))
    assert torch.equal(torch.get_rng_state(), state)


def test_noise_has_its_standard_deviation_and_is_clipped() -> None:
    grey = torch.full((40, 3, 32, 32), 0.5)
    found = seen(grey, "noise", 0.1)
    assert float(found.std()) == pytest.approx(0.1, rel=0.02)
    assert float(found.mean()) == pytest.approx(0.5, abs=0.002)
    black = seen(torch.zeros(40, 3, 32, 32), "noise", 0.1)
    assert float(black.mean()) == pytest.approx(0.1 / math.sqrt(2 * math.pi), rel=0.02), "half of it is cut off"


def test_blur_is_a_gaussian_convolution() -> None:
    from scipy.ndimage import gaussian_filter

    x = pixels(2)
    level = 0.06
    sigma = level * x.shape[-1]
    wanted = gaussian_filter(
        x.numpy(), (0, 0, sigma, sigma), mode="nearest", radius=(0, 0, round(3 * sigma), round(3 * sigma))
    )
    np.testing.assert_allclose(seen(x, "blur", level).numpy(), wanted, atol=1e-5)


def test_contrast_shrinks_every_channel_towards_its_mean() -> None:
    x = pixels()
    found = seen(x, "contrast", 0.7)
    torch.testing.assert_close(found.mean((2, 3)), x.mean((2, 3)))
    torch.testing.assert_close(found.std((2, 3)), 0.3 * x.std((2, 3)))


def test_shift_moves_whole_images_in_all_four_ways() -> None:
    x, step = pixels(64), 3
    ways = {name: torch.zeros_like(x) for name in ("left", "right", "up", "down")}
    ways["left"][..., :-step] = x[..., step:]
    ways["right"][..., step:] = x[..., :-step]
    ways["up"][..., :-step, :] = x[..., step:, :]
    ways["down"][..., step:, :] = x[..., :-step, :]
    found = seen(x, "shift", step / 20)
    taken = [
        next(name for name, moved in ways.items() if torch.allclose(found[row], moved[row], atol=1e-5))
        for row in range(len(x))
    ]
    assert set(taken) == set(ways)


def test_occlusion_covers_one_square_inside_each_image() -> None:
    x = pixels(64)
    found = seen(x, "occlusion", 0.25)
    corners = set()
    for row in range(len(x)):
        changed = ((found[row] - x[row]).abs() > 1e-5).any(0)
        rows, columns = changed.any(1).nonzero().flatten(), changed.any(0).nonzero().flatten()
        assert (len(rows), len(columns), int(changed.sum())) == (5, 5, 25)
        assert torch.allclose(found[row][:, changed], torch.tensor(0.5), atol=1e-5)
        corners.add((int(rows[0]), int(columns[0])))
    assert len(corners) > 30


def test_an_unknown_disturbance_is_refused_with_the_list() -> None:
    with pytest.raises(ValueError, match=r"'fog'.*noise, blur"):
        seen(pixels(), "fog", 0.1)
