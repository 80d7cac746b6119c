"""The layout of a folder or zip of images, read without opening an image; dangerous archives are rejected.

Accepted layouts, alone or inside other folders; names of splits in any case, also like "training_set":

    train/CLASS/a.jpg and test/CLASS/b.jpg     or training; testing, eval, or val, valid, validation, dev
    train/CLASS/a.jpg and val/b.jpg            with a text file that names the class of each (ImageNet, Tiny ImageNet)
    CLASS/a.jpg                                a fifth of each class is held out for testing
"""

import os
import random
import unicodedata
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ssam.imagefolder import annotations
from ssam.imagefolder.archive import LOCAL, Limits, Parts, shown, zip_members
from ssam.imagefolder.skipped import Kind, Skipped, counted, some
from ssam.imagefolder.splits import FILLERS, Split, common_folders, find_splits, role_of

SUFFIXES = frozenset(
    (
        ".jpg",
        ".jpeg",
        ".jfif",
        ".jpe",
        ".png",
        ".apng",
        ".bmp",
        ".dib",
        ".gif",
        ".webp",
        ".tif",
        ".tiff",
        ".ppm",
        ".pgm",
    )
)
# Unsupported picture formats: a class of them is rejected, not left out.
UNREAD = {
    ".heic": "HEIC",
    ".heif": "HEIC",
    ".avif": "AVIF",
    ".jxl": "JPEG XL",
    ".jp2": "JPEG 2000",
    ".psd": "Photoshop",
}
UNREAD |= dict.fromkeys((".dng", ".cr2", ".cr3", ".nef", ".arw", ".raf", ".orf", ".rw2"), "camera raw")
LITTER = frozenset(("thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r"))  # files left behind by operating systems

Sample = tuple[str, int]  # member name as in the folder or zip ("/" between folders), class index


@dataclass(frozen=True)
class ImageListing:
    """What a folder or zip holds. ``splits`` has the keys "train" and "test"; each of ``notes`` is a sentence about what was
    decided. ``classes`` are sorted, their accents composed (NFC)."""

    path: Path
    classes: tuple[str, ...]
    splits: dict[str, list[Sample]]
    skipped: tuple[Skipped, ...]
    notes: tuple[str, ...]


def scan(path: Path, limits: Limits = LOCAL) -> ImageListing:
    """List the images of a folder or zip; nothing is unpacked.

    Raise ValueError, one line, if there is no such folder or zip; if a member would lead outside it ("../", absolute,
    symbolic link); if it exceeds ``limits``; if ssam.imagefolder.archive rejects the zip; if there are fewer than two classes,
    a class with only unsupported pictures, or folders that cannot be distinguished from classes. Files that are not images, or
    belong to no class, are skipped and listed.
    """
    files = _sort_out(_members(path, limits))
    reading = _Reading(path, files)
    if splits := find_splits(path, files.pictures):
        reading.take_splits(splits)
    else:
        reading.take_classes()
    return reading.listing()


def _members(path: Path, limits: Limits) -> Iterator[tuple[str, Parts]]:
    try:
        if path.is_dir():
            yield from _folder_members(path, limits)
        elif not path.exists():
            raise ValueError(f"no folder or zip file {shown(str(path))}")
        elif path.is_file() and zipfile.is_zipfile(path):  # reading a pipe or a device would never end
            yield from zip_members(path, limits)
        else:
            raise ValueError(f"{shown(path.name)} is neither a folder nor a zip file")
    except OSError as error:
        raise ValueError(f"cannot read {shown(path.name)}: {error.strerror}") from None


def _folder_members(folder: Path, limits: Limits) -> Iterator[tuple[str, Parts]]:
    count = 0
    waiting = [""]
    while waiting:
        inside = waiting.pop()
        with os.scandir(folder / inside) as entries:
            for entry in entries:
                member = inside + entry.name
                count += 1
                if count > limits.files:
                    raise ValueError(f"{shown(folder.name)} holds more than {limits.files:,} files")
                if entry.is_symlink():
                    raise ValueError(f"{shown(folder.name)} holds a symbolic link: {shown(member)}")
                if entry.is_dir():
                    waiting.append(member + "/")
                elif entry.is_file():
                    yield member, tuple(member.split("/"))


@dataclass(frozen=True)
class _Files:
    """The members of each folder: pictures, supported or not, in order; texts; and others."""

    pictures: dict[Parts, str]
    texts: dict[Parts, str]
    others: list[Skipped]


def _sort_out(members: Iterator[tuple[str, Parts]]) -> _Files:
    """Sort files by suffix. Hidden files and those left by operating systems are ignored. The member name is kept, since only its
    own spelling ("./a//b.jpg") opens it in a zip."""
    files = _Files({}, {}, [])
    for parts, member in sorted((parts, member) for member, parts in set(members)):
        if any(part.startswith(".") or part == "__MACOSX" for part in parts) or parts[-1].lower() in LITTER:
            continue
        suffix = _suffix(member)
        if suffix in SUFFIXES or suffix in UNREAD:
            files.pictures[parts] = member
            continue
        files.others.append(Skipped(member, Kind.OTHER, "not images"))
        if suffix in annotations.SUFFIXES:
            files.texts[parts] = member
    return files


def _suffix(member: str) -> str:
    return os.path.splitext(member)[1].lower()


class _Reading:
    """The result so far: members with their class, skipped members, and notes."""

    def __init__(self, path: Path, files: _Files) -> None:
        self._path, self._files = path, files
        self._skipped, self._notes = list(files.others), list[str]()
        self._train: list[tuple[str, str]] = []
        self._test: list[tuple[str, str]] = []
        self._unread: dict[str, Counter[str]] = {}  # by training class: its pictures in unsupported formats

    def take_splits(self, splits: list[Split]) -> None:
        """Take the first split as the training set, and the first other one with labelled images as the test set."""
        train, *others = splits
        self._take_train(train.folder, len(train.folder) + train.wrapping)
        classes = {name for _, name in self._train}
        tested = ""
        for split in others:
            count = counted(len(self._inside(split.folder)), "image")
            if tested:
                self._notes.append(f"{count} in {split.name}/ not used: the test set is {tested}/")
            elif self._take_test(split, classes):
                tested = split.name
            else:
                self._notes.append(f"{count} in {split.name}/ not used: none has a label that is a training class")
        used = tuple(split.folder for split in splits)
        where = f"outside {' and '.join(f'{split.name}/' for split in splits)}"
        for parts, member in self._files.pictures.items():
            if not any(parts[: len(folder)] == folder for folder in used):
                self._skipped.append(Skipped(member, Kind.UNPLACED, where))

    def take_classes(self) -> None:
        """Read class folders at the top level."""
        depth = common_folders(self._files.pictures)
        tops = {parts[depth] for parts in self._files.pictures if len(parts) > depth + 1}
        if tops and all(map(role_of, tops)):
            names = ", ".join(sorted(tops))
            raise ValueError(f"{shown(self._path.name)} has {names} but no images in train/CLASS folders")
        self._take_train((), depth)

    def _inside(self, folder: Parts) -> dict[Parts, str]:
        return {parts: member for parts, member in self._files.pictures.items() if parts[: len(folder)] == folder}

    def _take_train(self, folder: Parts, depth: int) -> None:
        """Take the folders at ``depth`` inside ``folder`` as classes."""
        subfolders: dict[str, set[str]] = {}
        for parts, member in self._inside(folder).items():
            if len(parts) < depth + 2:
                self._skipped.append(Skipped(member, Kind.UNPLACED, "in no class folder"))
                continue
            name = _class_name(parts[depth])
            subfolders.setdefault(name, set()).add(parts[depth + 1] if len(parts) > depth + 2 else "")
            if what := UNREAD.get(_suffix(member)):
                self._unread.setdefault(name, Counter())[what] += 1
                self._skipped.append(_in_unread_format(member, what))
            else:
                self._train.append((member, name))
        _refuse_alike(self._path, subfolders)

    def _take_test(self, split: Split, classes: set[str]) -> bool:
        """Take a split as the test set if any of its images has a label; return whether it did."""
        depth = len(split.folder) + split.wrapping
        labelled: list[tuple[str, str]] = []
        skipped: list[Skipped] = []
        unlabelled: list[str] = []
        for parts, member in self._inside(split.folder).items():
            name = _class_name(parts[depth]) if len(parts) > depth + 1 else None
            if what := UNREAD.get(_suffix(member)):
                skipped.append(_in_unread_format(member, what))
            elif name in classes:
                labelled.append((member, name))
            elif name is None or name.lower() in FILLERS:
                unlabelled.append(member)
            else:
                skipped.append(Skipped(member, Kind.UNPLACED, f"in {split.name}/, of a class without training images"))
        text, labels = annotations.find(self._path, self._files.texts, split.folder, unlabelled, classes)
        labelled += sorted(labels.items())
        if not labelled:
            return False
        if text:
            self._skipped.remove(Skipped(text, Kind.OTHER, "not images"))
            self._notes.append(f"{shown(text)} names the classes of {counted(len(labels), 'image')} in {split.name}/")
        reason = f"in {split.name}/, without a class folder or a label"
        self._skipped += skipped
        self._skipped += [Skipped(member, Kind.UNPLACED, reason) for member in unlabelled if member not in labels]
        self._test = labelled
        return True

    def listing(self) -> ImageListing:
        name = shown(self._path.name)
        classes = tuple(sorted({class_name for _, class_name in self._train}))
        for unread, formats in sorted(self._unread.items()):
            if unread not in classes:
                raise ValueError(
                    f"no picture of class {shown(unread)} in {name} can be read: "
                    f"{counted(formats.total(), 'file')}, {' and '.join(sorted(formats))}; save them as JPEG or PNG"
                )
        if not classes:
            raise ValueError(f"no images in class folders in {name}; it must hold CLASS/x.jpg or train/CLASS/x.jpg")
        if len(classes) == 1:
            raise ValueError(f"{name} has only one class, {shown(classes[0])}; at least two are needed")
        index = {class_name: number for number, class_name in enumerate(classes)}
        train, test = ([(member, index[label]) for member, label in members] for members in (self._train, self._test))
        notes = list(self._notes)
        if not test:
            train, test = _hold_out(train, len(classes))
            images = counted(len(train) + len(test), "image")
            notes.append(f"no test set with labels: {len(test)} of {images} were held out for testing")
        if not test:
            raise ValueError(f"{name} has no test images: two or more images per class are needed")
        return ImageListing(self._path, classes, {"train": train, "test": test}, tuple(self._skipped), tuple(notes))


def _class_name(folder: str) -> str:
    """Return text with composed accents: a Mac writes "é" as two characters, others as one."""
    return unicodedata.normalize("NFC", folder)


def _in_unread_format(member: str, what: str) -> Skipped:
    return Skipped(member, Kind.FORMAT, f"{what} pictures are not supported; save them as JPEG or PNG")


def _refuse_alike(path: Path, subfolders: dict[str, set[str]]) -> None:
    """Raise ValueError if folders taken as classes contain the same folders: then those are the classes."""
    shared = Counter(inside for within in subfolders.values() if "" not in within for inside in within)
    alike = sorted(inside for inside, count in shared.items() if count > 1)
    if len(alike) > 1:
        holders = sorted(name for name, within in subfolders.items() if "" not in within and within & set(alike))
        raise ValueError(
            f"{shown(path.name)}: the folders {some(holders)} contain the same folders ({some(alike)}), so they are not classes; "
            "rename them to train and test, or put each class into one folder"
        )


def _hold_out(samples: Sequence[Sample], classes: int) -> tuple[list[Sample], list[Sample]]:
    """Move a fixed fifth of each class to the test set; a class with one image keeps it for training."""
    rng = random.Random(0)
    by_class: list[list[Sample]] = [[] for _ in range(classes)]
    for sample in samples:
        by_class[sample[1]].append(sample)
    train, test = [], []
    for members in by_class:
        rng.shuffle(members)
        held = max(1, round(len(members) / 5)) if len(members) > 1 else 0
        test += members[:held]
        train += members[held:]
    return sorted(train), sorted(test)
