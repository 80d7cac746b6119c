"""Facts about the machine, without torch."""

import os
import platform
from pathlib import Path


def expanded(path: str, what: str) -> Path:
    """Return ``path`` with a leading ``~`` or ``~user`` spelled out; ``what`` is what an error calls it. Raise ValueError if there
    is no such user."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise ValueError(f"{what} {path[:80]!r}: the home folder that ~ stands for is unknown; write it out") from None


def cores() -> int:
    """Return the number of CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def load() -> float | None:
    """Return how many processes wanted a core, on average over the last minute; None if the system does not tell."""
    try:
        return os.getloadavg()[0]
    except (AttributeError, OSError):
        return None


def cpu_name() -> str:
    """Return the processor's name as its maker gives it, if the system tells."""
    facts = Path("/proc/cpuinfo")
    if facts.exists():
        for line in facts.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
