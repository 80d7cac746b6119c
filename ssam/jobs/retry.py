"""Retrying: a race that temporarily cannot write waits, keeps its events, and tries again."""

import contextlib
import errno
import sys
import time
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy.exc import DBAPIError, OperationalError

from ssam.jobs.run_handle import RunHandle
from ssam.store.views import Want

RETRY_SECONDS = 1.0
OUTAGE_SECONDS = 300.0  # seconds to wait for a database that does not answer; for disk space, for ever

NO_ROOM, NO_DATABASE = "the disk is full", "the database does not answer"

Answer = TypeVar("Answer")


class Cancelled(Exception):
    """The race should pause or stop while it cannot write. Its last rows are lost and will be produced again."""

    def __init__(self, want: Want) -> None:
        super().__init__(want)
        self.want = want


def retry_while_unavailable(
    handle: RunHandle,
    action: Callable[[], Answer],
    again: Callable[[], object] | None = None,
    cancellable: bool = False,
) -> Answer | None:
    """Repeat an action that may fail because the disk is full or the database is down, until it succeeds.

    Args:
        handle: the race's.
        action: what to do.
        again: what to do after the first failure instead of ``action``; the result is then None.
        cancellable: say in the run's message that the race waits, and raise Cancelled if it should pause or stop meanwhile.

    Raise what ``action`` raises if waiting does not help, or did not for OUTAGE_SECONDS.
    """
    begin, reported = time.monotonic(), None
    tried: Callable[[], object] = action
    while True:
        try:
            answer = tried()
        except (OSError, DBAPIError) as error:
            why = outage_reason(error)
            if why is None or (why == NO_DATABASE and time.monotonic() - begin > OUTAGE_SECONDS):
                raise
            if why != reported:
                reported = why
                log(f"waiting: {why} ({type(error).__name__}: {' '.join(str(error).split())[:300]})")
                if cancellable:
                    _say(handle, f"waiting: {why}")
        else:
            if reported:
                message = f"waited for {time.monotonic() - begin:.0f} s: {reported}"
                log(message)
                if cancellable:
                    _say(handle, message)
            return answer if tried is action else None  # type: ignore[return-value]
        tried = again or action
        time.sleep(RETRY_SECONDS)
        if cancellable:
            with contextlib.suppress(OSError, DBAPIError):
                if (want := handle.desired_state()) != "run":
                    raise Cancelled(want)


def outage_reason(error: BaseException) -> str | None:
    """Return what the race has to wait for; None if waiting would not help."""
    if isinstance(error, OSError):
        return NO_ROOM if error.errno in (errno.ENOSPC, errno.EDQUOT) else None
    if isinstance(error, DBAPIError) and ("disk is full" in str(error.orig) or "No space left" in str(error.orig)):
        return NO_ROOM
    lost = isinstance(error, OperationalError) or (isinstance(error, DBAPIError) and error.connection_invalidated)
    return NO_DATABASE if lost else None


def log(line: str) -> None:
    """Write one line to the race's log, whose disk may be the full one."""
    with contextlib.suppress(OSError):
        print(time.strftime("%H:%M:%S"), line, file=sys.stderr, flush=True)


def _say(handle: RunHandle, message: str) -> None:
    """Set the run's message with the next flush that succeeds."""
    handle.say(message)
    with contextlib.suppress(OSError, DBAPIError):
        handle.flush()
