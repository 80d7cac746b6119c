"""The command line: ``python -m ssam COMMAND``. Data goes to standard output, everything else to standard error."""

import argparse
import os
import sys
from typing import NoReturn

from ssam.cli import app, bench, completion, duel, lab, race, record, runs, sweep
from ssam.cli.program import PROGRAM


def main(arguments: list[str] | None = None) -> int:
    """Run one command; return its exit status: 0 success, 1 no result, 2 bad input (one line says what), 130 interrupted."""
    options = make_parser().parse_args(arguments)
    try:
        return options.run(options) or 0
    except BrokenPipeError:  # the reader of our output is gone, as in ``| head``; flushing at exit must not fail again
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except (ValueError, MemoryError, ConnectionError) as error:
        print(f"{PROGRAM} {options.command}{race.process()}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"\n{PROGRAM} {options.command}: interrupted", file=sys.stderr)
        return 130


class OneLineParser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}\n")


def make_parser() -> argparse.ArgumentParser:
    parser = OneLineParser(prog=PROGRAM, description="Watch sharpness-aware training happen, from the command line.")
    commands = parser.add_subparsers(required=True, dest="command", metavar="COMMAND", parser_class=OneLineParser)
    for name, about, flags in (
        ("app", "start the lab and open it in a browser", app.flags),
        ("race", "race several optimizers on the same batches", race.flags),
        ("sweep", "train one method with many settings, in the lab (SSAM_HOME)", sweep.flags),
        ("duel", "tune several methods by the same rule, then judge them on fresh seeds (SSAM_HOME)", duel.flags),
        ("runs", "list the races of the lab", runs.flags),
        ("export", "export races: tables, masks, weights, figures, code", runs.export_flags),
        ("report", "one HTML file with everything about a race", runs.report_flags),
        ("bench", "time the training steps, masks and epochs of each method", bench.flags),
        ("record", "run or check a record: the fewest gradients to a test accuracy", record.flags),
        ("backup", "back up the lab (SSAM_HOME and its database) to one file", lab.backup_flags),
        ("restore", "restore a back-up into SSAM_HOME and its database", lab.restore_flags),
    ):
        flags(commands.add_parser(name, help=about, description=about, allow_abbrev=False))
    about = "print the shell completion for these commands"
    completion.flags(commands.add_parser("completion", help=about, description=about, allow_abbrev=False), parser)
    return parser
