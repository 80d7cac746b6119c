"""Ends what the tests have started and nothing else would end."""

import json
from pathlib import Path

import psutil

from tests.patience import SECONDS


def end_runner(home: Path) -> None:
    """Kills the runner of this home folder, its fork server and its races: nothing else would end them."""
    if (file := home / "runner.json").exists():
        try:
            runner = psutil.Process(json.loads(file.read_text(encoding="utf-8"))["pid"])
        except psutil.NoSuchProcess:
            return
        family = [runner, *runner.children(recursive=True)]
        for process in family:
            process.kill()
        psutil.wait_procs(family, timeout=SECONDS)
