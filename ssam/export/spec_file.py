"""A race's specification as a file, alone or inside a report, and back again."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ssam.experiment import RaceSpec, parse_spec
from ssam.export.source import Source

LAYOUT = 1  # maximal size of the file
SCRIPT_ID = "ssam-race"  # of the element of a report that contains it
MOST_BYTES = 16 * 2**20


def write(source: Source, folder: Path) -> None:
    """Write ``race.json``, which ``spec_of`` reads, and ``link.txt`` with the address of the race."""
    (folder / "race.json").write_text(spec_json(source.spec, source.notes), encoding="utf-8")
    (folder / "link.txt").write_text(source.link + "\n", encoding="utf-8")


def spec_json(spec: RaceSpec, notes: Sequence[str] = ()) -> str:
    """Return every field, also defaults: a later version may have others. ``notes`` are the race's notes on its data."""
    content = {"ssam_lab": LAYOUT, "spec": spec.model_dump(mode="json")}
    return json.dumps(content | ({"data_notes": list(notes)} if notes else {}), indent=2) + "\n"


def embedded(spec: RaceSpec) -> str:
    """Return the same as an element of an HTML page; its content cannot end the element."""
    inside = spec_json(spec).replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
    return f'<script type="application/json" id="{SCRIPT_ID}">{inside}</script>'


def spec_of(data: bytes) -> RaceSpec:
    """Return the race in a specification file (JSON) or a report (HTML).

    Raise ValueError, one line, for what is neither, too large, or has settings that are not allowed.
    """
    if len(data) > MOST_BYTES:
        raise ValueError(
            f"the file has {len(data) / 2**20:.0f} MiB; a specification or report has at most {MOST_BYTES // 2**20}"
        )
    try:
        text = data.decode("utf-8-sig").strip()
    except UnicodeDecodeError:
        raise ValueError("the file is not text; allowed: a race.json or a report (HTML) of SSAM Lab") from None
    if text.startswith("<"):
        text = _from_page(text)
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError("the file is neither a specification (JSON) nor a report (HTML) of SSAM Lab") from None
    return parse_spec(_settings(content))


def _settings(content: Any) -> dict[str, Any]:
    if not isinstance(content, dict) or not isinstance(content.get("spec"), dict):
        raise ValueError('the file contains no race: it must be {"ssam_lab": 1, "spec": {…}}')
    if content.get("ssam_lab", LAYOUT) != LAYOUT:
        raise ValueError(f"the file has layout {str(content['ssam_lab'])[:40]!r}; only layout {LAYOUT} can be read")
    settings: dict[str, Any] = content["spec"]
    return settings


def _from_page(text: str) -> str:
    """Return the content of the element that ``embedded`` makes, found by its id: an HTML parser would take hours for some pages."""
    start = text.find(">", text.find(f'id="{SCRIPT_ID}"')) if f'id="{SCRIPT_ID}"' in text else -1
    end = text.find("</script", start)
    if start < 0 or end < 0:
        raise ValueError("this page is not a report of SSAM Lab: it contains no specification")
    return text[start + 1 : end]
