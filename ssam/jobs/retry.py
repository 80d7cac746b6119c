"""What a race does where it cannot write for a moment: it holds still, keeps what it has to say, and tries again."""

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
OUTAGE_SECONDS = 300.0  # how long a database that does not answer is waited for; for room on the disk it is for ever

NO_ROOM, NO_DATABASE = "there is no room on the disk", "the database does not answer"

Answer = TypeVar("Answer")


class Cancelled(Exception):
    """The race is to pause or stop while it cannot write. Its last rows are lost with it: it will tell them again."""

    def __init__(self, want: Want) -> None:
        super().__init__(want)
        self.want = want


def retry_while_unavailable(
    handle: RunHandle,
    action: Callable[[], Answer],
    again: Callable[[], object] | None = None,
    cancellable: bool = False,
) -> Answer | None:
    """Does what may fail for want of room or of a database, until it succeeds.

    Args:
        handle: the race's.
        action: what to do.
        again: what to do after the first failure instead of ``action``; the answer is None then.
        cancellable: say in the run's message that the race waits, and raise Cancelled where it is to pause or stop meanwhile.

    Raises what ``action`` raises where waiting does not help, or did not for OUTAGE_SECONDS.
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
                log(f"it holds still: {why} ({type(error).__name__}: {' '.join(str(error).split())[:300]})")
                if cancellable:
                    _say(handle, f"it holds still: {why}")
        else:
            if reported:
                message = f"it held still for {time.monotonic() - begin:.0f} s: {reported}"
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
    """What the race has to wait for; None where that would not help."""
    if isinstance(error, OSError):
        return NO_ROOM if error.errno in (errno.ENOSPC, errno.EDQUOT) else None
    if isinstance(error, DBAPIError) and ("disk is full" in str(error.orig) or "No space left" in str(error.orig)):
        return NO_ROOM
    lost = isinstance(error, OperationalError) or (isinstance(error, DBAPIError) and error.connection_invalidated)
    return NO_DATABASE if lost else None


def log(line: str) -> None:
    """One line of the race's log; the disk that has no room may be the log's too."""
    with contextlib.suppress(OSError):
        print(time.strftime("%H:%M:%S"), line, file=sys.stderr, flush=True)


def _say(handle: RunHandle, message: str) -> None:
    """In the run's message, with the next flush that succeeds."""
    handle.say(message)
    with contextlib.suppress(OSError, DBAPIError):
        handle.flush()
