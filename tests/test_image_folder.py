"""Layouts of folders and zips, and what is refused. No image is opened, so the files here are empty or text."""

import copy
import os
import stat
import zipfile
from collections.abc import Iterable
from pathlib import Path

import pytest

from ssam.imagefolder.archive import UPLOAD, Limits
from ssam.imagefolder.layout import scan

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
    assert listing.skipped == ("'test/ILSVRC2012_test_1.JPEG' is not used",)


def test_test_is_preferred_to_val_and_case_does_not_matter(tmp_path: Path) -> None:
    extra = ["val/cat/v.jpg", "val/dog/v.jpg"]
    listing = scan(folder_of(tmp_path, [member.replace("train", "Train") for member in SPLIT] + extra))
    assert len(listing.splits["train"]) == len(listing.splits["test"]) == 6
    assert listing.skipped == tuple(f"'{member}' is not used" for member in extra)


def test_flat_layout_holds_out_the_same_fifth_of_each_class(tmp_path: Path) -> None:
    listing = scan(folder_of(tmp_path / "a", FLAT))
    train, test = listing.splits["train"], listing.splits["test"]
    assert sorted(member for member, _ in train + test) == sorted(FLAT)
    assert [sum(label == which for _, label in test) for which in (0, 1)] == [2, 2]
    assert "4 of 20 images were held out" in listing.notes[0]
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
    odd = ["train/readme.txt", "train/loose.jpg", "train/cat/notes.md", "test/cow/1.jpg", ".DS_Store"]
    listing = scan(folder_of(tmp_path, [*SPLIT, *odd, "__MACOSX/train/cat/._0.jpg", "train/cat/.hidden.jpg"]))
    assert listing.classes == ("cat", "dog")
    assert sum(map(len, listing.splits.values())) == len(SPLIT)
    assert sorted(listing.skipped) == [
        "'test/cow/1.jpg' is of a class without training images",
        "'train/cat/notes.md' is not an image file",
        "'train/loose.jpg' is in no class folder",
        "'train/readme.txt' is not an image file",
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
    with pytest.raises(ValueError, match=r"'x\.zip' is refused: .*(outside|absolute or foreign)") as error:
        scan(path)
    assert "\n" not in str(error.value)


def test_symbolic_links_are_refused(tmp_path: Path) -> None:
    path = zip_of(tmp_path / "x.zip", SPLIT)
    link = zipfile.ZipInfo("train/cat/link.jpg")
    link.create_system = 3
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(ValueError, match=r"'train/cat/link\.jpg' is a symbolic link"):
        scan(path)
    folder = folder_of(tmp_path / "folder", SPLIT)
    (folder / "train" / "cat" / "link.jpg").symlink_to("/etc/passwd")
    with pytest.raises(ValueError, match=r"holds a symbolic link: 'train/cat/link\.jpg'"):
        scan(folder)


def test_special_files_in_a_zip_are_refused(tmp_path: Path) -> None:
    path = zip_of(tmp_path / "x.zip", SPLIT)
    pipe = zipfile.ZipInfo("train/cat/pipe.jpg")
    pipe.create_system, pipe.external_attr = 3, (stat.S_IFIFO | 0o777) << 16
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(pipe, b"x")
    with pytest.raises(ValueError, match=r"'train/cat/pipe\.jpg' is no ordinary file"):
        scan(path)


@pytest.mark.parametrize(
    "evil", [f"train/cat/{'x' * 252}.jpg", "train/cat/" + 30 * "d/" + "x.jpg", 100 * "0123456789/" + "x"]
)
def test_paths_that_are_too_long_are_refused(tmp_path: Path, evil: str) -> None:
    """A folder 30,000 deep would keep the server busy for minutes."""
    with pytest.raises(ValueError, match="has too long a path") as error:
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
    with pytest.raises(ValueError, match=r"is refused: .* shares its bytes or lacks them"):
        scan(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(SPLIT[0], bytes(1000))
        for member in SPLIT[1:]:
            archive.writestr(member, bytes(10))
        archive.filelist[0].compress_size = archive.filelist[0].file_size = 1100  # into the next header
    with pytest.raises(ValueError, match="shares its bytes"):
        scan(path)


@pytest.mark.parametrize("packing", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_packings_are_refused(tmp_path: Path, packing: int) -> None:
    """Their unpackers give all that there is at once, however little is asked for."""
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w", packing) as archive:
        for member in SPLIT:
            archive.writestr(member, b"x")
    with pytest.raises(ValueError, match="packed in another way than stored or deflated"):
        scan(path)


def test_bombs_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for member in SPLIT:
            archive.writestr(member, b"x")
        archive.writestr("train/cat/bomb.png", bytes(8 * 2**20))
    with pytest.raises(ValueError, match="packed too tightly"):
        scan(path)
    with zipfile.ZipFile(path, "a") as archive:  # enough honest bytes hide it in the total, not in the member
        archive.writestr("train/dog/honest.png", bytes(range(256)) * 4096)
    with pytest.raises(ValueError, match=r"'train/cat/bomb\.png' is packed too tightly"):
        scan(path)
    with pytest.raises(ValueError, match="unpacks to more than 0 GiB"):
        scan(path, Limits(files=100, unpacked=2**20))


def test_too_many_members_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in (folder_of(tmp_path / "x", SPLIT), zip_of(tmp_path / "x.zip", SPLIT)):
        with pytest.raises(ValueError, match="holds more than 10 files"):
            scan(path, Limits(files=10, unpacked=2**30))
    made: list[int] = []
    monkeypatch.setattr(zipfile.ZipInfo, "_decodeExtra", lambda self, *given: made.append(1))
    for members in (SPLIT, [*FLAT, "cat/" + 10_000 * "x"]):
        with pytest.raises(ValueError, match="holds more than"):
            scan(zip_of(tmp_path / "y.zip", members), Limits(files=len(members) - (members is SPLIT), unpacked=2**30))
    assert not made, "a long list must be refused before it is taken apart in memory"
    assert UPLOAD.files <= 100_000


def test_what_is_no_folder_or_zip_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no folder or zip file"):
        scan(tmp_path / "missing")
    (tmp_path / "text.zip").write_text("not a zip")
    with pytest.raises(ValueError, match="neither a folder nor a zip"):
        scan(tmp_path / "text.zip")
    path = zip_of(tmp_path / "cut.zip", SPLIT)
    broken = bytearray(path.read_bytes())
    broken[broken.index(b"PK\x01\x02")] = 0  # the list of members no longer starts as it must
    path.write_bytes(broken)
    with pytest.raises(ValueError, match=r"cannot read 'cut\.zip': its list of files is damaged \(BadZipFile\)"):
        scan(path)


def test_devices_and_pipes_are_refused_unread(tmp_path: Path) -> None:
    """Both would be read for ever."""
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(ValueError, match=rf"'{path.name}' is neither a folder nor a zip file"):
            scan(path)


def test_encrypted_members_are_refused(tmp_path: Path) -> None:
    path = zip_of(tmp_path / "x.zip", SPLIT)
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1  # the flag in the list of members
    path.write_bytes(data)
    with pytest.raises(ValueError, match="is encrypted"):
        scan(path)
