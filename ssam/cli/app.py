"""Open the page in a browser once the server answers: ``python -m app.shell.open_browser ADDRESS``.

Streamlit would do so itself outside headless mode, but it then also shows an advertisement.
"""

import os
import sys
import time
import urllib.request
import webbrowser

WAIT_SECONDS = 60.0


def answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/_stcore/health", timeout=1) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def has_screen() -> bool:
    """Return whether there is a display: without one, Linux may open a text browser in the server's terminal."""
    return sys.platform in ("darwin", "win32") or any(name in os.environ for name in ("DISPLAY", "WAYLAND_DISPLAY"))


def main(address: str) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not answers(address):
        if time.monotonic() > deadline:
            return  # the server's own output says why it does not start
        time.sleep(0.1)
    webbrowser.open(address)


if __name__ == "__main__" and has_screen():
    main(sys.argv[1])
