"""An upload as a race would read it, for the page before the race. The pictures are opened in a process of their own: a server of
pages opens no foreign bytes with an image library, and is not held up by what takes long."""

import base64
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import lru_cache
from itertools import zip_longest
from pathlib import Path
from typing import Any

from ssam.imagefolder import picture
from ssam.imagefolder.archive import UPLOAD
from ssam.imagefolder.contents import Contents
from ssam.imagefolder.layout import Sample, scan
from ssam.imagefolder.members import Members, attempt

PROJECT = Path(__file__).resolve().parents[2]
SECONDS = 120.0  # after which a preview does without the pictures
MEMORY = 4 * 2**30  # bytes that the process may address
PROBE = 32  # pixels: every picture is decoded, but to no more than it takes to see that it can be
THUMBNAILS = 12


@dataclass(frozen=True)
class Preview:
    """``train`` and ``test`` are the images of each class; ``sides`` the least and the most of their shorter sides in pixels, 0 where
    the pictures were not looked at; ``notes`` what a race would tell; ``problem`` why it would be refused, else empty."""

    classes: tuple[str, ...]
    train: tuple[int, ...]
    test: tuple[int, ...]
    sides: tuple[int, int]
    notes: tuple[str, ...]
    problem: str = ""


@lru_cache(maxsize=256)  # an upload never changes: its name holds the digest of its content
def preview(path: Path) -> Preview:
    """Reads a kept upload. Raises ValueError, one line, where its layout is refused."""
    listing = scan(path, UPLOAD)
    answer = _ask("contents", str(path))
    if answer is None:
        counts = [[label for _, label in listing.splits[split]] for split in ("train", "test")]
        train, test = (tuple(map(labels.count, range(len(listing.classes)))) for labels in counts)
        unread = "the pictures were not looked at here, which took too long; the race says what it skips"
        return Preview(listing.classes, train, test, (0, 0), (*listing.notes, unread))
    fields: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in answer.items()
    }
    return Preview(**fields)


@lru_cache(maxsize=256)
def thumbnails(path: Path, size: int) -> tuple[tuple[str, bytes], ...]:
    """A few of the training images as the network gets them, the classes in turn: class and PNG. Empty where that takes too long."""
    answer = _ask("thumbnails", str(path), str(size))
    return tuple((name, base64.b64decode(image)) for name, image in answer or ())


def _ask(*question: str) -> Any:
    """What this module, run as a program, answers; None where it takes too long or too much. What it says of an error goes to the
    server's log."""
    path = os.pathsep.join(filter(None, [str(PROJECT), os.environ.get("PYTHONPATH")]))
    command = [sys.executable, "-P", "-m", "ssam.imagefolder.preview", *question]
    try:
        done = subprocess.run(
            command, env={**os.environ, "PYTHONPATH": path}, stdout=subprocess.PIPE, timeout=SECONDS, check=True
        )
    except (subprocess.TimeoutExpired, subprocess.CalledProcessError):
        return None
    return json.loads(done.stdout)


# What runs in the process of its own


def _contents(path: Path) -> dict[str, Any]:
    listing = scan(path, UPLOAD)
    members = Members(path)
    outcomes = {
        split: list(
            attempt(
                lambda member: picture.decode(members, member, PROBE)[1], [member for member, _ in samples], "", _quiet
            )
        )
        for split, samples in listing.splits.items()
    }
    contents = Contents(listing, outcomes)
    problem = ""
    try:
        contents.check()
    except ValueError as error:
        problem = str(error)
    notes = () if problem else contents.notes()
    train, test = contents.counts("train"), contents.counts("test")
    return asdict(Preview(listing.classes, train, test, contents.sides, notes, problem))


def _thumbnails(path: Path, size: int) -> list[tuple[str, str]]:
    listing, members = scan(path, UPLOAD), Members(path)
    drawn: list[tuple[str, str]] = []
    for member, label in _in_turn(listing.splits["train"], len(listing.classes)):
        with suppress(Exception):  # what cannot be read is among the notes
            file = io.BytesIO()
            picture.decode(members, member, size)[0].save(file, "PNG")
            drawn.append((listing.classes[label], base64.b64encode(file.getvalue()).decode()))
        if len(drawn) == THUMBNAILS:
            break
    return drawn


def _in_turn(samples: list[Sample], classes: int) -> Iterator[Sample]:
    """The first of each class, then the second of each, and so on."""
    by_class: list[list[Sample]] = [[] for _ in range(classes)]
    for sample in samples:
        by_class[sample[1]].append(sample)
    for turn in zip_longest(*by_class):
        yield from (sample for sample in turn if sample is not None)


def _quiet(message: str, share: float | None) -> None:
    pass


def _main(kind: str, path: str, size: str = "0") -> None:
    with suppress(ImportError):  # not on Windows
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    print(json.dumps(_contents(Path(path)) if kind == "contents" else _thumbnails(Path(path), int(size))))


if __name__ == "__main__":
    _main(*sys.argv[1:])
