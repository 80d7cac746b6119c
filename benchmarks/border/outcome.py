"""What came out of a case: one word, and of an error its first line."""

import traceback
from collections.abc import Callable
from pathlib import Path

from benchmarks.border.libraries import Library, NotOfferedError

RIGHT, WRONG, CLEAR, OTHER, NOT_OFFERED = "right", "silently wrong", "clear error", "other error", "not offered"


def outcome(case: Callable[[Library], bool], library: Library) -> dict[str, str]:
    """Return ``{"outcome", "error"}``. An error is clear if a ``raise`` or ``assert`` of the library makes it, other if it comes from below."""
    try:
        right = case(library)
    except NotOfferedError:
        return {"outcome": NOT_OFFERED}
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        clear = Path(last.filename).is_relative_to(library.folder) and (last.line or "").startswith(
            ("raise ", "assert ")
        )
        first_line = (str(error).splitlines() or [""])[0]
        return {"outcome": CLEAR if clear else OTHER, "error": f"{type(error).__name__}: {first_line}"}
    return {"outcome": RIGHT if right else WRONG}
