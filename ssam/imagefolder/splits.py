"""Find the folders of the training and the test set by their names, at any depth."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from ssam.imagefolder.archive import Parts, shown
from ssam.imagefolder.skipped import some

NAMES = {
    "train": ("train", "training"),
    "test": ("test", "testing", "eval", "evaluation"),
    "val": ("val", "valid", "validation", "dev"),
}
ROLES = {name: role for role, names in NAMES.items() for name in names}
FILLERS = frozenset(
    ("set", "data", "dataset", "image", "images", "img", "imgs", "split", "seg")
)  # names without meaning


@dataclass(frozen=True)
class Split:
    """``wrapping`` is the number of folders between ``folder`` and the class folders: 1 in train/images/CLASS/a.jpg."""

    folder: Parts
    role: str
    wrapping: int

    @property
    def name(self) -> str:
        return self.folder[-1]


@lru_cache(maxsize=10_000)
def role_of(folder: str) -> str | None:
    """Return the split of a folder's name: "train", "test", "val", or None.

    >>> [role_of(name) for name in ("Training", "test_set", "seg_train", "val2017", "steam train", "trains")]
    ['train', 'test', 'train', 'val', None, None]
    """
    words = [word for word in re.findall("[^\\W\\d_]+", folder.lower()) if word not in FILLERS]
    if len(words) != 1:
        return None
    return ROLES.get(words[0]) or ROLES.get(re.sub("(set|data)$", "", words[0]))


def find_splits(path: Path, files: Collection[Parts]) -> list[Split]:
    """Return the training set, then the test sets by preference: those called test, then those called val. Empty if there is no
    training set with class folders.

    Raise ValueError, one line, if there are several in different places.
    """
    folders = {parts[:-1] for parts in files}
    trains = {
        folder[: depth + 1]
        for folder in folders
        for depth in range(len(folder) - 1)
        if role_of(folder[depth]) == "train"
    }
    if not trains:
        return []
    depth = min(map(len, trains))
    trains = {folder for folder in trains if len(folder) == depth}
    if len({folder[:-1] for folder in trains}) > 1:
        several = some(["/".join(folder) for folder in sorted(trains)])
        raise ValueError(f"{shown(path.name)} has several training sets ({several}): keep one")
    root = next(iter(trains))[:-1]
    beside = {folder[:depth] for folder in folders if len(folder) >= depth and folder[: depth - 1] == root}
    tests = {folder for folder in beside if role_of(folder[-1]) in ("test", "val")}
    chosen = [min(trains, key=_preference), *sorted(tests, key=_preference)]
    return [Split(folder, role_of(folder[-1]) or "", _wrapping(folder, folders)) for folder in chosen]


def _preference(folder: Parts) -> tuple[int, int, str]:
    name = folder[-1].lower()
    role = role_of(name) or ""
    names = NAMES[role]
    return list(NAMES).index(role), names.index(name) if name in names else len(names), folder[-1]


def _wrapping(folder: Parts, folders: Collection[Parts]) -> int:
    """Return 1 if all class folders of a split are inside one more folder, such as "images" or, as on Kaggle, "train" again."""
    depth = len(folder)
    inside = {other[depth:] for other in folders if other[:depth] == folder}
    tops = {below[:1] for below in inside}
    if len(tops) != 1 or () in tops or not any(len(below) > 1 for below in inside):
        return 0
    (top,) = next(iter(tops))
    return int(top.lower() in FILLERS or role_of(top) == role_of(folder[-1]))


def common_folders(files: Collection[Parts]) -> int:
    """Return how many folders surround the classes: single ones with folders inside that are not a split."""
    depth = 0
    while True:
        tops = {parts[depth] for parts in files if len(parts) > depth + 1}
        nested = any(len(parts) > depth + 2 for parts in files)
        if len(tops) != 1 or not nested or role_of(tops.pop()):
            return depth
        depth += 1
