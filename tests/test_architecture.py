"""Who may import whom, and that what must stay light stays light."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import ssam

ROOT = Path(__file__).resolve().parents[1]
MAY_IMPORT = {
    "stats": set(),
    "spec": set(),
    "imagefolder": set(),
    "store": {"spec", "stats", "imagefolder"},
    "export": {"spec", "stats", "store"},
    "jobs": {"spec", "imagefolder", "store", "engine", "analysis"},
    "engine": {"spec", "optim", "masks", "models", "data", "analysis", "stats"},
    "analysis": {"spec", "optim", "masks", "models", "data"},
    "bench": {"spec", "store", "engine", "optim", "masks", "models", "data"},
    "optim": {"interop"},
    "masks": {"interop"},
    "interop": set(),
    "models": set(),
    "data": {"spec", "imagefolder"},
}
TORCH_FREE = ("stats", "spec", "imagefolder", "store", "export")


def imports(path: Path) -> set[str]:
    """Dotted names that a file imports, at the top or inside functions."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def rooms(names: set[str]) -> set[str]:
    return {name.split(".")[1] for name in names if name.startswith("ssam.")}


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_rooms_import_only_what_the_map_allows(room):
    files = list((ROOT / "ssam" / room).rglob("*.py"))
    assert files
    for path in files:
        assert rooms(imports(path)) <= MAY_IMPORT[room] | {room}, path


@pytest.mark.parametrize("room", TORCH_FREE)
def test_torch_free_rooms_never_import_torch(room):
    for path in (ROOT / "ssam" / room).rglob("*.py"):
        assert not any(name.split(".")[0] in ("torch", "torchvision") for name in imports(path)), path


def test_only_the_race_process_touches_the_engine():
    for path in (ROOT / "ssam" / "jobs").rglob("*.py"):
        if path.name not in ("child.py", "ray_node.py", "analysing.py"):  # what runs in the process that computes
            assert not {"engine", "analysis"} & rooms(imports(path)), path


@pytest.mark.parametrize("folder", ["app", "pages"])
def test_the_app_talks_only_to_the_torch_free_rooms(folder):
    for path in (ROOT / folder).rglob("*.py"):
        names = imports(path)
        assert rooms(names) <= {"spec", "stats", "imagefolder", "store", "jobs", "export"}, path
        assert not any(name.startswith("ssam.jobs.") and not name.startswith("ssam.jobs.client") for name in names), (
            path
        )
        assert not any(name.split(".")[0] in ("torch", "torchvision") for name in names), path


@pytest.mark.parametrize(
    "statement", ["import ssam", "import ssam.store, ssam.jobs.client, ssam.experiment, ssam.export", "import ssam.cli"]
)
def test_importing_stays_light(statement):
    check = f"{statement}; import sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], cwd=ROOT, check=False).returncode == 0


def test_all_is_exactly_what_can_be_used():
    assert set(dir(ssam)) == set(ssam.__all__)
    for name in ssam.__all__:
        assert getattr(ssam, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'Sam'"):
        _ = ssam.Sam


def test_pages_are_thin():
    for path in (ROOT / "pages").glob("*.py"):
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 120, path
