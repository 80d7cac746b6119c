"""What a test file needs beside Python, told by what it imports, itself or through a helper of the tests.

``browser`` drives a real Chromium, ``page`` runs the app's code in Streamlit, ``service`` starts a runner, a database server, a
cluster or several processes, ``training`` trains races. ``make check`` leaves these files out, unread: importing them would
take longer than what it runs.
"""

import ast
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NEEDS = {
    "browser": ("playwright",),
    "page": ("streamlit", "app", "pages"),
    "service": (
        "tests.fake_runner",
        "tests.postgres",
        "tests.ray_cluster",
        "tests.shards",
        "benchmarks.load",
        "benchmarks.drills",
    ),
    "training": ("ssam.engine", "ssam.bench"),
}


@cache
def marks_of(path: Path) -> frozenset[str]:
    """The marks of a test file."""
    names = imported(path)
    own = {mark for mark, needs in NEEDS.items() if any(within(name, need) for name in names for need in needs)}
    helpers = [helper for name in names if (helper := helper_file(name)) and helper != path]
    return frozenset(own.union(*map(marks_of, helpers)))


@cache
def imported(path: Path) -> frozenset[str]:
    """Dotted names that a file imports, at the top or inside functions."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(found)


def within(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def helper_file(name: str) -> Path | None:
    """The file of a module of ``tests``, also where the last word of the name is something in it."""
    if not (within(name, "tests") or within(name, "benchmarks")):
        return None
    whole = ROOT.joinpath(*name.split("."))
    candidates = (whole.with_suffix(".py"), whole / "__init__.py", whole.parent.with_suffix(".py"))
    return next((path for path in candidates if path.exists()), None)
