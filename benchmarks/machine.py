"""The machine that a number was measured on."""

import platform
import time
from importlib.metadata import version

from ssam.system import cores, cpu_name


def machine() -> dict:
    versions = {name: version(name) for name in ("torch", "streamlit")}
    facts = {"cpu": cpu_name(), "cores": cores(), "python": platform.python_version(), **versions}
    return {"date": time.strftime("%Y-%m-%d"), "machine": facts}
