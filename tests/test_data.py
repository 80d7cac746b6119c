"""Batches: random access, order, noise, subsets, augmentation, the bundled data, and data sets that need a download."""

import gzip
import hashlib
import http.server
import threading
import urllib.error
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ssam.catalogue import DATASETS
from ssam.data import Batches, Dataset, augment, load_dataset, sampling
from ssam.experiment import RaceSpec
from tests.toy_data import batches_of, pixels_of, rows_of, spec_of, toy

CPU = torch.device("cpu")


def quiet(message: str, fraction: float | None) -> None:
    pass


@pytest.mark.parametrize("kind", ["none", "flip", "crop-flip", "crop-flip-cutout"])
def test_any_step_in_any_order_is_bitwise_the_same(kind: str) -> None:
    data, spec = toy(), spec_of(augment=kind, seed=3)
    in_order = [batches_of(data, spec).get(step) for step in range(20)]
    again = batches_of(data, spec)
    for step in [19, 0, 7, 7, 18, 1, 7, *range(20)]:
        for mine, first in zip(again.get(step), in_order[step], strict=True):
            assert torch.equal(mine, first)


def test_a_step_does_not_depend_on_what_else_was_drawn() -> None:
    data, spec = toy(), spec_of(augment="crop-flip")
    expected, _ = batches_of(data, spec).get(5)
    batches = batches_of(data, spec)
    torch.manual_seed(99)
    np.random.seed(99)
    list(batches.samples(10, seed=4))
    list(batches.test(5))
    state = torch.get_rng_state()
    assert torch.equal(batches.get(5)[0], expected)
    assert torch.equal(torch.get_rng_state(), state)


def test_seeds_differ_in_order_and_augmentation() -> None:
    one, two = (batches_of(toy(), spec_of(augment="none", seed=seed)).get(0)[0] for seed in (0, 1))
    assert rows_of(one) != rows_of(two)
    draws = [augment.draw(sampling.generator(sampling.AUGMENT, seed, 0), 64, 28) for seed in (0, 1)]
    assert not np.array_equal(*draws)
    steps = [augment.draw(sampling.generator(sampling.AUGMENT, 0, step), 64, 28) for step in (0, 1)]
    assert not np.array_equal(*steps)


def test_every_epoch_visits_each_image_at_most_once_in_full_batches() -> None:
    batches = batches_of(toy(train=61), spec_of(seed=2))
    assert batches.steps_per_epoch == 7
    epochs = []
    for epoch in range(3):
        seen = [row for step in range(7) for row in rows_of(batches.get(epoch * 7 + step)[0])]
        assert len(seen) == len(set(seen)) == 56
        epochs.append(seen)
    assert epochs[0] != epochs[1] != epochs[2]


def test_images_keep_their_labels_and_are_normalised() -> None:
    data = toy(channels=3)
    x, y = batches_of(data, spec_of()).get(4)
    rows = torch.tensor(rows_of(x))
    assert (x.dtype, y.dtype, tuple(x.shape)) == (torch.float32, torch.int64, (8, 3, 28, 28))
    assert torch.equal(y, data.train.labels[rows])
    assert torch.equal(pixels_of(x), data.train.pixels[rows])
    torch.testing.assert_close(x, (data.train.pixels[rows] / 255 - 0.25) / 0.5)


def test_channels_last_changes_the_layout_not_the_values() -> None:
    data, spec = toy(channels=3), spec_of(augment="crop-flip-cutout")
    x, _ = data.batches(spec, "cpu", channels_last=True).get(1)
    assert x.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(x, batches_of(data, spec).get(1)[0])


def test_images_are_resized_to_the_models_input() -> None:
    batches = batches_of(toy(model_size=64), spec_of(image_size=64, augment="crop-flip"))
    assert batches.get(0)[0].shape == (8, 1, 64, 64)
    assert next(batches.test(3))[0].shape == (3, 1, 64, 64)
    assert next(batches.samples(3, 0))[0].shape == (3, 1, 64, 64)


@settings(deadline=None)
@given(
    labels=st.lists(st.integers(0, 4), min_size=1, max_size=200), share=st.floats(0, 1), seed=st.integers(0, 2**31 - 1)
)
def test_label_noise_is_exact_and_always_another_class(labels: list[int], share: float, seed: int) -> None:
    true = np.array(labels)
    noisy = sampling.noisy_labels(true, 5, share, seed)
    assert (noisy != true).sum() == round(share * len(true))
    assert noisy.min() >= 0
    assert noisy.max() <= 4
    assert np.array_equal(noisy, sampling.noisy_labels(true, 5, share, seed))


def test_label_noise_is_uniform_over_the_other_classes() -> None:
    noisy = sampling.noisy_labels(np.zeros(30_000, dtype=np.int64), 4, 1.0, seed=0)
    counts = np.bincount(noisy, minlength=4)
    assert counts[0] == 0
    assert abs(counts[1:] - 10_000).max() < 500  # six standard deviations


def test_noise_reaches_batches_and_samples_alike_but_never_the_test_set() -> None:
    data, spec = toy(), spec_of(label_noise=0.5, train_size=40, seed=1)
    batches = Batches(Dataset(**{**vars(data), "train_size": 40}), spec, CPU, False)
    trained = {}
    for step in range(batches.steps_per_epoch):
        x, y = batches.get(step)
        trained |= dict(zip(rows_of(x), y.tolist(), strict=True))
    sampled = {
        row: label for x, y in batches.samples(999, seed=0) for row, label in zip(rows_of(x), y.tolist(), strict=True)
    }
    assert trained == sampled
    assert sum(label != data.train.labels[row] for row, label in trained.items()) == 20
    for x, y in batches.test(None):
        assert torch.equal(y, data.test.labels[rows_of(x)])


@given(st.lists(st.integers(0, 4), min_size=2, max_size=120), st.data())
@settings(deadline=None)
def test_subset_is_as_balanced_as_the_classes_allow(labels: list[int], data: st.DataObject) -> None:
    true = np.array(labels)
    size = data.draw(st.integers(1, len(labels)))
    seed = data.draw(st.integers(0, 100))
    rows = sampling.balanced_subset(true, size, seed)
    assert len(set(rows.tolist())) == len(rows) == size
    available, taken = np.bincount(true, minlength=5), np.bincount(true[rows], minlength=5)
    for cls in range(5):  # a class may lag by more than one image only where it has no more
        assert taken[cls] >= taken.max() - 1 or taken[cls] == available[cls]


def test_subset_depends_on_the_seed_and_is_all_there_is_in_a_race() -> None:
    labels = np.arange(100) % 10
    one, two = (sampling.balanced_subset(labels, 30, seed) for seed in (0, 1))
    assert not np.array_equal(one, two)
    batches = batches_of(Dataset(**{**vars(toy()), "train_size": 24}), spec_of(train_size=24))
    seen = {row for step in range(9) for row in rows_of(batches.get(step)[0])}
    assert batches.steps_per_epoch == 3
    assert len(seen) == 24


def test_limited_test_set_is_the_same_for_every_seed() -> None:
    data = toy(test=600)
    one, two = (list(batches_of(data, spec_of(seed=seed)).test(300)) for seed in (0, 1))
    assert [len(y) for _, y in one] == [256, 44]
    rows = [row for x, _ in one for row in rows_of(x)]
    assert len(set(rows)) == 300
    assert rows == [row for x, _ in two for row in rows_of(x)]
    assert rows != list(range(300))
    everything = [row for x, _ in batches_of(data, spec_of()).test(None) for row in rows_of(x)]
    assert sorted(everything) == list(range(600))
    assert sum(len(y) for _, y in batches_of(data, spec_of()).test(10**6)) == 600


def test_samples_are_drawn_without_replacement() -> None:
    batches = batches_of(toy(train=300), spec_of(augment="crop-flip-cutout"))
    chunks = list(batches.samples(280, seed=5))
    assert [len(y) for _, y in chunks] == [256, 24]
    rows = [row for x, _ in chunks for row in rows_of(x)]  # readable, so not augmented
    assert len(set(rows)) == 280
    assert rows == [row for x, _ in batches.samples(280, seed=5) for row in rows_of(x)]
    assert rows != [row for x, _ in batches.samples(280, seed=6) for row in rows_of(x)]
    assert sum(len(y) for _, y in batches.samples(10**6, seed=5)) == 300


def slow_augment(image: np.ndarray, draws: np.ndarray, kind: str) -> np.ndarray:
    """One image (C, S, S), step by step as the recipe says: pad, crop, mirror, then a hole around a centre."""
    size = image.shape[-1]
    top, left, flip, cut, row, column = draws
    if kind != "flip":
        pad = augment.padding(size)
        image = np.pad(image, ((0, 0), (pad, pad), (pad, pad)))[:, top : top + size, left : left + size]
    if flip:
        image = image[:, :, ::-1]
    if kind == "crop-flip-cutout" and cut:
        image, half = image.copy(), augment.cutout_side(size) // 2
        image[:, max(0, row - half) : row + half, max(0, column - half) : column + half] = 0
    return image


@pytest.mark.parametrize("kind", ["flip", "crop-flip", "crop-flip-cutout"])
@pytest.mark.parametrize(("channels", "size"), [(1, 28), (3, 32), (3, 64)])
def test_whole_batch_augmentation_equals_one_image_at_a_time(kind: str, channels: int, size: int) -> None:
    images = np.random.default_rng(0).normal(size=(40, channels, size, size)).astype(np.float32)
    draws = augment.draw(np.random.default_rng(1), 40, size)
    x = augment.crop_flip(torch.from_numpy(images), torch.from_numpy(draws), crop=kind != "flip")
    if kind == "crop-flip-cutout":
        x = augment.cutout(x, torch.from_numpy(draws))
    expected = np.stack([slow_augment(image, row, kind) for image, row in zip(images, draws, strict=True)])
    assert np.array_equal(x.numpy(), expected)


def test_draws_cover_their_ranges_evenly() -> None:
    draws = augment.draw(np.random.default_rng(0), 20_000, 32)
    assert draws.min(0).tolist() == [0] * 6
    assert draws.max(0).tolist() == [8, 8, 1, 1, 31, 31]
    assert draws[:, augment.FLIP].mean() == pytest.approx(0.5, abs=0.02)
    assert draws[:, augment.CUT].mean() == pytest.approx(0.5, abs=0.02)
    assert draws[:, augment.TOP].mean() == pytest.approx(4, abs=0.1)


def test_published_sizes_of_the_recipe() -> None:
    assert (augment.padding(32), augment.cutout_side(32)) == (4, 16)


def test_augmented_batches_apply_the_drawn_augmentation() -> None:
    data, spec = toy(channels=3, size=32), spec_of(augment="crop-flip-cutout", seed=6)
    plain, _ = batches_of(data, spec_of(seed=6)).get(2)
    draws = augment.draw(sampling.generator(sampling.AUGMENT, 6, 2), 8, 32)
    x, _ = batches_of(data, spec).get(2)
    black = (0 - 0.25) / 0.5  # what the padding becomes
    for image, row, got in zip(plain.numpy(), draws, x.numpy(), strict=True):
        shifted = slow_augment(image - black, row, "crop-flip") + black
        hole = slow_augment(np.ones_like(image), row * (0, 0, 0, 1, 1, 1) + (4, 4, 0, 0, 0, 0), "crop-flip-cutout")
        assert np.allclose(got, shifted * hole, atol=1e-6)


def test_bundled_data_is_complete_and_balanced(tmp_path: Path) -> None:
    data = load_dataset(RaceSpec(), tmp_path, progress=quiet)
    assert (data.train_size, data.test_size, data.channels, data.size) == (10_000, 10_000, 1, 28)
    assert len(data.classes) == 10
    for split in (data.train, data.test):
        assert torch.bincount(split.labels).tolist() == [1000] * 10
    assert data.train.pixels.float().mean() / 255 == pytest.approx(data.mean[0], abs=0.01)
    assert data.train.pixels.float().std() / 255 == pytest.approx(data.std[0], abs=0.01)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", [name for name, facts in DATASETS.items() if not facts.bundled and name != "images"])
def test_offline_gives_one_clear_line(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def no_network(*args: object, **kwargs: object) -> None:
        raise urllib.error.URLError("no route to host")

    monkeypatch.setattr("urllib.request.urlopen", no_network)
    told: list[str] = []
    with pytest.raises(ValueError, match="cannot download") as error:
        load_dataset(RaceSpec(dataset=name), tmp_path, progress=lambda message, fraction: told.append(message))
    message = str(error.value)
    assert DATASETS[name].title in message
    assert "no connection?" in message
    assert "no route to host" in message
    assert str(tmp_path / "downloads") in message
    assert "fashion-mnist-10k" in message
    assert "\n" not in message
    assert told
    assert capsys.readouterr().out == ""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A web server on this machine that MNIST is downloaded from; the folder it serves, with the files."""
    folder = tmp_path / "site" / "mnist"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    resources = []
    for split, count in (("train", 2000), ("t10k", 10)):
        for kind, array in (
            ("images-idx3", rng.integers(0, 256, (count, 28, 28))),
            ("labels-idx1", np.arange(count) % 10),
        ):
            name = f"{split}-{kind}-ubyte.gz"
            write_idx(folder / name, array)
            (folder / name).write_bytes(gzip.compress((folder / name).read_bytes()))
            resources.append((name, hashlib.md5((folder / name).read_bytes()).hexdigest()))

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            pass

    from torchvision import datasets  # here, as elsewhere: it takes seconds to import

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=tmp_path / "site")) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setattr(datasets.MNIST, "mirrors", [f"{address}/gone/", f"{address}/mnist/"])
        monkeypatch.setattr(datasets.MNIST, "resources", resources)
        yield folder
        server.shutdown()


def test_downloads_tell_how_far_they_are(site: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    told: list[tuple[str, float | None]] = []
    spec = spec_of(dataset="mnist")
    data = load_dataset(spec, tmp_path, progress=lambda *said: told.append(said))
    assert (data.train_size, data.test_size) == (2000, 10)
    assert capfd.readouterr() == ("", "")
    downloads = [message for message, fraction in told if fraction is not None]
    assert list(dict.fromkeys(downloads)) == [
        f"MNIST: downloading {split}-{kind}-ubyte.gz"
        for split in ("train", "t10k")
        for kind in ("images-idx3", "labels-idx1")
    ]
    shares = [share for message, share in told if share is not None and message == downloads[0]]
    assert shares == sorted(set(shares))
    assert len(shares) > 3
    assert 0 < shares[0] < 0.5
    assert shares[-1] == 1.0

    told.clear()
    site.rename(site.with_name("moved"))
    load_dataset(spec, tmp_path, progress=lambda *said: told.append(said))  # everything is there already
    assert all(fraction is None for _, fraction in told)
    raw = tmp_path / "downloads" / "MNIST" / "raw"
    assert len(list(raw.iterdir())) == 8
    for unpacked in raw.glob("*-ubyte"):
        unpacked.unlink()
    assert load_dataset(spec, tmp_path, progress=quiet).train_size == 2000  # the packed files will do


def test_a_download_that_arrives_damaged_is_not_kept(site: Path, tmp_path: Path) -> None:
    (site / "train-labels-idx1-ubyte.gz").write_bytes(b"an error page")
    said = r"^cannot download MNIST \(.* 404.*; 127\.0\.0\.1:\d+: train-labels-idx1-ubyte\.gz arrived damaged\)"
    with pytest.raises(ValueError, match=said) as error:
        load_dataset(spec_of(dataset="mnist"), tmp_path, progress=quiet)
    assert "\n" not in str(error.value)
    raw = tmp_path / "downloads" / "MNIST" / "raw"
    assert [path.name for path in raw.iterdir()] == ["train-images-idx3-ubyte.gz"]


def write_idx(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    path.write_bytes(header + array.astype(np.uint8).tobytes())


def test_colour_sets_arrive_channels_first() -> None:
    from ssam.data.torchvision_sets import _in_memory

    pixels = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), dtype=np.uint8)
    images = _in_memory(SimpleNamespace(data=pixels, targets=[0, 1, 2, 3, 4]))
    assert images.pixels.shape == (5, 3, 32, 32)
    assert images.pixels[4, 2, 7, 9] == pixels[4, 7, 9, 2]
    assert images.labels.tolist() == [0, 1, 2, 3, 4]


def test_downloaded_files_are_read_without_the_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def no_network(*args: object, **kwargs: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr("urllib.request.urlopen", no_network)
    raw = tmp_path / "downloads" / "MNIST" / "raw"
    rng = np.random.default_rng(0)
    train = rng.integers(0, 256, (40, 28, 28))
    for split, images in (("train", train), ("t10k", train[:10])):
        write_idx(raw / f"{split}-images-idx3-ubyte", images)
        write_idx(raw / f"{split}-labels-idx1-ubyte", np.arange(len(images)) % 10)
    data = load_dataset(spec_of(dataset="mnist", train_size=20), tmp_path, progress=quiet)
    assert (data.train_size, data.test_size, data.channels, len(data.classes)) == (20, 10, 1, 10)
    assert np.array_equal(data.train.pixels[:, 0].numpy(), train)
    assert data.train.labels.tolist() == [row % 10 for row in range(40)]
    assert capsys.readouterr().out == ""

    (raw / "train-images-idx3-ubyte").write_bytes(b"")
    with pytest.raises(ValueError, match=r"files of MNIST under .*MNIST/raw are damaged .*delete them"):
        load_dataset(spec_of(dataset="mnist"), tmp_path, progress=quiet)
