"""A wrong clock: shifts the time of day by the number of seconds in a file, in every Python process with this on its path.

This also shifts the apparent boot time of the machine, as setting a real clock does.
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
