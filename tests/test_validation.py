"""The validation split: what is held out, that nothing else sees it, and that a race without one is what it was."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import cross_entropy

from ssam import cli
from ssam.data import load_dataset, sampling
from ssam.data.validation import held_out
from ssam.engine import Race
from ssam.experiment import RaceSpec, parse_spec
from ssam.experiment.events import EpochEvent, Result, Started, StepEvent
from ssam.planning.estimate import Rate, estimate_seconds
from tests.toy_data import batches_of, rows_of, spec_of, toy

SMALL = {"train_size": 320, "batch_size": 32, "epochs": 2, "lanes": "sgd,ssam-f", "fisher_samples": 16, "seed": 4}
NOISY = {**SMALL, "label_noise": 0.4, "validation": 0.2}
NAMES = [f"class {number}" for number in range(10)]


def bundled(spec: RaceSpec, home: Path):
    return load_dataset(spec, home, progress=lambda *_: None)


def bits(x: torch.Tensor) -> list[bytes]:
    return [image.numpy().tobytes() for image in x]


@given(
    counts=st.lists(st.integers(0, 60), min_size=2, max_size=10),
    share=st.floats(0.02, 0.5),
    seed=st.integers(0, 99),
)
def test_of_each_class_its_share_is_held_out_to_within_one_image(counts: list[int], share: float, seed: int) -> None:
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))
    present = [count for count in counts if count]
    total = round(share * len(labels))
    if not present or min(present) < 2 or total < sum(max(1, int(share * count)) for count in present):
        return  # refused, or no data at all: see below
    held = held_out(labels, NAMES[: len(counts)], share, seed)
    assert len(held) == total
    assert held.tolist() == sorted(set(held.tolist()))
    for label, count in enumerate(counts):
        of_class = int((labels[held] == label).sum())
        assert abs(of_class - share * count) < 1
        assert of_class < count or not count, "something is left to train on"
        assert of_class or not count, "every class can be judged"
    assert np.array_equal(held, held_out(labels, NAMES[: len(counts)], share, seed))


def test_another_seed_holds_out_other_images() -> None:
    labels = np.repeat(np.arange(4), 50)
    assert not np.array_equal(held_out(labels, NAMES[:4], 0.2, 0), held_out(labels, NAMES[:4], 0.2, 1))


@pytest.mark.parametrize(
    ("counts", "share", "says"),
    [
        ([20, 1, 20], 0.2, "needs 2 training images or more of each class; 'class 1' has 1"),
        ([3, 3, 3], 0.1, "of 9 training images is 1, too few for 3 classes"),
        ([4, 4], 0.05, "of 8 training images is 0, too few for 2 classes"),
    ],
)
def test_what_is_too_small_to_be_split_is_one_line(counts: list[int], share: float, says: str) -> None:
    with pytest.raises(ValueError) as refused:  # noqa: PT011
        held_out(np.repeat(np.arange(len(counts)), counts), NAMES[: len(counts)], share, 0)
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("augment", ["none", "crop-flip"])
def test_what_is_held_out_is_never_trained_on_nor_looked_at_by_a_mask(augment: str) -> None:
    data = toy(train=120, test=20)
    plain = batches_of(data, spec_of(seed=3))
    split = batches_of(data, spec_of(seed=3, validation=0.25, augment=augment))
    held = [row for x, _ in split.validation() for row in rows_of(x)]
    assert (split.train_size, split.validation_size, len(set(held))) == (90, 30, 30)
    assert split.steps_per_epoch == 90 // 8
    seen = {row for x, _ in split.samples(120, seed=0) for row in rows_of(x)}
    assert not seen & set(held)
    assert seen | set(held) == {row for x, _ in plain.samples(120, seed=0) for row in rows_of(x)}
    if augment == "none":
        trained = {row for step in range(3 * split.steps_per_epoch) for row in rows_of(split.get(step)[0])}
        assert trained <= seen


def test_the_part_is_taken_from_what_the_race_without_it_trains_on_with_the_same_noise(tmp_path: Path) -> None:
    """Same images, same wrong labels: only that a fifth of them is not trained on."""
    split, whole = parse_spec(NOISY), parse_spec({**NOISY, "validation": 0})
    one, other = (
        bundled(split, tmp_path).batches(split, "cpu", True),
        bundled(whole, tmp_path).batches(whole, "cpu", True),
    )
    labelled = [
        {image: int(label) for x, y in pairs for image, label in zip(bits(x), y, strict=True)}
        for pairs in (one.validation(), one.samples(320, 0), other.samples(320, 0))
    ]
    held, trained, every = labelled
    assert held | trained == every
    assert not held.keys() & trained.keys()
    assert (len(held), len(trained)) == (64, 256)
    counts = np.bincount(list(every.values()))
    assert np.abs(np.bincount(list(held.values()), minlength=10) - 0.2 * counts).max() < 1
    clean = {**NOISY, "label_noise": 0}
    right = bundled(parse_spec(clean), tmp_path).batches(parse_spec(clean), "cpu", True)
    true = {
        image: int(label)
        for pairs in (right.validation(), right.samples(320, 0))
        for x, y in pairs
        for image, label in zip(bits(x), y, strict=True)
    }
    wrong = np.mean([true[image] != label for image, label in held.items()])
    assert 0.2 < wrong < 0.6  # of 64 labels 40% are expected


def test_without_a_split_batches_are_what_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    """Subset, noise and order from their own seeds alone, as before there was a split."""
    monkeypatch.setattr("ssam.data.validation.held_out", None)
    data, spec = toy(train=120), spec_of(seed=5, train_size=80, label_noise=0.3)
    data = toy(train=120).__class__(**{**vars(data), "train_size": 80})
    batches = batches_of(data, spec)
    labels = data.train.labels.numpy()
    chosen = sampling.balanced_subset(labels, 80, 5)
    noisy = labels.copy()
    noisy[chosen] = sampling.noisy_labels(labels[chosen], 3, 0.3, 5)
    for step in range(25):
        x, y = batches.get(step)
        rows = sampling.batch_rows(chosen, 8, 5, step)
        assert rows_of(x) == rows.tolist()
        assert y.tolist() == noisy[rows].tolist()
    assert (batches.train_size, batches.validation_size) == (80, 0)


def test_a_spec_without_a_split_is_what_it_was() -> None:
    assert RaceSpec().digest == RaceSpec(validation=0.0).digest
    assert "validation" not in RaceSpec().to_strings()
    assert parse_spec({"validation": "0.2"}).to_strings() == {"validation": "0.2"}
    assert list(RaceSpec.model_fields)[-2:] == ["validation", "base"], "what is kept of older races begins alike"


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"validation": 0.6}, "validation '0.6' must be a number from 0 to 0.5"),
        ({"validation": -0.1}, "validation '-0.1' must be a number from 0 to 0.5"),
        (
            {"validation": 0.2, "train_size": 150},
            "batch_size 128 must be at most train_size 150 less the 30 of validation 0.2",
        ),
    ],
)
def test_a_split_that_no_race_can_have_is_one_line(values: dict, says: str) -> None:
    with pytest.raises(ValueError, match=rf"^{says}"):
        parse_spec(values)


def test_a_race_counts_with_what_it_trains_on() -> None:
    race = parse_spec({"train_size": 4000, "validation": 0.2, "epochs": 2, "lanes": "sgd"})
    assert race.split(10_000) == (3200, 800)
    assert race.steps_per_epoch == 3200 // 128
    assert race.gradients == 2 * (3200 // 128)
    rate = Rate(1.0, True)
    images = 2 * 25 * 128 * 3 + 2 * (2000 + 800) + 10_000
    one = estimate_seconds(parse_spec({"lanes": "sgd", "epochs": 1, "train_size": 128}), rate)
    assert estimate_seconds(race, rate) == pytest.approx(one * images / (128 * 3 + 2000 + 10_000))


@pytest.fixture(scope="module")
def raced(tmp_path_factory):
    return list(Race(parse_spec(NOISY), home=tmp_path_factory.mktemp("home"), threads=1).events())


def test_a_race_tells_loss_and_accuracy_on_what_it_holds_out(raced, tmp_path: Path) -> None:
    (started,) = [event for event in raced if isinstance(event, Started)]
    assert (started.train_size, started.validation_size, started.test_size) == (256, 64, 10_000)
    assert started.steps_per_epoch == 8
    seen = [event for event in raced if isinstance(event, EpochEvent)]
    assert len(seen) == 4
    for event in seen:
        assert 64 * event.validation_accuracy == pytest.approx(round(64 * event.validation_accuracy))
        assert event.validation_loss > 0
    result = raced[-1]
    assert isinstance(result, Result)
    for lane, last in zip(result.lanes, seen[-2:], strict=True):
        assert lane.validation_accuracy == last.validation_accuracy
        assert lane.validation_loss == last.validation_loss


def test_the_accuracy_is_that_of_the_noisy_labels_in_evaluation_mode(tmp_path: Path) -> None:
    """Against a plain forward pass of the weights that the race kept."""
    from ssam.experiment.events import Snapshot
    from ssam.models import build_model

    spec = parse_spec({**NOISY, "lanes": "sgd", "snapshot_interval": 1})
    events = list(Race(spec, home=tmp_path, threads=1).events())
    kept = [event for event in events if isinstance(event, Snapshot)][-1]
    last = [event for event in events if isinstance(event, EpochEvent)][-1]
    model = build_model(spec.model, channels=1, classes=10, size=28, seed=0).eval()
    model.load_state_dict({name: torch.from_numpy(value) for name, value in kept.weights.items()})
    batches = bundled(spec, tmp_path).batches(spec, "cpu", True)
    x, y = (torch.cat(parts) for parts in zip(*batches.validation(), strict=True))
    with torch.no_grad():
        outputs = model(x)
    assert last.validation_accuracy == pytest.approx((outputs.argmax(1) == y).float().mean().item())
    assert last.validation_loss == pytest.approx(cross_entropy(outputs, y).item(), rel=1e-5)


def test_looking_at_the_held_out_images_changes_nothing_of_the_training(raced, tmp_path: Path) -> None:
    """Steps and test numbers stay to the bit where the evaluation of the held-out images is left out."""
    import ssam.data.batches

    class Blind(ssam.data.batches.Batches):
        validation_size = property(lambda self: 0, lambda self, value: None)  # type: ignore[assignment]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ssam.data.batches, "Batches", Blind)
        blind = list(Race(parse_spec(NOISY), home=tmp_path, threads=1).events())
    for kind, names in ((StepEvent, ("loss", "grad_norm")), (EpochEvent, ("train_loss", "test_loss", "test_accuracy"))):
        told = [
            [tuple(getattr(event, name) for name in names) for event in events if isinstance(event, kind)]
            for events in (raced, blind)
        ]
        assert told[0] == told[1]
    assert all(event.validation_accuracy is None for event in blind if isinstance(event, EpochEvent))


def test_the_command_line_tells_it_only_where_there_is_a_split(capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--train-size", "160", "--batch-size", "64", "--epochs", "1", "--lanes", "sgd", "--json"]
    assert cli.main(["race", *flags, "--validation", "0.2"]) in (0, None)
    *_, epoch, result = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert 0 <= epoch["validation_accuracy"] <= 1
    assert result["lanes"][0]["validation_accuracy"] == epoch["validation_accuracy"]
    assert cli.main(["race", *flags]) in (0, None)
    assert "validation" not in capsys.readouterr().out
