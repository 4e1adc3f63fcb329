"""Commands whose module is read when one of them runs.

Every start of `inhaul` puts every command on its parser, `inhaul --help` too; what a command needs (an SDK, pydantic)
must cost nothing then. So this module imports nothing of ours.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import Any


def add_late(commands: Any, name: str, help_text: str, run: Callable[[list[str]], int]) -> None:
    """Adds command `name`; `run` is given the words behind it, and answers with the exit code."""
    # with a prefix that no word has, flags are words too, and go to the command's own parser
    parser = commands.add_parser(name, help=help_text, add_help=False, prefix_chars="\0")
    parser.add_argument("words", nargs=argparse.REMAINDER)
    parser.set_defaults(run=lambda given: run(given.words))


def run_words(parser: argparse.ArgumentParser, words: Sequence[str]) -> int:
    """Parses the words and runs the command they name; wrong usage is told and answered with 2, `--help` with 0."""
    try:
        given = parser.parse_args(list(words))
    except SystemExit as end:
        return int(end.code or 0)
    run: Callable[[argparse.Namespace], int] = given.run
    return run(given)
