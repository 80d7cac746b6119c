"""What a server allows, from the environment."""

import os
from collections.abc import Mapping
from dataclasses import dataclass

from ssam.system import cores


@dataclass(frozen=True)
class Limits:
    """
    Args:
        slots: races at once on the CPU; every GPU takes one more. Default: one per four cores, at most four.
        owner_running, owner_queued: races of one owner at once, and in the queue.
        queued: races in the queue, of all owners together.
        race_minutes: wall-clock time that a race may take from its start or restart on.
        disk_gb: what uploads, downloads and the files of all races may take together (1 GB = 1e9 bytes).
        checkpoint_seconds: how often a race is written down.
    """

    slots: int
    owner_running: int
    owner_queued: int
    queued: int
    race_minutes: float
    disk_gb: float
    checkpoint_seconds: float


def read_limits(environment: Mapping[str, str] = os.environ) -> Limits:
    """The limits of this server. Raises ValueError, one line, for the first bad setting."""
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
