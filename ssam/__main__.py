import os
import sys

from ssam.cli import main

status = main()
if "RANK" in os.environ:
    # One of several processes: torch's threads may still wait for one that died, and would abort an ordinary end.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
sys.exit(status)
