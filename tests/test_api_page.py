"""docs/api.md is what the docstrings say, and says all that ``import ssam`` offers."""

import ssam
from benchmarks import api


def test_the_page_is_up_to_date() -> None:
    assert api.PAGE.read_text(encoding="utf-8") == api.page(), "run python -m benchmarks.api"


def test_it_has_everything_that_import_ssam_offers() -> None:
    names = {name for part in api.PARTS.values() for name in part}
    assert {f"ssam:{name}" for name in ssam.__all__} <= names


def test_parameters_examples_and_formulas_become_markdown() -> None:
    doc = "One ``line``.\n\n.. math::\n    x^2\n\nArgs:\n    a: first,\n        more.\n    b: second.\n\nExample:\n    >>> 1\n    1"
    said = api.markdown(doc)
    assert "One `line`." in said
    assert "$$\nx^2\n$$" in said
    assert "- `a`: first, more.\n- " in said
    assert "\n- `b`: second." in said
    assert "```python\n>>> 1\n1\n```" in said
