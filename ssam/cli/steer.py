"""What the commands of long work in the lab, ``sweep`` and ``duel``, have in common: who asks, which one is meant, what is printed."""

import argparse
import json
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from ssam.store import Person
from ssam.store.schema import finite

ME = Person("command-line", teacher=True)  # whoever can read the home folder may do everything in it
LOOK_SECONDS = 0.3
SHORTEST = 4  # letters of an id that are enough


class Named(Protocol):
    @property
    def id(self) -> str: ...


def flags(command: argparse.ArgumentParser, steers: Mapping[str, str], kind: str) -> None:
    """Add ``--detach``, ``--json``, ``--list``, and an option with an id for each of ``steers``, {name: help}."""
    command.add_argument("--detach", action="store_true", help="start it, print its id and exit")
    command.add_argument("--json", action="store_true", help="one JSON object per line; the last one is the result")
    steer = command.add_mutually_exclusive_group()
    steer.add_argument("--list", action="store_true", help=f"list the {kind}s of the lab, newest first")
    for name, about in steers.items():
        steer.add_argument(f"--{name}", metavar="ID", help=about)


def asked(options: argparse.Namespace, steers: Iterable[str]) -> str | None:
    """Return which of ``steers`` is asked for; None to start a new one."""
    return next((name for name in steers if getattr(options, name)), None)


def find(every: Iterable[Named], named: str, kind: str) -> str:
    """Return the id that ``named`` is, or begins. Raise ValueError, one line, unless it is exactly one's.

    >>> from types import SimpleNamespace
    >>> find([SimpleNamespace(id="abcdef"), SimpleNamespace(id="xyz123")], "abcd", "sweep")
    'abcdef'
    """
    known = [one.id for one in every]
    fitting = [known_id for known_id in known if known_id == named]
    fitting = fitting or [known_id for known_id in known if len(named) >= SHORTEST and known_id.startswith(named)]
    if len(fitting) != 1:
        raise ValueError(f"there is no {kind} {named[:40]!r} here; --list names them")
    return fitting[0]


def print_json(event: Mapping[str, Any]) -> None:
    """Print one line; what is not finite is null."""
    print(json.dumps(finite(dict(event)), allow_nan=False), flush=True)
