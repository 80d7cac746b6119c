"""Reads the layout of a folder or zip of images without opening a single image, and refuses dangerous archives.

Accepted layouts, alone or inside wrapping folders (ImageNet has the first one):

    train/CLASS/a.jpg and test/CLASS/b.jpg (or val/)
    CLASS/a.jpg                                        a fifth of each class is held out for testing
"""

import os
import random
import zipfile
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from ssam.imagefolder.archive import LOCAL, Limits, parts_of, shown, zip_members

SUFFIXES = frozenset((".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm"))
TEST_FOLDERS = ("test", "val", "valid", "validation")  # the first one that has class folders is taken

Parts = tuple[str, ...]  # a member's folders and file name
Sample = tuple[str, int]  # member as the folder or zip itself calls it ("/" between folders), class index


@dataclass(frozen=True)
class ImageListing:
    """What a folder or zip holds. ``splits`` has the keys "train" and "test"; each of ``skipped`` is a member with
    the reason, each of ``notes`` a sentence about what was decided."""

    path: Path
    classes: tuple[str, ...]
    splits: dict[str, list[Sample]]
    skipped: tuple[str, ...]
    notes: tuple[str, ...]


def scan(path: Path, limits: Limits = LOCAL) -> ImageListing:
    """Lists the images of a folder or zip; nothing is unpacked.

    Raises ValueError, one line, where there is no such folder or zip; where a member would lead outside of it ("../",
    absolute, symbolic link); where it holds more than ``limits``; where ssam.imagefolder.archive refuses the zip; and where there
    are fewer than two classes. Files that are no images, or belong to no class, are skipped and listed.
    """
    images, skipped = _sort_out(_members(path, limits))
    wrapping = _wrapping_folders(images)
    split_of = _choose_splits(path, [parts[wrapping:] for parts in images])
    found: dict[str, list[tuple[str, str]]] = {"train": [], "test": []}  # member, class name
    for parts, member in images.items():
        split, class_name = _place(parts[wrapping:], split_of)
        if split is None:
            skipped.append(f"{shown(member)} is not used")
        elif class_name is None:
            skipped.append(f"{shown(member)} is in no class folder")
        else:
            found[split].append((member, class_name))
    return _listing(path, found, skipped, held_out="test" not in split_of.values())


def _members(path: Path, limits: Limits) -> Iterator[str]:
    try:
        if path.is_dir():
            yield from _folder_members(path, limits)
        elif not path.exists():
            raise ValueError(f"no folder or zip file {shown(str(path))}")
        elif path.is_file() and zipfile.is_zipfile(path):  # a pipe or a device would be read for ever
            yield from zip_members(path, limits)
        else:
            raise ValueError(f"{shown(path.name)} is neither a folder nor a zip file")
    except OSError as error:
        raise ValueError(f"cannot read {shown(path.name)}: {error.strerror}") from None


def _folder_members(folder: Path, limits: Limits) -> Iterator[str]:
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
                    yield member


def _sort_out(members: Iterator[str]) -> tuple[dict[Parts, str], list[str]]:
    """Image files from path parts to member, and what is skipped. Hidden files and what macOS adds are passed over
    silently. The member is kept since only its own spelling ("./a//b.jpg") opens it in a zip."""
    images, skipped = {}, []
    for parts, member in sorted((parts_of(member), member) for member in set(members)):
        if any(part.startswith(".") or part == "__MACOSX" for part in parts):
            continue
        if os.path.splitext(parts[-1])[1].lower() in SUFFIXES:
            images[parts] = member
        else:
            skipped.append(f"{shown(member)} is not an image file")
    return images, skipped


def _wrapping_folders(images: Collection[Parts]) -> int:
    """How many folders stand around the layout: single ones that have folders inside and are no split."""
    depth = 0
    while True:
        tops = {parts[depth] for parts in images if len(parts) > depth + 1}
        nested = any(len(parts) > depth + 2 for parts in images)
        if len(tops) != 1 or not nested or tops.pop().lower() in ("train", *TEST_FOLDERS):
            return depth
        depth += 1


def _choose_splits(path: Path, images: list[Parts]) -> dict[str, str]:
    """Maps the top folders in use to "train" or "test"; empty where the classes themselves are on top."""
    tops = {parts[0] for parts in images if len(parts) > 1}
    filled = {parts[0] for parts in images if len(parts) > 2}  # has class folders inside
    train = [top for top in sorted(filled) if top.lower() == "train"]
    if train:
        tests = [top for name in TEST_FOLDERS for top in sorted(filled) if top.lower() == name]
        return {train[0]: "train"} | {top: "test" for top in tests[:1]}
    if tops and all(top.lower() in ("train", *TEST_FOLDERS) for top in tops):
        raise ValueError(f"{shown(path.name)} has {', '.join(sorted(tops))} but no images in train/CLASS folders")
    return {}


def _place(parts: Parts, split_of: dict[str, str]) -> tuple[str | None, str | None]:
    """Split and class name of an image; no split where its top folder is not in use."""
    if not split_of:
        return "train", parts[0] if len(parts) > 1 else None
    return split_of.get(parts[0]) if len(parts) > 1 else None, parts[1] if len(parts) > 2 else None


def _listing(path: Path, found: dict[str, list[tuple[str, str]]], skipped: list[str], held_out: bool) -> ImageListing:
    classes = tuple(sorted({class_name for _, class_name in found["train"]}))
    if not classes:
        raise ValueError(
            f"no images in class folders in {shown(path.name)}; it must hold CLASS/x.jpg or train/CLASS/x.jpg"
        )
    if len(classes) == 1:
        raise ValueError(f"{shown(path.name)} has only one class, {shown(classes[0])}; at least two are needed")
    index = {class_name: number for number, class_name in enumerate(classes)}
    train = [(member, index[class_name]) for member, class_name in found["train"]]
    test = [(member, index[class_name]) for member, class_name in found["test"] if class_name in index]
    skipped += [
        f"{shown(member)} is of a class without training images" for member, name in found["test"] if name not in index
    ]
    notes = []
    if held_out:
        train, test = _hold_out(train, len(classes))
        notes.append(
            f"no test/ or val/ folder: {len(test)} of {len(train) + len(test)} images were held out for testing"
        )
    if not test:
        raise ValueError(f"{shown(path.name)} has no test images: two or more images per class are needed")
    return ImageListing(path, classes, {"train": train, "test": test}, tuple(skipped), tuple(notes))


def _hold_out(samples: list[Sample], classes: int) -> tuple[list[Sample], list[Sample]]:
    """A fifth of each class, always the same one, goes to the test set; a class with one image keeps it for training."""
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
