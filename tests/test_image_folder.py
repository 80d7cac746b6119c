"""Layouts of folders and zips, and what is refused. No image is opened, so the files here are empty or text."""

import copy
import os
import stat
import unicodedata
import zipfile
from collections.abc import Iterable
from pathlib import Path

import pytest

from ssam.imagefolder.archive import UPLOAD, Limits
from ssam.imagefolder.layout import scan
from ssam.imagefolder.members import MAX_FILE_BYTES, Members
from ssam.imagefolder.skipped import Kind

SPLIT = [
    f"{split}/{name}/{number}.jpg" for split in ("train", "test") for name in ("cat", "dog") for number in range(3)
]
FLAT = [f"{name}/{number}.png" for name in ("cat", "dog") for number in range(10)]


def folder_of(root: Path, members: Iterable[str]) -> Path:
    for member in members:
        (root / member).parent.mkdir(parents=True, exist_ok=True)
        (root / member).write_bytes(b"x")
    return root


def zip_of(path: Path, members: Iterable[str]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for member in members:
            archive.writestr(member, b"x")
    return path


@pytest.mark.parametrize("kind", ["folder", "zip"])
@pytest.mark.parametrize("wrapping", ["", "photos/", "ILSVRC/Data/CLS-LOC/"])
def test_split_layout(tmp_path: Path, kind: str, wrapping: str) -> None:
    members = [wrapping + member for member in SPLIT]
    path = folder_of(tmp_path / "x", members) if kind == "folder" else zip_of(tmp_path / "x.zip", members)
    listing = scan(path)
    assert listing.classes == ("cat", "dog")
    for split in ("train", "test"):
        of_split = [member for member in members if f"{split}/" in member]
        assert listing.splits[split] == [(member, int("/dog/" in member)) for member in sorted(of_split)]
    assert listing.skipped == listing.notes == ()


def test_imagenet_layout_tests_on_val(tmp_path: Path) -> None:
    members = [f"{split}/n0{number}/{split}_{number}.JPEG" for split in ("train", "val") for number in range(5)]
    listing = scan(folder_of(tmp_path, [*members, "test/ILSVRC2012_test_1.JPEG"]))
    assert listing.classes == tuple(f"n0{number}" for number in range(5))
    assert [member for member, _ in listing.splits["test"]] == sorted(members[5:])
    assert listing.skipped == ()
    assert "1 image in test/" in listing.notes[0]


def test_test_is_preferred_to_val_and_case_does_not_matter(tmp_path: Path) -> None:
    extra = ["val/cat/v.jpg", "val/dog/v.jpg"]
    listing = scan(folder_of(tmp_path, [member.replace("train", "Train") for member in SPLIT] + extra))
    assert len(listing.splits["train"]) == len(listing.splits["test"]) == 6
    assert listing.skipped == ()
    assert "2 images in val/" in listing.notes[0]


@pytest.mark.parametrize("train", ["train", "training", "Training", "TRAIN", "train_set", "seg_train", "train2017"])
@pytest.mark.parametrize(
    "test", ["test", "Testing", "eval", "val", "VALID", "validation", "dev", "test-set", "seg_test"]
)
@pytest.mark.parametrize("wrapping", ["", "brain/", "a/b/"])
def test_splits_by_any_usual_name(tmp_path: Path, train: str, test: str, wrapping: str) -> None:
    names = {"train": train, "test": test}
    members = [wrapping + names[member.split("/")[0]] + member[member.index("/") :] for member in SPLIT]
    listing = scan(zip_of(tmp_path / "x.zip", members))
    assert listing.classes == ("cat", "dog")
    assert {split: len(samples) for split, samples in listing.splits.items()} == {"train": 6, "test": 6}
    assert listing.skipped == listing.notes == ()


def test_folders_inside_a_split_and_beside_it_are_seen_through(tmp_path: Path) -> None:
    """As on Kaggle: seg_train/seg_train/CLASS, with images without labels beside them."""
    members = [f"seg_{member.replace('/', '/images/', 1)}" for member in SPLIT]
    listing = scan(zip_of(tmp_path / "x.zip", [*members, "seg_pred/1.jpg", "shots/of/2.jpg"]))
    assert listing.classes == ("cat", "dog")
    assert [len(samples) for samples in listing.splits.values()] == [6, 6]
    assert [(each.member, each.kind) for each in listing.skipped] == [
        ("seg_pred/1.jpg", Kind.UNPLACED),
        ("shots/of/2.jpg", Kind.UNPLACED),
    ]


@pytest.mark.parametrize("outer", [("one", "two"), ("fold1", "fold2", "fold3"), ("original", "augmented")])
@pytest.mark.parametrize("inner", [("cat", "dog"), ("cat", "dog", "emu"), ("train", "test")])
@pytest.mark.parametrize("wrapping", ["", "x/"])
def test_folders_that_hold_the_same_folders_are_no_classes(
    tmp_path: Path, outer: tuple[str, ...], inner: tuple[str, ...], wrapping: str
) -> None:
    members = [f"{wrapping}{one}/{two}/{number}.png" for one in outer for two in inner for number in range(4)]
    with pytest.raises(ValueError, match=r"same folders|one class|no images") as error:
        scan(zip_of(tmp_path / "x.zip", members))
    assert "\n" not in str(error.value)


def test_several_training_sets_are_refused(tmp_path: Path) -> None:
    members = [f"{which}/{member}" for which in ("original", "augmented") for member in SPLIT]
    with pytest.raises(ValueError, match=r"training sets .*'augmented/train'.*'original/train'"):
        scan(zip_of(tmp_path / "x.zip", members))


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    members = [f"{name}/{number}.png" for name in ("bus", "car", "train", "test") for number in range(5)]
    assert scan(zip_of(tmp_path / "x.zip", members)).classes == ("bus", "car", "test", "train")


TINY = [
    *(f"tiny/train/n0{label}/images/n0{label}_{number}.JPEG" for label in range(3) for number in range(4)),
    *(f"tiny/train/n0{label}/n0{label}_boxes.txt" for label in range(3)),
    *(f"tiny/{split}/images/{split}_{number}.JPEG" for split in ("val", "test") for number in range(6)),
    *("tiny/wnids.txt", "tiny/words.txt", "tiny/val/val_annotations.txt"),
]


def written(path: Path, members: Iterable[str], texts: dict[str, str]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for member in members:
            archive.writestr(member, texts.get(member, "x"))
    return path


def test_tiny_imagenet_is_tested_on_what_its_annotations_label(tmp_path: Path) -> None:
    lines = "".join(f"val_{number}.JPEG\tn0{number % 3}\t0\t0\t62\t62\n" for number in range(6))
    texts = {"tiny/val/val_annotations.txt": lines, "tiny/wnids.txt": "n00\nn01\nn02\n", "tiny/words.txt": "n00\tcat\n"}
    listing = scan(written(tmp_path / "x.zip", TINY, texts))
    assert listing.classes == ("n00", "n01", "n02")
    assert len(listing.splits["train"]) == 12
    assert listing.splits["test"] == [(f"tiny/val/images/val_{number}.JPEG", number % 3) for number in range(6)]
    assert [note for note in listing.notes if "test/" in note]
    assert [note for note in listing.notes if "val_annotations.txt" in note]
    assert {each.kind for each in listing.skipped} == {Kind.OTHER}


def test_without_labels_images_of_the_training_set_are_held_out_and_that_is_said(tmp_path: Path) -> None:
    listing = scan(written(tmp_path / "x.zip", TINY, {}))
    assert [len(samples) for samples in listing.splits.values()] == [9, 3]
    assert all("/train/" in member for member, _ in listing.splits["test"])
    assert "3 of 12" in listing.notes[-1]
    assert [note for note in listing.notes if "6 images in val/" in note]


@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_flat_imagenet_validation_images_have_their_labels_in_a_table_above(tmp_path: Path, kind: str) -> None:
    train = [
        f"ILSVRC/Data/CLS-LOC/train/n0{label}/n0{label}_{number}.JPEG" for label in range(2) for number in range(3)
    ]
    val = [f"ILSVRC/Data/CLS-LOC/val/ILSVRC2012_val_{number}.JPEG" for number in range(5)]
    rows = "".join(
        f"ILSVRC2012_val_{number},n0{number % 2} 85 1 499 272 n0{number % 2} 1 1 9 9\n" for number in range(4)
    )
    texts = {"LOC_val_solution.csv": "ImageId,PredictionString\n" + rows}
    path = written(tmp_path / "x.zip", [*train, *val, *texts], texts)
    if kind == "folder":
        zipfile.ZipFile(path).extractall(tmp_path / "x")
        path = tmp_path / "x"
    listing = scan(path)
    assert listing.splits["test"] == [(member, number % 2) for number, member in enumerate(val[:4])]
    assert [(each.member, each.kind) for each in listing.skipped] == [(val[4], Kind.UNPLACED)]


def test_composed_and_decomposed_accents_are_one_class(tmp_path: Path) -> None:
    """A Mac writes "é" as two letters, and the same folder in a zip from elsewhere as one."""
    names = ("caf\u00e9", "th\u00e9", "Bier")
    members = [
        f"{split}/{unicodedata.normalize(form, name)}/{number}.png"
        for split, form in (("train", "NFD"), ("val", "NFC"))
        for name in names
        for number in range(3)
    ]
    for kind in (zip_of(tmp_path / "x.zip", members), folder_of(tmp_path / "x", members)):
        listing = scan(kind)
        assert listing.classes == tuple(sorted(names))
        assert [len(samples) for samples in listing.splits.values()] == [9, 9]
        assert listing.skipped == ()


def test_a_zip_written_with_backslashes_is_read(tmp_path: Path) -> None:
    members = [f"pets\\{member}".replace("/", "\\") for member in FLAT]
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for member in ["pets\\", "pets\\cat\\", *members]:
            info = zipfile.ZipInfo("x")
            info.filename, info.create_system = member, 0  # 0: written on Windows
            archive.writestr(info, b"" if member.endswith("\\") else b"x")
    listing = scan(path)
    assert listing.classes == ("cat", "dog")
    assert sorted(member for samples in listing.splits.values() for member, _ in samples) == sorted(members)
    assert listing.skipped == ()
    assert Members(path).open(members[0]).read() == b"x"


@pytest.mark.parametrize("suffix", ["heic", "HEIC", "heif", "avif", "jxl", "cr2", "dng"])
def test_a_class_of_pictures_that_are_not_read_is_refused(tmp_path: Path, suffix: str) -> None:
    birds = [f"bird/{number}.{suffix}" for number in range(3)]
    with pytest.raises(ValueError, match=r"'bird' in 'x\.zip' .*3 files.*JPEG"):
        scan(zip_of(tmp_path / "x.zip", [*FLAT, *birds]))
    with pytest.raises(ValueError, match="'bird'"):
        scan(zip_of(tmp_path / "y.zip", [*SPLIT, *(f"train/{bird}" for bird in birds), "test/bird/1.jpg"]))
    listing = scan(zip_of(tmp_path / "z.zip", [*FLAT, *birds, "bird/1.jpg", "bird/2.jpg"]))
    assert listing.classes == ("bird", "cat", "dog")
    assert {(each.member, each.kind) for each in listing.skipped} == {(bird, Kind.FORMAT) for bird in birds}


def test_jfif_is_an_image(tmp_path: Path) -> None:
    assert scan(zip_of(tmp_path / "x.zip", [member.replace(".png", ".JFIF") for member in FLAT])).skipped == ()


def test_flat_layout_holds_out_the_same_fifth_of_each_class(tmp_path: Path) -> None:
    listing = scan(folder_of(tmp_path / "a", FLAT))
    train, test = listing.splits["train"], listing.splits["test"]
    assert sorted(member for member, _ in train + test) == sorted(FLAT)
    assert [sum(label == which for _, label in test) for which in (0, 1)] == [2, 2]
    assert "4 of 20" in listing.notes[0]
    assert scan(zip_of(tmp_path / "b.zip", reversed(FLAT))).splits == listing.splits


def test_train_without_test_is_split(tmp_path: Path) -> None:
    listing = scan(folder_of(tmp_path, [f"train/{member}" for member in FLAT]))
    assert (len(listing.splits["train"]), len(listing.splits["test"])) == (16, 4)
    assert listing.notes


@pytest.mark.parametrize("written", ["./{}", "{}", ".//{}"])
@pytest.mark.parametrize("members", [FLAT, SPLIT])
def test_members_keep_the_names_they_have_in_the_archive(tmp_path: Path, written: str, members: list[str]) -> None:
    """Some programs write "./" before every name and also as a folder of its own."""
    names = [written.format(member.replace("/", "//", 1)) for member in members]
    listing, plain = scan(zip_of(tmp_path / "x.zip", ["./", *names])), scan(zip_of(tmp_path / "y.zip", members))
    assert listing.classes == plain.classes
    for split, samples in plain.splits.items():
        assert listing.splits[split] == [
            (written.format(member.replace("/", "//", 1)), label) for member, label in samples
        ]
    with zipfile.ZipFile(tmp_path / "x.zip") as archive:
        assert all(archive.read(member) == b"x" for samples in listing.splits.values() for member, _ in samples)


def test_one_place_in_two_spellings_is_one_image(tmp_path: Path) -> None:
    listing = scan(zip_of(tmp_path / "x.zip", [*SPLIT, "./train/cat/0.jpg", "train//cat/0.jpg"]))
    assert len(listing.splits["train"]) == 6


def test_odd_files_are_listed_or_passed_over(tmp_path: Path) -> None:
    odd = ["train/readme.txt", "train/loose.jpg", "train/cat/notes.md", "test/cow/1.jpg"]
    odd += [".DS_Store", "train/cat/Thumbs.db", "test/desktop.ini"]
    listing = scan(folder_of(tmp_path, [*SPLIT, *odd, "__MACOSX/train/cat/._0.jpg", "train/cat/.hidden.jpg"]))
    assert listing.classes == ("cat", "dog")
    assert sum(map(len, listing.splits.values())) == len(SPLIT)
    assert sorted((each.member, each.kind) for each in listing.skipped) == [
        ("test/cow/1.jpg", Kind.UNPLACED),
        ("train/cat/notes.md", Kind.OTHER),
        ("train/loose.jpg", Kind.UNPLACED),
        ("train/readme.txt", Kind.OTHER),
    ]


def test_images_in_folders_below_a_class_belong_to_it(tmp_path: Path) -> None:
    listing = scan(folder_of(tmp_path, [*SPLIT, "train/dog/old/deep/9.jpg"]))
    assert ("train/dog/old/deep/9.jpg", 1) in listing.splits["train"]


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([], "no images in class folders"),
        (["a.jpg", "b.jpg"], "no images in class folders"),
        (["train/a.jpg", "train/b.jpg"], "has train but no images in train/CLASS folders"),
        (["train/a.jpg", "test/cat/b.jpg"], "has test, train but no images in train/CLASS folders"),
        (["cat/1.txt", "dog/2.txt"], "no images in class folders"),
        (["cat/1.jpg", "cat/2.jpg"], "only one class, 'cat'"),
        (["train/cat/1.jpg", "test/cat/2.jpg", "test/dog/2.jpg"], "only one class, 'cat'"),
        (["test/cat/1.jpg", "test/dog/2.jpg"], "has test but no images in train/CLASS folders"),
        (["cat/1.jpg", "dog/2.jpg"], "two or more images per class"),
    ],
)
@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_too_little_is_refused_in_one_line(tmp_path: Path, kind: str, members: list[str], message: str) -> None:
    (tmp_path / "x").mkdir()
    path = folder_of(tmp_path / "x", members) if kind == "folder" else zip_of(tmp_path / "x.zip", members)
    with pytest.raises(ValueError, match=message) as error:
        scan(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "evil",
    [
        "../evil.jpg",
        "train/../../evil.jpg",
        "train/cat/..",
        "/etc/evil.jpg",
        "C:/evil.jpg",
        "..\\evil.jpg",
        "train\\..\\..\\evil.jpg",
        "train/cat\\../..\\..\\evil.jpg",
        "\\evil.jpg",
        "\\\\server\\share\\evil.jpg",
        "C:\\evil.jpg",
        "a\n/../b.jpg",
        "train/cat/x.jpg\0.exe",
        "./.",
        "",
    ],
)
def test_paths_that_lead_outside_are_refused(tmp_path: Path, evil: str) -> None:
    path = zip_of(tmp_path / "x.zip", SPLIT)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("x", b"x")
        archive.filelist[-1].filename = evil  # as zipfile itself would not write it
    with pytest.raises(ValueError, match=r"'x\.zip' .*(outside|absolute)") as error:
        scan(path)
    assert "\n" not in str(error.value)


def test_symbolic_links_are_refused(tmp_path: Path) -> None:
    path = zip_of(tmp_path / "x.zip", SPLIT)
    link = zipfile.ZipInfo("train/cat/link.jpg")
    link.create_system = 3
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(ValueError, match=r"'train/cat/link\.jpg' .*symbolic link"):
        scan(path)
    folder = folder_of(tmp_path / "folder", SPLIT)
    (folder / "train" / "cat" / "link.jpg").symlink_to("/etc/passwd")
    with pytest.raises(ValueError, match=r"symbolic link.* 'train/cat/link\.jpg'"):
        scan(folder)


def test_special_files_in_a_zip_are_refused(tmp_path: Path) -> None:
    path = zip_of(tmp_path / "x.zip", SPLIT)
    pipe = zipfile.ZipInfo("train/cat/pipe.jpg")
    pipe.create_system, pipe.external_attr = 3, (stat.S_IFIFO | 0o777) << 16
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(pipe, b"x")
    with pytest.raises(ValueError, match=r"'train/cat/pipe\.jpg' .*file"):
        scan(path)


@pytest.mark.parametrize(
    "evil", [f"train/cat/{'x' * 252}.jpg", "train/cat/" + 30 * "d/" + "x.jpg", 100 * "0123456789/" + "x"]
)
def test_paths_that_are_too_long_are_refused(tmp_path: Path, evil: str) -> None:
    """A folder 30,000 deep would keep the server busy for minutes."""
    with pytest.raises(ValueError, match="path") as error:
        scan(zip_of(tmp_path / "x.zip", [*SPLIT, evil]))
    assert len(str(error.value)) < 200


def test_members_that_share_their_bytes_are_refused(tmp_path: Path) -> None:
    """So a few kilobytes unpack to petabytes, each member within its limits; also where one quotes the header of the next."""
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for member in SPLIT:
            archive.writestr(member, bytes(1000))
        twin = copy.copy(archive.filelist[-1])
        twin.filename = "train/cat/twin.jpg"
        archive.filelist.append(twin)
    with pytest.raises(ValueError, match=r"x\.zip.*overlap"):
        scan(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(SPLIT[0], bytes(1000))
        for member in SPLIT[1:]:
            archive.writestr(member, bytes(10))
        archive.filelist[0].compress_size = archive.filelist[0].file_size = 1100  # into the next header
    with pytest.raises(ValueError, match="overlaps"):
        scan(path)


@pytest.mark.parametrize("packing", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_packings_are_refused(tmp_path: Path, packing: int) -> None:
    """Their unpackers give all that there is at once, however little is asked for."""
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w", packing) as archive:
        for member in SPLIT:
            archive.writestr(member, b"x")
    with pytest.raises(ValueError, match="stored or deflated"):
        scan(path)


def test_bombs_are_refused(tmp_path: Path) -> None:
    """By what they unpack to: in all before anything is read, one file when it would be."""
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for member in SPLIT:
            archive.writestr(member, b"x")
        archive.writestr("train/cat/bomb.png", bytes(MAX_FILE_BYTES + 1))
    assert path.stat().st_size < 2**20
    with pytest.raises(ValueError, match=r"unpacks .*0 GiB"):
        scan(path, Limits(files=100, unpacked=MAX_FILE_BYTES))
    assert UPLOAD.unpacked <= 8 * 2**30
    scan(path, UPLOAD)
    with pytest.raises(ValueError, match="64 MiB"):
        Members(path).open("train/cat/bomb.png")


def test_drawings_that_pack_tightly_are_no_bombs(tmp_path: Path) -> None:
    """A bitmap of few colours, as paint programs write it, packs 200 : 1."""
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in FLAT:
            archive.writestr(name.replace(".png", ".bmp"), 480_000 * b"\xff")
    assert path.stat().st_size * 200 < 480_000 * len(FLAT)
    assert len(scan(path, UPLOAD).splits["train"]) == 16


def test_too_many_members_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in (folder_of(tmp_path / "x", SPLIT), zip_of(tmp_path / "x.zip", SPLIT)):
        with pytest.raises(ValueError, match="more than 10"):
            scan(path, Limits(files=10, unpacked=2**30))
    made: list[int] = []
    monkeypatch.setattr(zipfile.ZipInfo, "_decodeExtra", lambda self, *given: made.append(1))
    for members in (SPLIT, [*FLAT, "cat/" + 10_000 * "x"]):
        with pytest.raises(ValueError, match="holds more than"):
            scan(zip_of(tmp_path / "y.zip", members), Limits(files=len(members) - (members is SPLIT), unpacked=2**30))
    assert not made, "a long list must be refused before it is taken apart in memory"
    assert UPLOAD.files <= 100_000


def test_what_is_no_folder_or_zip_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"folder or zip.*missing"):
        scan(tmp_path / "missing")
    (tmp_path / "text.zip").write_text("not a zip")
    with pytest.raises(ValueError, match=r"text\.zip.*folder"):
        scan(tmp_path / "text.zip")
    path = zip_of(tmp_path / "cut.zip", SPLIT)
    broken = bytearray(path.read_bytes())
    broken[broken.index(b"PK\x01\x02")] = 0  # the list of members no longer starts as it must
    path.write_bytes(broken)
    with pytest.raises(ValueError, match=r"'cut\.zip'.*BadZipFile"):
        scan(path)


def test_devices_and_pipes_are_refused_unread(tmp_path: Path) -> None:
    """Both would be read for ever."""
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(ValueError, match=rf"'{path.name}' .*folder .*zip"):
            scan(path)


def test_encrypted_members_are_refused(tmp_path: Path) -> None:
    path = zip_of(tmp_path / "x.zip", SPLIT)
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1  # the flag in the list of members
    path.write_bytes(data)
    with pytest.raises(ValueError, match="is encrypted"):
        scan(path)
