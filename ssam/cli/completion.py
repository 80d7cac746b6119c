"""``python -m ssam completion bash``: a shell function ``ssam`` and its completion, generated from the commands."""

import argparse
import shlex
import sys
from collections.abc import Iterable, Iterator
from functools import partial

from ssam.catalogue import DATASETS, MODELS
from ssam.experiment import presets
from ssam.methods import METHODS

SHELLS = ("bash", "zsh")
VALUES: dict[str, Iterable[str]] = {
    "--dataset": DATASETS,
    "--model": MODELS,
    "--lanes": METHODS,
    "--preset": presets(),
}  # in addition to the choices of a flag

SCRIPT = """\
# SSAM Lab, for {kind}: put it into your shell with  eval "$({python} -m ssam completion {kind})"
ssam() {{ {python} -m ssam "$@"; }}
{begin}_ssam() {{
  local word="${{COMP_WORDS[COMP_CWORD]}}" before="${{COMP_WORDS[COMP_CWORD-1]}}" command="${{COMP_WORDS[1]}}" words=""
  if [ "$COMP_CWORD" -eq 1 ]; then
    words="{commands}"
  else
    case "$command $before" in
{values}
      *) case "$command" in
{flags}
      esac ;;
    esac
  fi
  COMPREPLY=($(compgen -W "$words" -- "$word"))
}}
complete -o default -F _ssam ssam
"""


def flags(command: argparse.ArgumentParser, whole: argparse.ArgumentParser) -> None:
    command.set_defaults(run=partial(_print, whole))
    command.add_argument("shell", choices=SHELLS)


def _print(whole: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    print(script(whole, options.shell), end="")


def script(whole: argparse.ArgumentParser, shell: str) -> str:
    """Return the script for the shell."""
    commands = dict(_commands(whole))
    begin = "autoload -U +X bashcompinit && bashcompinit\n" if shell == "zsh" else ""
    values = [
        f'      "{name} {flag}") words="{" ".join(allowed)}" ;;'
        for name, command in commands.items()
        for flag, allowed in _values(command)
    ]
    flags = [f'        {name}) words="{" ".join(_flags(command))}" ;;' for name, command in commands.items()]
    parts = {"commands": " ".join(commands), "values": "\n".join(values), "flags": "\n".join(flags)}
    return SCRIPT.format(kind=shell, python=shlex.quote(sys.executable), begin=begin, **parts)


def _commands(whole: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    for action in whole._actions:
        if isinstance(action, argparse._SubParsersAction):
            yield from action.choices.items()


def _flags(command: argparse.ArgumentParser) -> list[str]:
    """Return a command's flags, and its positional choices."""
    options = [option for action in command._actions for option in action.option_strings if option.startswith("--")]
    alone = [str(choice) for action in command._actions if not action.option_strings for choice in action.choices or ()]
    return [*alone, *options]


def _values(command: argparse.ArgumentParser) -> Iterator[tuple[str, list[str]]]:
    for action in command._actions:
        for option in action.option_strings:
            if allowed := [str(choice) for choice in action.choices or VALUES.get(option, ())]:
                yield option, allowed
