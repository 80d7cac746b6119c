"""Every Python process that finds this on its path takes the time of day to be wrong by as many seconds as a file says.

That also moves when the machine seems to have been started, as it does where a real clock is set.
"""

import os
import time
from pathlib import Path

import psutil

FILE = Path(os.environ["SSAM_DRILL_CLOCK"])


def offset() -> int:
    return int(FILE.read_text(encoding="utf-8"))


def patched(real):
    return lambda: real() + offset()


time.time = patched(time.time)
psutil._psplatform.boot_time = patched(psutil._psplatform.boot_time)
