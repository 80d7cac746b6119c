"""The name of the command, as its messages give it."""

import sys
from pathlib import Path

INSTALLED = "ssam-lab"  # where the package is installed
PROGRAM = INSTALLED if Path(sys.argv[0]).stem == INSTALLED else "ssam"
