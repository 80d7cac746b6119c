"""Components with their code beside their page: ``app/PAGE/NAME.js`` has ``mount(host)``, which returns {update, unmount}."""

import hashlib
import importlib.util
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import streamlit as st

APP = Path(__file__).parents[1]
SERVED = APP / "static"  # Streamlit serves what lies here; all of it is copied
PLOTLY = "plotly.min.js"


class Mount(Protocol):
    def __call__(self, key: str, *parts: Mapping[str, Any] | str, **events: Any) -> Any: ...


def register(module: str) -> Mount:
    """Register the component of ``app/MODULE.js`` and ``app/MODULE.css``, whose root is ``<div class="ssam-NAME">``.

    Return the function that puts it on the page. It sends the ``parts`` together, each a mapping or the JSON of one, as
    bytes: Streamlit would serialise a dictionary twice, the second time to see whether it has changed.
    """
    name = module.rpartition("/")[2]
    view = st.components.v2.component(
        f"ssam_{name}",
        html=f'<div class="ssam-{name}"></div>',
        css=(APP / f"{module}.css").read_text(encoding="utf-8"),
        js=_LOADER.replace("NAME", name).replace("MODULE", f"{base()}/app/static/{VERSION}/{module}.js"),
        isolate_styles=False,
    )

    def mount(key: str, *parts: Mapping[str, Any] | str, **events: Any) -> Any:
        lines = [part if isinstance(part, str) else json.dumps(part) for part in parts]
        return view(key=key, data="\n".join(lines).encode(), **events)

    return mount


def base() -> str:
    """Return the prefix of all addresses of this server: empty, or like ``/lab``."""
    path = st.get_option("server.baseUrlPath").strip("/")
    return f"/{path}" if path else ""


def _publish() -> str:
    """Copy the browser code, and Plotly's from its package, to where it is served: nothing is fetched from outside.

    Return the folder's name, a digest of its contents: browsers may cache each file, and none is outdated.
    """
    package = importlib.util.find_spec("plotly")
    if package is None or package.origin is None:
        raise RuntimeError("plotly is not installed; run: pip install -r requirements.txt")
    files = {path.relative_to(APP): path for path in sorted(APP.rglob("*.js")) if SERVED not in path.parents}
    files[Path(PLOTLY)] = Path(package.origin).parent / "package_data" / PLOTLY
    digest = hashlib.sha256()
    for name, path in files.items():
        digest.update(f"{name.as_posix()} {path.stat().st_size}\n".encode())
        digest.update(path.read_bytes())
    version = digest.hexdigest()[:12]
    if not (SERVED / version).exists():
        draft = SERVED / f"{version}.{os.getpid()}"
        for name, path in files.items():
            (draft / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, draft / name)
        try:
            draft.rename(SERVED / version)
        except OSError:  # another process was first
            shutil.rmtree(draft)
        _remove_others(version)
    return version


def _remove_others(version: str) -> None:
    for old in SERVED.iterdir():
        if not old.name.startswith(version):  # otherwise it may be another process's unfinished copy
            shutil.rmtree(old, ignore_errors=True)


VERSION = _publish()  # once per server, not per tick
_LOADER = (Path(__file__).parent / "loader.js").read_text(encoding="utf-8")
