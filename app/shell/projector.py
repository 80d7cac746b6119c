"""Presentation mode in the browser: large type by a style sheet, and keyboard shortcuts. Start and pause are shortcuts of their
own buttons; the rest is ``presenter.js``."""

from app.ui import component

HELP = "Large type and few numbers, for a projector. Press ? for the keyboard shortcuts."
KEYS = [
    ("S", "start the race"),
    ("P", "pause or resume"),
    ("N", "next step of a lesson, or next phase"),
    ("→ or Space", "one training step, on pages with steps"),
    ("?", "show or hide these shortcuts"),
]
KEY = "presenter"

_mount = component.register("shell/presenter")


def table() -> str:
    """Return the shortcuts as Markdown."""
    rows = "\n".join(f"| **{key}** | {what} |" for key, what in KEYS)
    return f"| key | action |\n|---|---|\n{rows}"


def draw() -> None:
    """Put the page into presentation mode."""
    _mount(KEY, {"keys": KEYS})
