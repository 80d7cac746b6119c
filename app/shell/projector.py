"""Projector mode in the browser: large type by a style sheet, and keys for who presents. Start and pause are shortcuts of their own
buttons; the rest is ``presenter.js``."""

from app.ui import component

HELP = "Large type and few numbers, for a room. The keys of who presents are shown by the key ?"
KEYS = [
    ("S", "start the race"),
    ("P", "pause, resume"),
    ("N", "next: of a lesson or of a phase"),
    ("→ or Space", "one step, where there are steps"),
    ("?", "show or hide this"),
]
KEY = "presenter"

_mount = component.register("shell/presenter")


def table() -> str:
    """The keys as Markdown."""
    rows = "\n".join(f"| **{key}** | {what} |" for key, what in KEYS)
    return f"| key | does |\n|---|---|\n{rows}"


def draw() -> None:
    """While this is on a page, the page is in projector mode."""
    _mount(KEY, {"keys": KEYS})
