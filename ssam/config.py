"""The settings from the environment: every ``SSAM_*`` variable is read and checked here, and nowhere else.

``python -m ssam.config`` prints the table of docs/operations.md. A bad value raises ValueError, which names the variable, the value
and what is allowed. Functions that take ``environment`` read this process's own by default.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from ssam.system import cores, expanded

VARIABLES = {  # name: what it sets, default
    "SSAM_HOME": ("the home folder", "`~/.ssam-lab`"),
    "SSAM_DATABASE_URL": (
        "`sqlite:///FILE` or `postgresql://USER:PASSWORD@HOST/NAME` (also `postgres://`)",
        "SQLite in the home folder",
    ),
    "SSAM_SLOTS": ("races at once on the CPU; every GPU takes one more", "one per four cores, at most 4"),
    "SSAM_DEVICE": ("what `auto` means: `cpu`, `cuda:0`, `mps`", "the GPU if there is one"),
    "SSAM_OWNER_RUNNING": (
        "races of one owner at once, and the same number of their sweeps' races, which have lower priority than all other races",
        "2",
    ),
    "SSAM_OWNER_QUEUED": ("races of one owner in the queue", "10"),
    "SSAM_QUEUED": ("races in the queue, of all owners", "200"),
    "SSAM_RACE_MINUTES": (
        "wall-clock limit of a race, after which it is stopped; *Resume* grants the same time again",
        "120",
    ),
    "SSAM_DISK_GB": ("disk quota for runs, uploads and downloads together; uploads at most half of it", "20"),
    "SSAM_CHECKPOINT_SECONDS": (
        "how often a checkpoint is written; less often if that would cost more than 2% of the race's time",
        "10",
    ),
    "SSAM_TEACHERS": ("e-mail addresses of teachers, separated by commas; used only with logins", "none"),
    "SSAM_ENGINE": ("`local`, `ray://auto`, `ray://HOST:PORT`; see `docs/cluster.md`", "`local`"),
    "SSAM_RACE_PROCESSES": ("processes that share a race; see `docs/cluster.md`", "1"),
    "SSAM_PERTURBATION": ("`worker` or `global`: whose gradient they perturb by; see `docs/cluster.md`", "`worker`"),
}


def table() -> str:
    """Return the variables as the rows of a Markdown table."""
    return "\n".join(f"| `{name}` | {meaning} | {default} |" for name, (meaning, default) in VARIABLES.items())


def default_home() -> Path:
    """Return ``SSAM_HOME``, else ``~/.ssam-lab``: database, runs, uploads, downloads. Raise ValueError for an unknown ``~``."""
    return expanded(os.environ.get("SSAM_HOME") or "~/.ssam-lab", "SSAM_HOME").resolve()


def database_url() -> str | None:
    """Return the URL of the database; None for SQLite in the home folder. It is checked where the database is opened."""
    return os.environ.get("SSAM_DATABASE_URL") or None


def lab_environment(home: Path, url: str) -> dict[str, str]:
    """Return the variables that tell a process which lab it belongs to."""
    return {"SSAM_HOME": str(home), "SSAM_DATABASE_URL": url}


def default_device() -> str:
    """Return what the device ``auto`` means; ``auto`` itself for the fastest kind there is. It is checked where torch is."""
    return os.environ.get("SSAM_DEVICE") or "auto"


def set_default_device(device: str) -> None:
    """Set what ``auto`` means in this process and those it starts."""
    os.environ["SSAM_DEVICE"] = device


def teachers() -> set[str]:
    """Return the e-mail addresses of teachers, in small letters."""
    addresses = {part.strip().lower() for part in os.environ.get("SSAM_TEACHERS", "").split(",") if part.strip()}
    for address in addresses:
        if not re.fullmatch(r"[^@\s]+@[^@\s]+", address):
            raise ValueError(f"SSAM_TEACHERS {address[:60]!r} must be an e-mail address; separate several by commas")
    return addresses


def cluster_address(environment: Mapping[str, str] = os.environ) -> str | None:
    """Return where races compute: None for this machine, else the address for ``ray.init``."""
    text = environment.get("SSAM_ENGINE") or "local"
    if text == "local":
        return None
    match = re.fullmatch(r"ray://(auto|[A-Za-z0-9.-]{1,253}:[0-9]{1,5})", text)
    if not match:
        raise ValueError(f"SSAM_ENGINE {text[:60]!r} must be local, ray://auto or ray://HOST:PORT")
    return match[1]


class Sharing(NamedTuple):
    """How many processes share each race, each with a GPU of its own where the race has GPUs, and by whose gradient they
    perturb: ``worker`` or ``global``, see ``ssam.engine.distributed``."""

    processes: int
    perturbation: Literal["worker", "global"]


def read_sharing(environment: Mapping[str, str] = os.environ) -> Sharing:
    """Return how the races of a cluster are shared."""
    perturbation = environment.get("SSAM_PERTURBATION") or "worker"
    if perturbation not in ("worker", "global"):
        raise ValueError(f"SSAM_PERTURBATION {perturbation[:20]!r} must be worker or global")
    processes = _whole(environment, "SSAM_RACE_PROCESSES", 1, 999)
    return Sharing(processes, "global" if perturbation == "global" else "worker")


@dataclass(frozen=True)
class Limits:
    """What a server allows.

    Args:
        slots: races at once on the CPU; every GPU takes one more. Default: one per four cores, at most four.
        owner_running, owner_queued: races of one owner at once, and in the queue.
        queued: races in the queue, of all owners together.
        race_minutes: wall-clock time that a race may take from its start or restart on.
        disk_gb: what uploads, downloads and the files of all races may take together (1 GB = 1e9 bytes).
        checkpoint_seconds: how often a checkpoint is written.
    """

    slots: int
    owner_running: int
    owner_queued: int
    queued: int
    race_minutes: float
    disk_gb: float
    checkpoint_seconds: float


def read_limits(environment: Mapping[str, str] = os.environ) -> Limits:
    """Return the limits of this server."""
    return Limits(
        slots=_whole(environment, "SSAM_SLOTS", min(4, max(1, cores() // 4)), 64),
        owner_running=_whole(environment, "SSAM_OWNER_RUNNING", 2, 64),
        owner_queued=_whole(environment, "SSAM_OWNER_QUEUED", 10, 1000),
        queued=_whole(environment, "SSAM_QUEUED", 200, 1000),
        race_minutes=_number(environment, "SSAM_RACE_MINUTES", 120.0, 0.01, 100_000.0),
        disk_gb=_number(environment, "SSAM_DISK_GB", 20.0, 0.001, 1_000_000.0),
        checkpoint_seconds=_number(environment, "SSAM_CHECKPOINT_SECONDS", 10.0, 0.1, 3600.0),
    )


def _whole(environment: Mapping[str, str], name: str, default: int, most: int) -> int:
    text = environment.get(name) or str(default)
    if not (text.isascii() and text.isdecimal() and len(text) < 10 and 1 <= int(text) <= most):
        raise ValueError(f"{name} {text[:20]!r} must be a whole number from 1 to {most}")
    return int(text)


def _number(environment: Mapping[str, str], name: str, default: float, least: float, most: float) -> float:
    text = environment.get(name) or str(default)
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not least <= value <= most:  # never true of NaN
        raise ValueError(f"{name} {text[:20]!r} must be a number from {least:g} to {most:.0f}")
    return value


if __name__ == "__main__":
    print(table())
