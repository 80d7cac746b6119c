"""Parts of a page that a command writes."""

from pathlib import Path

import pytest

from benchmarks import marked


def test_only_the_part_between_the_marks_changes(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    before = "# A\n\n<!-- one: begin -->\nold\n<!-- one: end -->\n\nB\n"
    page.write_text(before)
    marked.write(page, "one", "new\nlines\n")
    assert marked.read(page, "one") == "new\nlines"
    assert page.read_text() == before.replace("old", "new\nlines")
    marked.write(page, "one", marked.read(page, "one"))
    assert marked.read(page, "one") == "new\nlines"


@pytest.mark.parametrize("content", ["", "<!-- one: begin -->", "<!-- one: begin --><!-- one: end -->" * 2])
def test_marks_that_are_missing_or_doubled_are_refused(tmp_path: Path, content: str) -> None:
    (page := tmp_path / "page.md").write_text(content)
    with pytest.raises(ValueError, match="one: begin"):
        marked.write(page, "one", "new")
    assert page.read_text() == content
