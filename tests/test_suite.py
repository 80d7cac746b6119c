"""The tests themselves: what they need is marked, none imports another, and no clock decides."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.marks import NEEDS, imported, marks_of, within

ROOT = Path(__file__).resolve().parents[1]
FILES = sorted((ROOT / "tests").glob("test_*.py"))
ALLOWED = {
    "test_child.py",  # a race may not say that it took longer than it did
}
HEAVY = ("playwright", "streamlit", "ray", "app.main")
CLOCKS = {"monotonic", "perf_counter", "process_time", "thread_time", "cpu_times"}
PROBE = """
import sys, pytest
status = pytest.main(["--quick", "--collect-only", "-q", "-p", "no:cacheprovider"])
print(int(status), *sorted(set(sys.argv[1:]) & set(sys.modules)))
"""


@pytest.mark.slow
def test_quick_tests_read_no_browser_page_or_service() -> None:
    command = [sys.executable, "-c", PROBE, *HEAVY]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "0", done.stdout[-2000:] + done.stderr


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_file_is_marked_by_what_it_imports(path: Path) -> None:
    names = imported(path)
    for mark, needs in NEEDS.items():
        assert not any(within(name, need) for name in names for need in needs) or mark in marks_of(path)


def test_marks_come_through_the_helpers() -> None:
    assert marks_of(ROOT / "tests" / "browser.py") == {"browser"}
    assert marks_of(ROOT / "tests" / "test_browser.py") == {"browser", "page", "service"}
    assert marks_of(ROOT / "tests" / "test_jobs.py") == {"service"}
    assert marks_of(ROOT / "tests" / "test_seeds.py") == {"page"}
    assert marks_of(ROOT / "tests" / "test_inside.py") == {"training"}, "by tests/small_races.py"
    assert marks_of(ROOT / "tests" / "test_sam.py") == set()


def test_no_test_imports_another() -> None:
    for path in FILES:
        assert not [name for name in imported(path) if name.startswith("tests.test_")], path


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_no_test_reads_a_clock_to_decide(path: Path) -> None:
    """Who must wait waits by ``tests/patience.py``; what takes long is counted here, and timed by ``benchmarks``."""
    calls = [node.func for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
    read = [call.attr for call in calls if isinstance(call, ast.Attribute) and call.attr in CLOCKS]
    assert read == [] or path.name in ALLOWED, read
