"""Facts about the machine and where it keeps things, without torch."""

import os
import platform
from pathlib import Path


def default_home() -> Path:
    """``SSAM_HOME``, else ``~/.ssam-lab``: database, runs, uploads, downloads."""
    return Path(os.environ.get("SSAM_HOME") or "~/.ssam-lab").expanduser().resolve()


def cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cpu_name() -> str:
    """The processor as its maker calls it, where the system tells."""
    facts = Path("/proc/cpuinfo")
    if facts.exists():
        for line in facts.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
