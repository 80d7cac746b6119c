"""Recorded races: played back by the same live panel that shows a race under way."""


def names() -> list[str]:
    """The recorded races in ``assets/recorded``, by name."""
    return []


def draw(name: str) -> None:
    """Plays the recorded race ``name`` in the live panel, labelled as recorded. One a page, in place of ``live.draw``."""
