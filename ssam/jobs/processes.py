"""Is that process still the one we mean? A pid alone may have been given to another, so a start time goes with it."""

import contextlib

import psutil  # type: ignore[import-untyped]

SAME_START = 2.0  # seconds: the start time is derived from the clock, which may be set a little


def start_time(pid: int) -> float | None:
    """When the process started (seconds since the epoch); None if it is gone or a zombie."""
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else process.create_time()
    except psutil.NoSuchProcess:
        return None


def is_alive(pid: int | None, started: float | None) -> bool:
    """Whether the process that had this pid and start time still runs."""
    if pid is None or started is None:
        return False
    found = start_time(pid)
    return found is not None and abs(found - started) < SAME_START


def kill(pid: int, started: float | None) -> None:
    """SIGKILL for the process that had this pid and start time, if it still runs."""
    if is_alive(pid, started):
        with contextlib.suppress(psutil.NoSuchProcess):  # it ended in this very moment
            psutil.Process(pid).kill()
