"""Components whose code is a static file: ``static/NAME.js`` has ``mount(root)``, which gives {update, unmount}."""

import filecmp
import hashlib
import importlib.util
import os
import shutil
from pathlib import Path
from typing import Any

import streamlit as st

STATIC = Path(__file__).parents[1] / "static"
PLOTLY = "plotly.min.js"

# Only this is sent with every tick; the rest is a file that the browser keeps.
LOADER = """
const instances = new WeakMap();

export default function (component) {
  const { parentElement } = component;
  const data = JSON.parse(new TextDecoder().decode(component.data));
  const host = parentElement.querySelector(".ssam-NAME");
  let instance = instances.get(parentElement);
  if (instance && instance.host !== host) end(instance); // Streamlit has replaced the HTML
  if (!instance || instance.gone) {
    instance = { host };
    instances.set(parentElement, instance);
    endWhenRemoved(instance);
    const started = instance;
    import(new URL(data.module, document.baseURI).href)
      .then((module) => {
        if (started.gone) return;
        started.view = module.mount(host);
        started.view.update(started.latest);
      })
      .catch((error) => {
        host.textContent = `This could not be loaded: ${error.message}`;
      });
  }
  instance.latest = { ...component, data };
  instance.view?.update(instance.latest);
}

// Streamlit's own clean-up does not tell an update that a newer one has overtaken from a component that leaves the page.
function endWhenRemoved(instance) {
  instance.observer = new MutationObserver(() => {
    if (!instance.host.isConnected) end(instance);
  });
  instance.observer.observe(document.body, { childList: true, subtree: true });
}

function end(instance) {
  if (instance.gone) return;
  instance.gone = true;
  instance.observer.disconnect();
  instance.view?.unmount();
}
"""


def register(name: str, style: str) -> Any:
    """Registers the component ``ssam_NAME``, whose root is ``<div class="ssam-NAME">``; ``style`` is a file in static/. Its data are
    bytes: JSON with the address of its ``module``."""
    return st.components.v2.component(
        f"ssam_{name}",
        html=f'<div class="ssam-{name}"></div>',
        css=(STATIC / style).read_text(encoding="utf-8"),
        js=LOADER.replace("NAME", name),
        isolate_styles=False,
    )


def _keep_plotly() -> None:
    """Plotly's own JavaScript comes out of the plotly package: nothing is fetched from outside."""
    package = importlib.util.find_spec("plotly")
    if package is None or package.origin is None:
        raise RuntimeError("plotly is not installed; run: pip install -r requirements.txt")
    source, copy = Path(package.origin).parent / "package_data" / PLOTLY, STATIC / PLOTLY
    if not copy.exists() or not filecmp.cmp(source, copy):
        draft = copy.with_suffix(f".{os.getpid()}")
        shutil.copy2(source, draft)
        os.replace(draft, copy)


_keep_plotly()


def _stamp() -> str:
    """Changes with the static files, so that no browser shows yesterday's."""
    times = "".join(str(path.stat().st_mtime_ns) for path in sorted(STATIC.iterdir()))
    return hashlib.sha256(times.encode()).hexdigest()[:12]


_STAMP = _stamp()  # once a server, not once a tick


def address_of(name: str) -> str:
    """Where the browser finds a static file."""
    base = st.get_option("server.baseUrlPath").strip("/")
    return f"{'/' + base if base else ''}/app/static/{name}?v={_STAMP}"
