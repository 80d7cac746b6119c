"""The files in deploy/ and the page on operations name the settings that there are, with their defaults."""

import re
from pathlib import Path

from ssam.config import VARIABLES, read_limits

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
COMPOSE_ONLY = {"SSAM_ADDRESS", "SSAM_UPSTREAM"}  # the proxy's


def named(*paths: Path) -> set[str]:
    return {name for path in paths for name in re.findall(r"SSAM_[A-Z_]+", path.read_text(encoding="utf-8"))}


def test_the_page_lists_every_setting_and_no_other():
    listed = {
        name
        for row in re.findall(r"^\| (`SSAM_.*?) \|", PAGE, re.MULTILINE)
        for name in re.findall(r"SSAM_[A-Z_]+", row)
    }
    assert listed == set(VARIABLES)
    assert named(*(path for path in (ROOT / "deploy").iterdir() if path.is_file())) <= set(VARIABLES) | COMPOSE_ONLY


def test_the_example_says_what_holds_anyway():
    lines = (ROOT / "deploy/.env.example").read_text(encoding="utf-8").splitlines()
    example = dict(line.split("=", 1) for line in lines if line.startswith("SSAM_"))
    assert len(example) >= 6
    assert read_limits(example) == read_limits({})


def test_paths_that_the_page_names_are_there():
    for path in re.findall(r"\b(?:docs|deploy|tests|app)/[\w./-]+\.\w+", PAGE):
        assert path in ("deploy/.env", "deploy/secrets.toml") or (ROOT / path).exists(), path
