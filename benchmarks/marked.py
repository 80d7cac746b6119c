"""Parts of a documentation page that a command writes: between ``<!-- NAME: begin -->`` and ``<!-- NAME: end -->``."""

from pathlib import Path

DOCS = Path(__file__).resolve().parents[1] / "docs"


def read(page: Path, name: str) -> str:
    """Return the part. Raise ValueError if the page has no such marks."""
    return _split(page, name)[1].strip()


def write(page: Path, name: str, text: str) -> None:
    """Replace the part. Raise ValueError if the page has no such marks."""
    before, _, after = _split(page, name)
    page.write_text(f"{before}\n{text.strip()}\n{after}", encoding="utf-8")


def _split(page: Path, name: str) -> tuple[str, str, str]:
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    content = page.read_text(encoding="utf-8")
    if content.count(begin) != 1 or content.count(end) != 1:
        raise ValueError(f"{page.name} must have {begin} and {end}, once each")
    before, rest = content.split(begin)
    part, after = rest.split(end)
    return before + begin, part, end + after
