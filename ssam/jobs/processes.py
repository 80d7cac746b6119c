"""Identity of processes. A pid may be reused, so it is combined with the start time."""

import contextlib
import os
import signal

import psutil  # type: ignore[import-untyped]

SAME_START = 2.0  # seconds: both numbers below are rounded to whole seconds somewhere


def look_up(pid: int) -> psutil.Process | None:
    """Return the process with this pid; None if there is none, or only a zombie."""
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else process
    return None


def start_time(pid: int) -> float | None:
    """Return when the process started; None if it is gone or a zombie.

    On Linux in seconds since boot: the time of day changes when the clock is set, and a race must not seem dead because of
    that. Elsewhere in seconds since the epoch.
    """
    process = look_up(pid)
    return None if process is None else _start(process)


def find(pid: int | None, started: float | None) -> psutil.Process | None:
    """Return the process with this pid and start time; None if it no longer runs."""
    process = None if pid is None or started is None else look_up(pid)
    if process is None or started is None:
        return None
    start = _start(process)
    return process if start is not None and abs(start - started) < SAME_START else None


def is_alive(pid: int | None, started: float | None) -> bool:
    """Return whether the process with this pid and start time still runs."""
    return find(pid, started) is not None


def still_runs(process: psutil.Process) -> bool:
    """Return the same for a process that was found before: cheap enough to call many times a second."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def kill(process: psutil.Process) -> None:
    """Kill a process, if it still runs, and its children if it leads a process group (on Windows: all its descendants)."""
    if still_runs(process):
        if hasattr(os, "killpg"):
            with contextlib.suppress(ProcessLookupError):  # it leads no group (yet)
                os.killpg(process.pid, signal.SIGKILL)
        else:
            _kill_descendants(process)
        with contextlib.suppress(psutil.NoSuchProcess):  # it ended at this moment
            process.kill()


def _kill_descendants(process: psutil.Process) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        for child in process.children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()


def _start(process: psutil.Process) -> float | None:
    with contextlib.suppress(psutil.NoSuchProcess):  # it ended at this moment
        return process.create_time() - (psutil.boot_time() if psutil.LINUX else 0.0)
    return None
