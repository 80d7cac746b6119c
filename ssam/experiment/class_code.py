"""Class codes: a short code that a class races under. No account is needed; anyone who knows the code is a member."""

import re
import secrets

SHORTEST, LONGEST = 4, 12
CLEAR = "BCDFGHJKMNPQRTVWXYZ2346789"  # no vowels, so no accidental words; no characters that look alike


def class_code(text: str) -> str:
    """Return the code as it is stored: capital letters, digits and hyphens, with no hyphen at either end. Raise ValueError, one line,
    if the text is not a valid code.

    >>> class_code(" may-7kq ")
    'MAY-7KQ'
    """
    code = text.strip()
    if SHORTEST <= len(code) <= LONGEST and re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9-]*[A-Za-z0-9]", code):
        return code.upper()
    raise ValueError(
        f"class code {text[:40]!r} must be {SHORTEST} to {LONGEST} letters, digits and hyphens, such as MAY-7KQ"
    )


def new_class_code() -> str:
    """Return a random code, one of 26⁷ (about 8 billion), so that no two classes get the same one by accident."""
    letters = "".join(secrets.choice(CLEAR) for _ in range(7))
    return f"{letters[:3]}-{letters[3:]}"
