"""Who may import whom, and that what must stay light stays light."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import ssam

ROOT = Path(__file__).resolve().parents[1]
SPECIFICATIONS = {"catalogue", "methods", "experiment", "planning", "stats"}  # data and arithmetic
MAY_IMPORT = {  # docs/architecture.md has the same map in words
    "catalogue": set(),
    "stats": set(),
    "system": set(),
    "config": {"system"},
    "imagefolder": set(),
    "methods": {"markers", "optim", "masks", "interop"},  # inside functions: the facts come without torch
    "experiment": {"catalogue", "methods", "locations"},
    "styles": {"markers", "methods", "experiment"},
    "planning": {"catalogue", "methods", "experiment"},
    "store": {*SPECIFICATIONS, "config", "imagefolder"},
    "export": {*SPECIFICATIONS, "markers", "store", "styles"},
    "interop": set(),
    "optim": {"interop"},
    "masks": {"interop"},
    "models": set(),
    "data": {*SPECIFICATIONS, "imagefolder", "system"},
    "training": {"experiment", "methods", "optim", "masks", "models"},
    "analysis": {*SPECIFICATIONS, "optim", "masks", "models", "data", "training"},
    "engine": {*SPECIFICATIONS, "config", "system", "optim", "masks", "models", "data", "training", "analysis"},
    "jobs": {*SPECIFICATIONS, "config", "imagefolder", "system", "store", "engine", "analysis", "training"},
    "record": {"experiment", "engine", "models", "data"},
    "bench": {*SPECIFICATIONS, "config", "store", "engine", "optim", "masks", "models", "data", "training"},
}
TORCH_FREE = (
    *sorted(SPECIFICATIONS - {"methods"}),
    "config",
    "imagefolder",
    "markers",
    "styles",
    "system",
    "store",
    "export",
)
FOR_THE_APP = {*TORCH_FREE, "methods", "jobs"}
SHARED = ("shell", "ui")  # of app/: what pages share


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


def files_of(room: str) -> list[Path]:
    """A room is a folder or a module of ssam/."""
    place = ROOT / "ssam" / room
    return list(place.rglob("*.py")) if place.is_dir() else [place.with_suffix(".py")]


def rooms(names: set[str]) -> set[str]:
    return {name.split(".")[1] for name in names if name.startswith("ssam.")}


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_rooms_import_only_what_the_map_allows(room):
    files = files_of(room)
    assert files
    for path in files:
        assert rooms(imports(path)) <= MAY_IMPORT[room] | {room}, path


@pytest.mark.parametrize("room", TORCH_FREE)
def test_torch_free_rooms_never_import_torch(room):
    for path in files_of(room):
        assert not any(name.split(".")[0] in ("torch", "torchvision") for name in imports(path)), path


def test_only_the_race_process_touches_the_engine():
    for path in (ROOT / "ssam" / "jobs").rglob("*.py"):
        if path.name not in (
            "race_process.py",
            "node.py",
            "analysis_process.py",
        ):  # what runs in the process that computes
            assert not {"engine", "analysis"} & rooms(imports(path)), path


@pytest.mark.parametrize("folder", ["app", "pages"])
def test_the_app_talks_only_to_the_torch_free_rooms(folder):
    for path in (ROOT / folder).rglob("*.py"):
        names = imports(path)
        assert rooms(names) <= FOR_THE_APP, path
        assert not any(name.startswith("ssam.jobs.") and not name.startswith("ssam.jobs.client") for name in names), (
            path
        )
        assert not any(name.split(".")[0] in ("torch", "torchvision") for name in names), path


@pytest.mark.parametrize(
    "statement",
    [
        "import ssam",
        "import ssam.methods.directions",
        "import ssam.store, ssam.jobs.client, ssam.experiment, ssam.export",
        "import ssam.cli",
    ],
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


def floors(path: Path) -> set[str]:
    """The packages of app/ that a file imports from."""
    return {name.split(".")[1] for name in imports(path) if name.startswith("app.")}


def test_page_packages_do_not_know_each_other():
    packages = [
        place for place in (ROOT / "app").iterdir() if (place / "__init__.py").exists() or any(place.glob("*.py"))
    ]
    assert len(packages) > 10
    for place in packages:
        allowed = {place.name, "ui"} | (set() if place.name == "ui" else {"shell"})
        for path in place.glob("*.py"):
            assert floors(path) <= allowed, path


def test_a_page_calls_its_own_package_and_what_pages_share():
    pages = {path.stem: path for path in (ROOT / "pages").glob("*.py")}
    assert len(pages) > 10
    for name, path in pages.items():
        assert floors(path) <= {name, *SHARED}, path


def test_nothing_lies_flat_in_the_app():
    assert {path.name for path in (ROOT / "app").glob("*.py")} == {"__init__.py", "main.py"}


def test_the_optimizer_and_the_masks_are_read_in_one_sitting():
    files = [*(ROOT / "ssam" / "optim").glob("*.py"), *(ROOT / "ssam" / "masks").glob("*.py")]
    assert len(files) > 5
    assert sum(len(path.read_text(encoding="utf-8").splitlines()) for path in files) <= 1000


def test_pages_are_thin():
    for path in (ROOT / "pages").glob("*.py"):
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 120, path
