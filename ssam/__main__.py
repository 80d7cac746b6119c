"""Entry of the command line, ``python -m ssam`` and ``ssam-lab``."""

import os
import sys
from typing import NoReturn


def run() -> NoReturn:
    try:
        from ssam.cli import main
    except ModuleNotFoundError as error:
        if str(error.name).partition(".")[0] == __package__:  # a fault of ours
            raise
        sys.exit(f"the command line needs {error.name}: pip install 'ssam-lab[lab]'")
    status = main()
    if "RANK" in os.environ:
        # One of several processes: torch's threads may still wait for one that died, and would abort an ordinary end.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    sys.exit(status)


if __name__ == "__main__":
    run()
