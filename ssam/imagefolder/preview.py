"""A preview of an upload as a race would read it. The pictures are opened in a separate process: the app's server opens no untrusted
bytes with an image library, and is not blocked by slow ones."""

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
SECONDS = 120.0  # seconds after which a preview omits the pictures
MEMORY = 4 * 2**30  # address space of the process in bytes
PROBE = 32  # pixels: every picture is decoded, only as far as needed to see that it can be
THUMBNAILS = 12


@dataclass(frozen=True)
class Preview:
    """``train`` and ``test`` are the image counts of each class; ``sides`` the minimum and maximum of their shorter sides in pixels, 0
    if the pictures were not read; ``notes`` those of a race; ``problem`` why it would be rejected, else empty."""

    classes: tuple[str, ...]
    train: tuple[int, ...]
    test: tuple[int, ...]
    sides: tuple[int, int]
    notes: tuple[str, ...]
    problem: str = ""


@lru_cache(maxsize=256)  # an upload never changes: its name contains the digest of its content
def preview(path: Path) -> Preview:
    """Read a stored upload. Raise ValueError, one line, if its layout is rejected."""
    listing = scan(path, UPLOAD)
    answer = _ask("contents", str(path))
    if answer is None:
        counts = [[label for _, label in listing.splits[split]] for split in ("train", "test")]
        train, test = (tuple(map(labels.count, range(len(listing.classes)))) for labels in counts)
        unread = "the pictures were not checked here, since that took too long; the race reports what it skips"
        return Preview(listing.classes, train, test, (0, 0), (*listing.notes, unread))
    fields: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in answer.items()
    }
    return Preview(**fields)


@lru_cache(maxsize=256)
def thumbnails(path: Path, size: int) -> tuple[tuple[str, bytes], ...]:
    """Return a few training images as the network sees them, the classes in turn: class and PNG. Empty if that takes too long."""
    answer = _ask("thumbnails", str(path), str(size))
    return tuple((name, base64.b64decode(image)) for name, image in answer or ())


def _ask(*question: str) -> Any:
    """Return the output of this module, run as a program; None if it takes too much time or memory. Its errors go to the server's
    log."""
    path = os.pathsep.join(filter(None, [str(PROJECT), os.environ.get("PYTHONPATH")]))
    command = [sys.executable, "-P", "-m", "ssam.imagefolder.preview", *question]
    try:
        done = subprocess.run(
            command, env={**os.environ, "PYTHONPATH": path}, stdout=subprocess.PIPE, timeout=SECONDS, check=True
        )
    except (subprocess.TimeoutExpired, subprocess.CalledProcessError):
        return None
    return json.loads(done.stdout)


# What runs in the separate process


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
        with suppress(Exception):  # unreadable pictures are among the notes
            file = io.BytesIO()
            picture.decode(members, member, size)[0].save(file, "PNG")
            drawn.append((listing.classes[label], base64.b64encode(file.getvalue()).decode()))
        if len(drawn) == THUMBNAILS:
            break
    return drawn


def _in_turn(samples: list[Sample], classes: int) -> Iterator[Sample]:
    """Yield the first of each class, then the second of each, and so on."""
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
