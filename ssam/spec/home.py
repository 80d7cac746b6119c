"""Where everything that outlives a process is kept."""

import os
from pathlib import Path


def default_home() -> Path:
    """``SSAM_HOME``, else ``~/.ssam-lab``: database, runs, uploads, downloads."""
    return Path(os.environ.get("SSAM_HOME") or "~/.ssam-lab").expanduser().resolve()
