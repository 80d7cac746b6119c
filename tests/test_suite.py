"""The tests themselves: what they need is marked, none imports another, and no clock decides."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
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
FINDERS = ("expect", "get_by_text", "get_by_role", "get_by_label", "to_have_text", "to_contain_text")
SENTENCE = 4  # words
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
    assert marks_of(ROOT / "tests" / "test_browser.py") == {"browser", "service"}
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


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_test_pins_no_sentence(path: Path) -> None:
    """What a page says stands in ``tests/golden``; an assertion holds names and numbers, an expected error what it must name."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    pinned = {text for node in ast.walk(tree) for part in expected(node) for text in strings(part)}
    assert [text for text in sorted(pinned) if words(text) >= SENTENCE] == []


def test_a_sentence_is_found_wherever_it_is_pinned() -> None:
    for code in (
        'assert "a b c d" in x',
        'raises(E, match="a b.*|a b c d")',
        'expect(f"a {b} c d e")',
        "x.get_by_text('a b, c d')",
    ):
        (found,) = {text for node in ast.walk(ast.parse(code)) for part in expected(node) for text in strings(part)}
        assert words(found) == SENTENCE
    assert words("device 'cuda:7' .*allowed: auto") < SENTENCE


def expected(node: ast.AST) -> list[ast.expr]:
    """What an assertion, a search on a page or an expected error holds a text against."""
    if isinstance(node, ast.Assert):
        return [node.test]
    if not isinstance(node, ast.Call):
        return []
    given = {keyword.arg: keyword.value for keyword in node.keywords}
    if getattr(node.func, "attr", getattr(node.func, "id", "")) in FINDERS:
        return [*node.args, *given.values()]
    return [value for name, value in given.items() if name in ("has_text", "match")]


def strings(tree: ast.expr) -> Iterator[str]:
    """The literal texts in an expression; of an f-string its parts as one."""
    if isinstance(tree, ast.JoinedStr):
        yield "".join(part.value if isinstance(part, ast.Constant) else " 0 " for part in tree.values)
    elif isinstance(tree, ast.Constant) and isinstance(tree.value, str):
        yield tree.value
    else:
        for child in ast.iter_child_nodes(tree):
            yield from strings(child)


def words(text: str) -> int:
    """The most words in one piece of a pattern; numbers, names with punctuation and codes are none."""
    pieces = re.split(r"\.[*+]|\|", text)
    return max(sum(token.strip("*.,;:!?()'\"`").isalpha() for token in piece.split()) for piece in pieces)
