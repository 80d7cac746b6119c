"""Unusable members of a folder or zip, grouped by reason, the important ones first."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

from ssam.imagefolder.archive import shown

SHOWN = 3  # members named per group


class Kind(IntEnum):
    """The kind of a reason, the most important first."""

    FORMAT = 0  # a picture in an unsupported format
    DAMAGED = 1
    UNPLACED = 2  # a picture that belongs to no class or no split in use
    OTHER = 3  # not a picture


@dataclass(frozen=True)
class Skipped:
    """A member by its name in the folder or zip. ``reason`` is a plural noun: "damaged files"."""

    member: str
    kind: Kind
    reason: str


class Unusable(ValueError):
    """A file is not a usable picture; the message is the reason."""

    def __init__(self, kind: Kind, reason: str) -> None:
        super().__init__(reason)
        self.kind, self.reason = kind, reason


def sentences(skipped: Iterable[Skipped]) -> list[str]:
    """Return a sentence for each reason, with the first few members.

    >>> sentences([Skipped("a.txt", Kind.OTHER, "no images"), Skipped("b.jpg", Kind.DAMAGED, "damaged files")])
    ["1 file skipped (damaged files): 'b.jpg'", "1 file skipped (no images): 'a.txt'"]
    """
    groups: dict[tuple[Kind, str], list[str]] = {}
    for each in skipped:
        groups.setdefault((each.kind, each.reason), []).append(each.member)
    ordered = sorted(groups.items(), key=lambda group: (group[0][0], -len(group[1]), group[0][1]))
    return [f"{counted(len(members), 'file')} skipped ({reason}): {some(members)}" for (_, reason), members in ordered]


def some(names: list[str]) -> str:
    """Return the first few names, for a one-line message.

    >>> some(["a", "b", "c", "d"])
    "'a'; 'b'; 'c'; …"
    """
    return "; ".join(map(shown, names[:SHOWN])) + ("; …" if len(names) > SHOWN else "")


def counted(count: int, what: str) -> str:
    """Return a count with its noun.

    >>> counted(1, "file"), counted(2000, "file")
    ('1 file', '2,000 files')
    """
    return f"{count:,} {what}{'s' * (count != 1)}"
