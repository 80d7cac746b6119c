"""``python -m ssam app``: start the lab and open it in a browser."""

import argparse
import importlib.util
import os
import signal
import subprocess
import sys
import threading
import time

from ssam.locations import LAB

PORT = 8501
WAIT_SECONDS = 60.0


def flags(command: argparse.ArgumentParser) -> None:
    command.set_defaults(run=run)
    command.add_argument("--port", type=int, default=PORT, help="port on this machine (default: %(default)s)")


def run(options: argparse.Namespace) -> int:
    """Start a runner and the web server; return its exit status when it ends."""
    if not 0 < options.port < 65536:
        raise ValueError(f"{options.port} is not a port; allowed: 1 to 65535")
    if importlib.util.find_spec("streamlit") is None:
        raise ValueError("the app needs streamlit: pip install 'ssam-lab[lab]'")
    _ensure_runner()
    address = f"http://127.0.0.1:{options.port}"
    print(f"SSAM Lab: {address}   (stop with Ctrl-C; a running race continues)", flush=True)
    if has_screen():
        threading.Thread(target=open_browser, args=(address,), daemon=True).start()
    command = [sys.executable, "-m", "streamlit", "run", str(LAB / "app" / "main.py"), f"--server.port={options.port}"]
    server = subprocess.Popen(command, env={"MALLOC_ARENA_MAX": "2", **os.environ})  # or the server's memory grows
    ended: list[int] = []  # by which signal

    def end(number: int, _: object) -> None:
        ended.append(number)
        server.terminate()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    status = server.wait()
    return 0 if ended else status


def open_browser(address: str) -> None:
    """Open the page once the server answers. Streamlit would do so itself outside headless mode, but it then also shows an
    advertisement."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not answers(address):
        if time.monotonic() > deadline:
            return  # the server's own output says why it does not start
        time.sleep(0.1)
    import webbrowser  # here: the other commands need no web

    webbrowser.open(address)


def answers(address: str) -> bool:
    """Return whether the server at this address is up."""
    import urllib.request  # takes 60 ms, which every other command would pay

    try:
        with urllib.request.urlopen(f"{address}/_stcore/health", timeout=1) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def has_screen() -> bool:
    """Return whether there is a display: without one, Linux may open a text browser in the server's terminal."""
    return sys.platform in ("darwin", "win32") or any(name in os.environ for name in ("DISPLAY", "WAYLAND_DISPLAY"))


def _ensure_runner() -> None:
    from ssam.jobs.client import Client
    from ssam.store import Store

    Client(Store()).runner.ensure()
