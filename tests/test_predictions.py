"""What lanes answer for single images: recorded by a race, kept by the store and in race files."""

import io
import itertools
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from ssam.data import load_dataset
from ssam.engine import Race, predictions
from ssam.experiment import parse_spec
from ssam.experiment.events import Checkpoint, EpochEvent, ImagesEvent, PredictionsEvent
from ssam.jobs import disk
from ssam.planning.estimate import LIVE_TEST_SIZE
from ssam.stats.memorisation import memorisation
from ssam.store import Store
from ssam.store.race_file import add_predictions, load, save
from ssam.training.schedule import step_rate
from tests.small_races import STEPS, of, parts, run, small

NOISY = {"model": "mlp", "label_noise": 0.4, "train_size": 512, "batch_size": 64, "epochs": 3, "lanes": "sgd,sam"}


@pytest.fixture(scope="module")
def raced(tmp_path_factory: pytest.TempPathFactory) -> list:
    return run(tmp_path_factory.mktemp("home"), **NOISY)


def images(events: list) -> ImagesEvent:
    (found,) = of(events, ImagesEvent)
    return found


def loop_of_sgd(home: Path) -> list[tuple[list[int], float, float, float]]:
    """Plain SGD without the engine. Return by epoch the latest answer for each image, and the shares of three kinds, counted one by one."""
    spec, batches, model = parts(home, **NOISY)
    optimizer = torch.optim.SGD(model.parameters(), lr=spec.lr, momentum=spec.momentum, weight_decay=spec.weight_decay)
    place = {row: at for at, row in enumerate(batches.train_rows.tolist())}
    given, true = batches.train_labels(noisy=True).tolist(), batches.train_labels(noisy=False).tolist()
    answers, found = [-1] * len(given), []
    rows_seen: list[int] = []
    for step in range(spec.epochs * STEPS):
        x, y = batches.get(step)
        order = batches.positions(step).tolist()
        rows_seen += [batches.train_rows[at] for at in order]
        for group in optimizer.param_groups:
            group["lr"] = step_rate(spec.lr, step, spec.epochs * STEPS, STEPS)
        model.train()
        optimizer.zero_grad()
        outputs = model(x)
        cross_entropy(outputs, y).backward()
        optimizer.step()
        for at, label, output in zip(order, y.tolist(), outputs.tolist(), strict=True):
            assert given[at] == label
            answers[at] = output.index(max(output))
        if (step + 1) % STEPS == 0:
            kinds = {"clean": [], "memorised": [], "resisted": []}
            for answer, label, right in zip(answers, given, true, strict=True):
                if label == right:
                    kinds["clean"].append(answer == label)
                else:
                    kinds["memorised"].append(answer == label)
                    kinds["resisted"].append(answer == right)
            found.append((list(answers), *(sum(each) / len(each) for each in kinds.values())))
    assert set(rows_seen) == set(place)
    return found


def test_memorisation_is_that_of_a_direct_count_in_a_plain_loop(raced: list, tmp_path: Path) -> None:
    known, recorded = images(raced), of(raced, PredictionsEvent, "sgd")
    counted = memorisation(np.stack([each.train for each in recorded]), known.given, known.true)
    for epoch, (answers, clean, memorised, resisted) in enumerate(loop_of_sgd(tmp_path)):
        assert recorded[epoch].train.tolist() == answers
        assert counted.clean[epoch] == pytest.approx(clean)
        assert counted.memorised[epoch] == pytest.approx(memorised)
        assert counted.resisted[epoch] == pytest.approx(resisted)


def test_the_wrong_labels_are_those_of_training_and_as_many_as_asked_for(raced: list, tmp_path: Path) -> None:
    known = images(raced)
    assert int((known.given != known.true).sum()) == round(0.4 * 512)
    spec = parse_spec({**NOISY, "label_noise": 0.0})
    clean = load_dataset(spec, tmp_path, progress=lambda message, fraction=None: None)
    assert known.true.tolist() == clean.train.labels[known.train_rows].tolist()
    assert known.test_labels.tolist() == clean.test.labels[known.test_rows].tolist()


def test_test_predictions_have_the_accuracy_of_the_evaluation(raced: list) -> None:
    known = images(raced)
    for lane in ("sgd", "sam"):
        pairs = list(zip(of(raced, EpochEvent, lane), of(raced, PredictionsEvent, lane), strict=True))
        assert [epoch.step for epoch, _ in pairs] == [each.step for _, each in pairs]
        for epoch, each in pairs:
            assert len(each.test) == LIVE_TEST_SIZE == len(known.test_labels)
            assert ((each.confidence > 0.099) & (each.confidence <= 1)).all()
            if epoch.test_size == LIVE_TEST_SIZE:
                assert (each.test == known.test_labels).mean() == pytest.approx(epoch.test_accuracy)


def test_the_last_evaluation_is_cut_to_the_images_of_every_epoch(raced: list, tmp_path: Path) -> None:
    _, batches, model = parts(tmp_path, **NOISY)
    answers = predictions.TestAnswers(batches)
    model.eval()
    everything = []
    for x, y in batches.test(None):
        everything.append(model(x).detach())
        answers.add(everything[-1], y)
    event = answers.event("sgd", 1, 1.0, torch.zeros(5, dtype=torch.int16))
    rows = images(raced).test_rows
    assert answers.labels.tolist() == images(raced).test_labels.tolist()
    assert event.test.tolist() == torch.cat(everything).argmax(1)[torch.from_numpy(rows)].tolist()
    assert np.allclose(event.confidence, torch.cat(everything).softmax(1).amax(1).numpy()[rows])


def test_an_image_that_stands_for_an_unreadable_one_changes_no_answer() -> None:
    answers = torch.full((4,), -1, dtype=torch.int16)
    predictions.record_answers(answers, torch.tensor([2, -1, 0]), torch.eye(3))
    assert answers[:-1].tolist() == [2, -1, 0]


def test_a_training_set_that_is_too_large_records_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(predictions, "MOST_IMAGES", 511)
    assert not of(run(tmp_path, **{**NOISY, "epochs": 1}), PredictionsEvent)


def folder_of_images(path: Path, side: int) -> None:
    """A zip of two classes, red and blue, in the layout of an image folder."""
    from PIL import Image

    with zipfile.ZipFile(path, "w") as archive:
        for split, count in (("train", 24), ("test", 8)):
            for name, colour in (("blue", (0, 0, 250)), ("red", (250, 0, 0))):
                for number in range(count):
                    file = io.BytesIO()
                    Image.new("RGB", (side, side), colour).save(file, "PNG")
                    archive.writestr(f"{split}/{name}/{number}.png", file.getvalue())


def test_pictures_of_own_images_show_the_wrongly_labelled_first(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(predictions, "PICTURES", 20)
    folder_of_images(tmp_path / "mine.zip", 48)
    settings = {"dataset": "images", "data": "mine.zip", "lanes": "sgd", "epochs": 1, "batch_size": 8, "model": "mlp"}
    spec = parse_spec({**settings, "image_size": 32, "label_noise": 0.25})
    events = list(Race(spec, home=tmp_path, image_root=tmp_path, threads=1).events())
    known = images(events)
    wrong = np.flatnonzero(known.given != known.true)
    assert len(wrong) == 12
    assert set(wrong) <= set(known.shown.tolist())
    assert known.shown.tolist() == sorted(known.shown.tolist())
    assert known.train_pictures.shape == (20, predictions.SIDE, predictions.SIDE, 3)
    red = known.train_pictures.reshape(20, -1, 3).mean(axis=1)[:, 0] > 125
    assert red.tolist() == (known.true[known.shown] == 1).tolist()
    assert len(known.test_pictures) == len(known.test_rows) == 16


# The store and the race file


def kept(store: Store, events: list, request: str = "one", **changes: object) -> str:
    spec = parse_spec({**NOISY, **changes})
    run_id = store.runs.create(spec, request)
    store.queue.assign(run_id, "cpu")
    with store.writer(run_id) as writer:
        for event in events:
            writer.add(event)
    store.queue.transition(run_id, ("starting",), "finished")
    return run_id


def check_kept(found, events: list) -> None:
    known = images(events)
    for name, array in vars(found.images).items():
        assert array.tolist() == getattr(known, name).tolist(), name
    assert list(found.lanes) == ["sgd", "sam"]
    for name, lane in found.lanes.items():
        told = of(events, PredictionsEvent, name)
        assert lane.steps.tolist() == [each.step for each in told]
        assert lane.epochs.tolist() == [each.epoch for each in told]
        assert lane.train.tolist() == [each.train.tolist() for each in told]
        assert lane.test.tolist() == [each.test.tolist() for each in told]
        assert np.abs(lane.confidence - np.stack([each.confidence for each in told])).max() <= 0.5 / 255 + 1e-6


def test_the_store_returns_what_was_recorded(raced: list, store: Store) -> None:
    run_id = kept(store, raced)
    found = store.predictions.read(run_id, ("sgd", "sam"))
    assert found is not None
    check_kept(found, raced)
    assert found.images.changed.sum() == round(0.4 * 512)
    assert store.predictions.steps(run_id) == [(lane, step) for lane in (0, 1) for step in (8, 16, 24)]


def test_a_race_without_predictions_has_none(store: Store) -> None:
    run_id = store.runs.create(parse_spec(NOISY), "none")
    assert store.predictions.read(run_id, ("sgd", "sam")) is None
    assert store.predictions.thumbnails(run_id) is None


def test_what_is_sent_again_after_a_restart_changes_nothing(raced: list, store: Store) -> None:
    run_id = kept(store, raced)
    first = of(raced, PredictionsEvent, "sgd")[0]
    other = PredictionsEvent(first.lane, first.step, first.epoch, first.train * 0, first.test, first.confidence)
    with store.writer(run_id) as writer:
        writer.add(other)
    found = store.predictions.read(run_id, ("sgd", "sam"))
    assert found is not None
    check_kept(found, raced)


def test_a_full_disk_takes_the_predictions_of_an_ended_race_after_its_masks(raced: list, store: Store) -> None:
    run_id = kept(store, raced)
    masks = store.run_folder(run_id) / "masks"
    masks.mkdir(exist_ok=True)
    (masks / "0-1.npz").write_bytes(bytes(1_000_000))
    used = disk.measure(store, 1.0).used
    disk.make_room(store, (used - 900_000) / 1e9)
    assert not masks.exists()
    assert store.predictions.has(run_id)
    disk.make_room(store, 1e-9)
    assert not store.predictions.has(run_id)
    assert store.predictions.read(run_id, ("sgd", "sam")) is None


def test_predictions_that_go_while_they_are_read_are_none(raced: list, store: Store) -> None:
    run_id = kept(store, raced)
    folder = store.run_folder(run_id) / "predictions"
    moments = store.predictions.steps(run_id)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(store.predictions, "steps", lambda _: moments)
        (folder / "0-8.npz").unlink()
        assert store.predictions.lanes(run_id, ("sgd", "sam")) == {}


def test_a_long_race_keeps_a_bounded_number_of_evaluations() -> None:
    recorded = [epoch for epoch in range(1, 10_001) if predictions.is_recorded(epoch)]
    assert recorded[:149] == list(range(1, 150))
    assert len(recorded) < 700
    assert all(later - earlier <= earlier / 50 + 2 for earlier, later in itertools.pairwise(recorded))


def test_a_race_resumed_from_a_checkpoint_without_predictions_records_none(tmp_path: Path) -> None:
    spec = small(**NOISY)
    race = Race(spec, home=tmp_path, threads=1)
    race.want_checkpoint()
    checkpoint = next(event for event in race.events() if isinstance(event, Checkpoint))
    for lane in checkpoint.state["lanes"].values():
        del lane["answers"]
    told = list(Race(spec, home=tmp_path, threads=1, state=checkpoint.state).events())
    assert of(told, EpochEvent)
    assert not of(told, PredictionsEvent)


def test_a_race_file_holds_the_predictions(raced: list, store: Store, tmp_path: Path) -> None:
    save(store, kept(store, raced), {}, tmp_path / "it.json.gz")
    recording = load(tmp_path / "it.json.gz")
    assert recording.predictions is not None
    check_kept(recording.predictions, raced)


def test_predictions_are_added_to_the_file_of_the_same_race_only(raced: list, store: Store, tmp_path: Path) -> None:
    without = [event for event in raced if not isinstance(event, ImagesEvent | PredictionsEvent)]
    save(store, kept(store, without), {"date": "then"}, tmp_path / "it.json.gz")
    before = load(tmp_path / "it.json.gz")
    assert before.predictions is None
    add_predictions(store, kept(store, raced, "two"), tmp_path / "it.json.gz")
    after = load(tmp_path / "it.json.gz")
    assert after.predictions is not None
    check_kept(after.predictions, raced)
    assert (after.about, after.window) == (before.about, before.window)
    another = run(tmp_path, **{**NOISY, "seed": 1})
    with pytest.raises(ValueError, match=r"^.*accuracies.*$"):
        add_predictions(store, kept(store, another, "three", seed=1), tmp_path / "it.json.gz")
