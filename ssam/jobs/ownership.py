"""Who may steer what."""

from typing import Protocol, TypeVar

from ssam.store import Person


class Owned(Protocol):
    @property
    def owner(self) -> str: ...


Thing = TypeVar("Thing", bound=Owned)


def checked(found: Thing | None, named: str, kind: str, person: Person) -> Thing:
    """Return what was ``found`` under an id. Raise ValueError if there is none, PermissionError if it is someone else's."""
    if found is None:
        raise ValueError(f"there is no {kind} {named[:40]!r} here")
    if not person.teacher and person.owner != found.owner:
        raise PermissionError(f"this {kind} belongs to someone else")
    return found
