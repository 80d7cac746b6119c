"""Presets: named races as JSON files in ``assets/presets``. A new one needs no code."""

import json
from dataclasses import dataclass
from pathlib import Path

from ssam.experiment.race import RaceSpec, parse_spec
from ssam.locations import ASSETS

RENAMED = {"quick": "demo"}  # old addresses and commands keep working


@dataclass(frozen=True)
class Preset:
    name: str
    title: str
    summary: str
    spec: RaceSpec


def presets(folder: Path = ASSETS / "presets") -> dict[str, Preset]:
    """Return all presets by name, the default first (files are sorted by their numeric prefix)."""
    found = (_read(path) for path in sorted(folder.glob("*.json")))
    return {preset.name: preset for preset in found}


def preset(name: str) -> Preset:
    """Return a preset. Raise ValueError, which lists the known names, if there is none with this name or former name."""
    known = presets()
    name = RENAMED.get(name, name)
    if name not in known:
        raise ValueError(f"{name[:60]!r} is not a preset; allowed: {', '.join(known)}")
    return known[name]


def _read(path: Path) -> Preset:
    raw = json.loads(path.read_text(encoding="utf-8"))
    name = path.stem.partition("-")[2]
    return Preset(name=name, title=raw["title"], summary=raw["summary"], spec=parse_spec(raw["spec"]))
