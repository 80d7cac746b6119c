"""How the tests wait: for something, never for a length of time; a busy machine may take long."""

import time
from collections.abc import Callable

SECONDS = 300.0  # after which what is waited for is taken not to come; no test needs as long, and none may rely on less


def wait_until(condition: Callable[[], object], seconds: float = SECONDS) -> None:
    """Polls until the condition holds; fails when patience has run out."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def always(what: Callable[[], object], seconds: float = 0.4) -> None:
    """Looks for a while at what should not change."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        assert what()
        time.sleep(0.02)
