"""What each page says, kept in ``tests/golden/PAGE.txt``: the only place where the tests hold whole sentences.

``pytest --update-golden`` writes the texts of the tests that it runs again; read the difference before it is committed.
An estimated time is kept as "about …": machines differ.
"""

import difflib
import re
from pathlib import Path

FOLDER = Path(__file__).parent / "golden"
ESTIMATE = re.compile(r"\babout [\d.,]+ (s|min|h)\b( [\d]+ (s|min)\b)?")
HEADING = re.compile(r"^== (.+) ==\n", re.MULTILINE)


class Golden:
    """Compares texts with what is kept; with ``update`` keeps them instead."""

    def __init__(self, update: bool = False) -> None:
        self.update = update

    def __call__(self, page: str, state: str, *texts: str) -> None:
        """Check the texts that a page shows in a state. Raises AssertionError with a line-by-line difference."""
        path = FOLDER / f"{page}.txt"
        kept = sections(path)
        shown = ESTIMATE.sub("about …", "\n".join(line.rstrip() for line in "\n".join(texts).strip().splitlines()))
        if self.update:
            path.parent.mkdir(exist_ok=True)
            kept[state] = shown
            path.write_text(
                "\n".join(f"== {name} ==\n{text}\n" for name, text in sorted(kept.items())), encoding="utf-8"
            )
        lines = difflib.unified_diff(
            kept.get(state, "").splitlines(), shown.splitlines(), path.name, "shown", "", "", 1, ""
        )
        assert kept.get(state) == shown, "\n".join([f"{page}, {state} (pytest --update-golden keeps it):", *lines])


def sections(path: Path) -> dict[str, str]:
    """The kept texts of a page by the name of the state."""
    _, *parts = HEADING.split(path.read_text(encoding="utf-8")) if path.exists() else ("",)
    return {name: text.strip() for name, text in zip(parts[::2], parts[1::2], strict=True)}


def assert_one_line_error(text: str, names: list[object]) -> None:
    """An error is one line that names the field, the value and what is allowed; how it says so is free, and what it escapes for
    Markdown, too."""
    text = text.replace("\\", "")
    assert text.strip().count("\n") == 0, text
    assert [str(name) for name in names if str(name) not in text] == [], text
