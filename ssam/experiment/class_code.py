"""Class codes: one short word under which a class races together. No account is needed; whoever knows the code belongs to it."""

import re
import secrets

SHORTEST, LONGEST = 4, 12
CLEAR = "BCDFGHJKMNPQRTVWXYZ2346789"  # no vowels, so no words; nothing that reads like something else


def class_code(text: str) -> str:
    """The code as it is kept: capital letters, digits and hyphens, the first and the last no hyphen. Raises ValueError, one line.

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
    """A code that nobody has by accident: one of 26⁷, about 8 thousand million."""
    letters = "".join(secrets.choice(CLEAR) for _ in range(7))
    return f"{letters[:3]}-{letters[3:]}"
