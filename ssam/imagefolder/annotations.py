"""Text files that name the class of each image, as Tiny ImageNet's val_annotations.txt and ImageNet's LOC_val_solution.csv."""

import contextlib
import os
import re
import unicodedata
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from ssam.imagefolder.archive import Parts
from ssam.imagefolder.members import Members

SUFFIXES = (".txt", ".csv", ".tsv")
MOST_FILES = 20
MOST_BYTES = 16 * 2**20  # maximal size of a text


def find(
    path: Path, texts: Mapping[Parts, str], folder: Parts, images: Iterable[str], classes: Collection[str]
) -> tuple[str, dict[str, str]]:
    """Find the text in ``folder`` or above it that labels most of the images. Return its member and the class of each labelled
    image; an empty name and nothing if there is none."""
    by_name = {_stem(member): member for member in images}
    near = [parts for parts in texts if folder[: len(parts) - 1] == parts[:-1]]
    near.sort(key=lambda parts: (-len(parts), parts))
    members, best = Members(path), ("", dict[str, str]())
    for parts in near[:MOST_FILES] if by_name else ():
        labels = {
            by_name[name]: label
            for name, label in read(_text(members, texts[parts]), classes).items()
            if name in by_name
        }
        if len(labels) > len(best[1]):
            best = texts[parts], labels
    return best


def _text(members: Members, member: str) -> str:
    """Return a text, empty if it cannot be read, which can make zipfile raise anything."""
    with contextlib.suppress(Exception), members.open(member) as file:
        return file.read(MOST_BYTES).decode("utf-8-sig", errors="replace")
    return ""


def read(text: str, classes: Collection[str]) -> dict[str, str]:
    """Return the class of each image named in the text, by file name without suffix, in lower case. A line has the image and its
    class; the rest is ignored.

    >>> read("val_0.JPEG\\tcat\\t0\\t0\\t62\\t61", {"cat"}), read("ImageId,Prediction\\nval_1,dog 1 2 3 4", {"dog"})
    ({'val_0': 'cat'}, {'val_1': 'dog'})
    """
    labels = {}
    for line in text.splitlines():
        fields = [part.strip(" \"'") for part in re.split(r"[\t,;]", line.strip(), maxsplit=2)]
        if len(fields) == 1:
            fields = line.split()
        if len(fields) < 2:
            continue
        label = unicodedata.normalize("NFC", fields[1])
        label = label if label in classes else label.partition(" ")[0]
        if label in classes:
            labels[_stem(fields[0])] = label
    return labels


def _stem(member: str) -> str:
    return os.path.splitext(member.replace("\\", "/").rpartition("/")[2])[0].lower()
