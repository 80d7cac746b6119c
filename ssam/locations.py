"""Where the app and its data are: beside the package in a checkout, in its folder ``lab`` once it is installed (``setup.py``)."""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
LAB = _PACKAGE / "lab" if (_PACKAGE / "lab").is_dir() else _PACKAGE.parent
ASSETS = LAB / "assets"
