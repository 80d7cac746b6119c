"""Facts about the machine and where it keeps things, without torch."""

import os
import platform
from pathlib import Path


def default_home() -> Path:
    """``SSAM_HOME``, else ``~/.ssam-lab``: database, runs, uploads, downloads. Raises ValueError for an unknown ``~``."""
    return expanded(os.environ.get("SSAM_HOME") or "~/.ssam-lab", "SSAM_HOME").resolve()


def expanded(path: str, what: str) -> Path:
    """``path`` with ``~`` or ``~user`` in front spelled out; ``what`` is what an error calls it. Raises ValueError
    where there is no such user."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise ValueError(f"{what} {path[:80]!r}: the home folder that ~ stands for is unknown; write it out") from None


def cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def load() -> float | None:
    """How many processes wanted a core, on average over the last minute; None where the system does not tell."""
    try:
        return os.getloadavg()[0]
    except (AttributeError, OSError):
        return None


def cpu_name() -> str:
    """The processor as its maker calls it, where the system tells."""
    facts = Path("/proc/cpuinfo")
    if facts.exists():
        for line in facts.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
