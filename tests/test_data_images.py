"""Own images: formats, odd files, streaming, and the confinement of a server's users."""

import dataclasses
import gc
import io
import json
import multiprocessing
import pickle
import random
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ssam.data import Dataset, load_dataset, own_images, streaming
from ssam.data.images import decode
from ssam.data.streaming import StreamedImages
from ssam.experiment import RaceSpec, parse_spec
from ssam.imagefolder import members
from ssam.imagefolder.members import Members
from tests.golden import assert_one_line_error


def quiet(message: str, fraction: float | None) -> None:
    pass


def spec_of(path: Path | str, **values: object) -> RaceSpec:
    return parse_spec({"dataset": "images", "data": str(path), "image_size": 16, "batch_size": 4, **values})


def load(path: Path | str, home: Path, **values: object) -> Dataset:
    return load_dataset(spec_of(path, **values), home, progress=quiet)


def save(path: Path, colour: tuple[int, int, int] | int = (200, 30, 60), mode: str = "RGB", side: int = 20) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (side, side + 4), colour).convert(mode).save(path)


def skipped(data: Dataset) -> list[str]:
    """The notes on what was left out."""
    return [note for note in data.warnings if " skipped (" in note]


def make_folder(root: Path, per_class: int = 10) -> Path:
    """train/ and test/ with two classes; every picture differs."""
    rng = random.Random(0)
    for split in ("train", "test"):
        for name in ("cat", "dog"):
            for number in range(per_class):
                noise = np.random.default_rng(rng.randrange(10**6)).integers(0, 256, (24, 20, 3), dtype=np.uint8)
                path = root / split / name / f"{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(noise).save(path)
    return root


def zipped(folder: Path, path: Path) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                archive.write(file, file.relative_to(folder).as_posix())
    return path


def test_folder_and_zip_give_the_same_normalised_images(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "pets")
    told: list[tuple[str, float | None]] = []
    data = load_dataset(spec_of(folder), tmp_path, progress=lambda *said: told.append(said))
    assert (data.classes, data.channels, data.size) == (("cat", "dog"), 3, 16)
    assert (data.train_size, data.test_size, skipped(data)) == (20, 20, [])
    assert told[0][1] == 0.0
    assert_one_line_error(told[0][0], ["20", "train"])
    x = torch.cat([x for x, _ in data.batches(spec_of(folder), "cpu", False).samples(20, 0)])
    assert x.mean((0, 2, 3)).abs().max() < 1e-4
    assert (x.std((0, 2, 3), correction=0) - 1).abs().max() < 1e-4

    again = load(zipped(folder, tmp_path / "pets.zip"), tmp_path)
    assert torch.equal(again.train.pixels, data.train.pixels)
    assert torch.equal(again.train.labels, data.train.labels)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pets", "pets.zip"], "nothing may be unpacked"


def test_a_zip_with_odd_spellings_of_names_is_read(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "pets", per_class=3)
    with zipfile.ZipFile(tmp_path / "pets.zip", "w") as archive:
        for file in sorted(folder.rglob("*.png")):
            archive.writestr(f"./{file.relative_to(folder).as_posix()}".replace("cat/", "cat//"), file.read_bytes())
    data = load(tmp_path / "pets.zip", tmp_path)
    assert skipped(data) == []
    assert torch.equal(data.train.pixels, load(folder, tmp_path).train.pixels)


@pytest.mark.parametrize(
    ("mode", "suffix"),
    [("RGB", "jpg"), ("L", "jpg"), ("CMYK", "jpg"), ("L", "png"), ("LA", "png"), ("P", "png"), ("RGBA", "png"), ("1", "png"),
     ("P", "gif"), ("RGB", "bmp"), ("RGB", "webp"), ("RGBA", "webp"), ("RGB", "tif"), ("CMYK", "tif"), ("RGB", "ppm")],
)  # fmt: skip
def test_every_usual_mode_and_format_becomes_rgb(tmp_path: Path, mode: str, suffix: str) -> None:
    save(tmp_path / f"x.{suffix}", (255, 255, 255), mode, side=40)
    pixels = decode(Members(tmp_path), f"x.{suffix}", 16)
    assert (pixels.shape, pixels.dtype) == ((3, 16, 16), torch.uint8)
    assert pixels.min() >= 250


def test_the_centre_square_is_taken(tmp_path: Path) -> None:
    wide = Image.new("RGB", (90, 30), (255, 0, 0))
    wide.paste((0, 0, 255), (30, 0, 60, 30))
    wide.save(tmp_path / "x.png")
    assert (decode(Members(tmp_path), "x.png", 15).view(3, -1) == torch.tensor([[0], [0], [255]])).all()
    Image.new("RGB", (20_000, 2)).save(tmp_path / "line.png")
    assert decode(Members(tmp_path), "line.png", 64).shape == (3, 64, 64)


def spoil(folder: Path) -> dict[str, str]:
    """Puts unreadable files into train/cat; returns their names, with a word of the reason for each."""
    cats = folder / "train" / "cat"
    (cats / "a_text.jpg").write_text("I am no picture")
    (cats / "b_empty.png").write_bytes(b"")
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(buffer, "JPEG")
    (cats / "c_cut.jpg").write_bytes(buffer.getvalue()[: len(buffer.getvalue()) // 2])
    Image.fromarray(np.zeros((20, 20), dtype=np.float32)).save(cats / "d_deep.tif")
    Image.new("1", (9000, 9000)).save(cats / "e_bomb.png")
    (cats / "f_script.jpg").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\nshowpage\n")
    (cats / "g_page.jpg").write_bytes(b"\n<!DOCTYPE html><html><title>404</title></html>")
    (cats / "h_phone.jpg").write_bytes(HEIC)
    (cats / "i_video.jpg").write_bytes(b"\0\0\0\x18ftypmp42" + bytes(200))
    (cats / "j_avif.png").write_bytes(b"\0\0\0\x1cftypmif1\0\0\0\0mif1avif" + bytes(200))
    (cats / "k_xl.png").write_bytes(b"\xff\x0a" + bytes(200))
    return {
        "a_text.jpg": "not images", "b_empty.png": "empty", "c_cut.jpg": "damaged", "d_deep.tif": "32 bits",
        "e_bomb.png": "64 million pixels", "f_script.jpg": "not images", "g_page.jpg": "web page", "h_phone.jpg": "HEIC",
        "i_video.jpg": "not images", "j_avif.png": "AVIF", "k_xl.png": "JPEG XL",
    }  # fmt: skip


HEIC = b"\0\0\0\x18ftypheic\0\0\0\0heicmif1" + bytes(200)


@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_odd_files_are_skipped_and_reported(tmp_path: Path, kind: str) -> None:
    folder = make_folder(tmp_path / "pets")
    (folder / "train" / "cat" / "notes.txt").write_text("hello")
    (folder / "train" / "cat" / "Thumbs.db").write_text("of no interest")
    bad = spoil(folder)
    data = load(folder if kind == "folder" else zipped(folder, tmp_path / "pets.zip"), tmp_path)
    assert (data.train_size, data.test_size) == (20, 20)
    told = skipped(data)
    for name, reason in bad.items():
        (line,) = [line for line in told if f"'train/cat/{name}'" in line]
        assert reason in line
        assert "\n" not in line
    assert "notes.txt" in told[-1], "what matters least comes last"
    assert not any("Thumbs" in line for line in told)
    formats = [number for number, line in enumerate(told) if "save them as" in line]
    assert formats == list(range(len(formats))), "pictures that can be saved anew come first"


def test_a_group_of_files_is_counted_and_a_few_are_named(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "pets")
    for number in range(7):
        (folder / "test" / "dog" / f"empty{number}.png").touch()
    (line,) = skipped(load(folder, tmp_path))
    assert line.startswith("7 files skipped")
    assert line.count("empty") == 3 + 1
    assert line.endswith("; …")


@pytest.mark.parametrize("content", [b"no picture", HEIC])
@pytest.mark.parametrize("stream", [False, True])
def test_a_class_of_unreadable_files_is_named_and_refused(
    tmp_path: Path, content: bytes, stream: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Never dropped: the race would then be another one than its owner thinks."""
    folder = make_folder(tmp_path / "pets")
    for name in ("emu", "fox"):
        for split in ("train", "test"):
            (folder / split / name).mkdir()
            for number in range(5):
                (folder / split / name / f"{number}.jpg").write_bytes(content)
    with pytest.raises(ValueError, match=r"'emu'.* 1 more.*5 files") as error:
        streamed(folder, tmp_path, monkeypatch) if stream else load(folder, tmp_path)
    assert ("HEIC" in str(error.value)) == (content == HEIC)
    assert "\n" not in str(error.value)


def test_a_test_set_of_unreadable_files_is_refused(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "pets", per_class=2)
    for file in (folder / "test").rglob("*.png"):
        file.write_text("no picture")
    with pytest.raises(ValueError, match=r"test .*'pets' .*4 files"):
        load(folder, tmp_path)


def test_a_pickle_is_never_loaded(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "pets")
    touched = tmp_path / "touched"

    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str, str]]:
            return open, (str(touched), "w")

    (folder / "train" / "cat" / "evil.jpg").write_bytes(pickle.dumps(Evil()))
    assert "evil.jpg'" in skipped(load(folder, tmp_path))[0]
    assert not touched.exists()


@pytest.mark.parametrize("field", ["train_size", "batch_size"])
def test_more_than_there_is_is_refused(tmp_path: Path, field: str) -> None:
    with pytest.raises(ValueError, match=rf"^{field} 21 .*20"):
        load(make_folder(tmp_path / "pets"), tmp_path, **{field: 21})


def test_flat_folder_says_that_it_was_split(tmp_path: Path) -> None:
    make_folder(tmp_path / "pets")
    data = load(tmp_path / "pets" / "train", tmp_path)
    assert (data.train_size, data.test_size) == (16, 4)
    assert "held out" in data.warnings[1]


def test_classes_without_test_images_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_folder(tmp_path / "pets", per_class=3)
    save(folder / "train" / "emu" / "1.png")
    (line,) = [note for note in load(folder, tmp_path).warnings if "without test images" in note]
    assert line.startswith("1 of 3")
    assert line.endswith(": 'emu'")
    for name in ("ant", "bee", "cow"):
        save(folder / "train" / name / "1.png")
        (folder / "test" / name).mkdir()
        (folder / "test" / name / "1.png").write_text("no picture")  # found, but not to be read
    for data in (load(folder, tmp_path), streamed(folder, tmp_path, monkeypatch)):
        (line,) = [note for note in data.warnings if "without test images" in note]
        assert line.startswith("4 of 6")
        assert re.findall("'(\\w+)'", line) == ["ant", "bee", "cow"]
        assert skipped(data)[0].startswith("3 files skipped")


@pytest.mark.parametrize("cats", [3, 15])
def test_what_the_test_accuracy_stands_on_is_said(tmp_path: Path, cats: int) -> None:
    """The number of test images, and how often it would be right to answer the largest class always."""
    for name, count in (("cat", cats), ("dog", 5)):
        for number in range(count):
            save(tmp_path / "pets" / "test" / name / f"{number}.png")
        save(tmp_path / "pets" / "train" / name / "1.png")
    (note,) = [note for note in load(tmp_path / "pets", tmp_path, batch_size=2).warnings if "always answering" in note]
    largest, share = ("'dog'", "62.5%") if cats == 3 else ("'cat'", "75%")
    assert f"{cats + 5} images" in note
    assert largest in note
    assert share in note


def test_one_flat_colour_gives_finite_numbers(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        for number in range(5):
            save(tmp_path / "grey" / name / f"{number}.png", 128)
    data = load(tmp_path / "grey", tmp_path)
    x, _ = data.batches(spec_of(tmp_path / "grey"), "cpu", False).get(0)
    assert x.isfinite().all()


def streamed(path: Path, home: Path, monkeypatch: pytest.MonkeyPatch, **values: object) -> Dataset:
    with monkeypatch.context() as patch:
        patch.setattr(own_images, "MEMORY_LIMIT", 0)
        data = load(path, home, **values)
    assert isinstance(data.train, StreamedImages)
    return data


@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_streaming_gives_the_same_batches_as_memory(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_folder(tmp_path / "pets", per_class=6)
    path = folder if kind == "folder" else zipped(folder, tmp_path / "pets.zip")
    values = {"augment": "crop-flip-cutout", "label_noise": 0.3, "train_size": 10, "seed": 4}
    memory = load(path, tmp_path, **values)
    stream = streamed(path, tmp_path, monkeypatch, **values)
    assert stream.mean == memory.mean
    one, two = (data.batches(spec_of(path, **values), "cpu", False) for data in (memory, stream))
    state = torch.get_rng_state()
    for step in (0, 1, 2, 9, 3, 3, 0):
        for got, expected in zip(two.get(step), one.get(step), strict=True):
            assert torch.equal(got, expected)
    for read in (
        lambda batches: batches.test(7),
        lambda batches: batches.test(None),
        lambda batches: batches.samples(9, 1),
    ):
        for got, expected in zip(read(two), read(one), strict=True):
            assert torch.equal(got[0], expected[0])
            assert torch.equal(got[1], expected[1])
    assert torch.equal(torch.get_rng_state(), state)


def test_lanes_at_different_places_each_keep_their_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_folder(tmp_path / "pets", per_class=6)
    started = []
    load_from = StreamedImages.load
    monkeypatch.setattr(StreamedImages, "load", lambda self, *given: started.append(1) or load_from(self, *given))
    data = streamed(folder, tmp_path, monkeypatch)
    spec = spec_of(folder, clock="gradients", lanes="sgd,sam")
    batches = data.batches(spec, "cpu", False)
    started.clear()
    for step in range(4):
        for one in (2 * step, 2 * step + 1, step + 20):
            batches.get(one)
    assert len(started) == 2


def test_batches_let_go_of_their_workers_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a reference cycle: worker processes stopped by the garbage collector take five seconds each."""
    folder = make_folder(tmp_path / "pets", per_class=6)
    batches = streamed(folder, tmp_path, monkeypatch).batches(spec_of(folder), "cpu", False)
    batches.get(0)
    assert multiprocessing.active_children()
    gc.disable()
    try:
        del batches
        assert not multiprocessing.active_children()
    finally:
        gc.enable()


def test_a_file_that_breaks_later_gives_the_next_one_with_its_label(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_folder(tmp_path / "pets", per_class=3)
    data = streamed(folder, tmp_path, monkeypatch)
    expected, label = data.train.samples[3]
    (folder / data.train.samples[2][0]).write_bytes(b"gone")
    pixels, rows = next(data.train.chunks(np.array([2]), 1))
    assert rows.tolist() == [3]
    assert data.train.labels[rows].tolist() == [label]
    assert torch.equal(pixels[0], decode(Members(folder), expected, 16))

    monkeypatch.setattr(streaming, "MAX_DAMAGED", 6)
    for member, _ in data.train.samples:
        (folder / member).unlink()
    with pytest.raises(ValueError, match=r"^6 images .*'pets'.*$"):
        next(data.train.chunks(np.array([0]), 1))


def test_streaming_finds_files_that_are_no_images_before_the_race(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_folder(tmp_path / "pets", per_class=3)
    bad = spoil(folder)
    data = streamed(folder, tmp_path, monkeypatch)
    assert data.train_size == 7  # a cut file has a good header
    assert sum(int(line.split()[0]) for line in skipped(data)) == len(bad) - 1


def stream_in_child(data: Dataset, spec: RaceSpec, answer: "multiprocessing.SimpleQueue[float]") -> None:
    answer.put(data.batches(spec, "cpu", False).get(0)[0].sum().item())


@pytest.mark.slow
def test_streaming_works_in_a_daemonic_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such a process may start no workers of its own."""
    folder = zipped(make_folder(tmp_path / "pets", per_class=3), tmp_path / "pets.zip")
    data = streamed(folder, tmp_path, monkeypatch)
    context = multiprocessing.get_context("spawn")
    answer = context.SimpleQueue()
    child = context.Process(target=stream_in_child, args=(data, spec_of(folder), answer), daemon=True)
    child.start()
    child.join(120)
    assert child.exitcode == 0
    assert answer.get() == data.batches(spec_of(folder), "cpu", False).get(0)[0].sum().item()


@pytest.mark.parametrize(
    "given", ["../secret.zip", "/etc", "sub/pets.zip", "sub\\pets.zip", "..", ".", "pets.zip/", "pe\0ts.zip"]
)
def test_a_servers_users_stay_inside_the_image_folder(tmp_path: Path, given: str) -> None:
    root = tmp_path / "images"
    make_folder(root / "sub" / "pets.zip")
    make_folder(tmp_path / "secret.zip")
    with pytest.raises(ValueError, match="image sets"):
        load_dataset(spec_of(given), tmp_path, image_root=root, progress=quiet)


def test_a_stored_set_is_found_by_name_unless_it_is_a_link(tmp_path: Path) -> None:
    root = tmp_path / "images"
    root.mkdir()
    make_folder(root / "pets")
    data = load_dataset(spec_of("pets"), tmp_path, image_root=root, progress=quiet)
    assert data.train_size == 20
    (root / "link").symlink_to(root / "pets")
    for name in ("link", "missing"):
        with pytest.raises(ValueError, match=r"image sets|on this server") as refused:
            load_dataset(spec_of(name), tmp_path, image_root=root, progress=quiet)
        assert str(tmp_path) not in str(refused.value)


def test_the_home_of_nobody_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^data '~no-such-user/x'.*home folder"):
        load("~no-such-user/x", tmp_path)


def test_huge_files_are_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_folder(tmp_path / "pets")
    monkeypatch.setattr(members, "MAX_FILE_BYTES", 4000)
    with (folder / "train" / "cat" / "big.png").open("wb") as file:
        file.truncate(5000)
    for path in (folder, zipped(folder, tmp_path / "pets.zip")):
        (line,) = skipped(load(path, tmp_path))
        assert "larger than" in line
        assert "big.png'" in line


def test_warnings_fit_into_an_event(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "pets")
    (folder / "train" / "cat" / ("x" * 200 + "\n.jpg")).write_text("no picture")
    data = load(folder, tmp_path)
    assert "\n" not in json.dumps(data.warnings)
    assert not any("\n" in note or len(note) > 400 for note in data.warnings)
    assert len(skipped(data)) == 1
    assert dataclasses.is_dataclass(data)
