"""Commands whose module is imported when one of them runs.

Every start of `inhaul` puts every command on its parser, `inhaul --help` too; what a command needs (an SDK, pydantic)
must cost nothing then. So this module imports nothing of ours.
"""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any


def add_lazy(commands: Any, name: str, module: str, help_text: str) -> None:
    """Adds command `name`; `module` has `add(subparsers)`, which adds its parser, and is imported at the first use."""
    # with a prefix that no word has, flags are words too, and go to the command's own parser
    parser = commands.add_parser(name, help=help_text, add_help=False, prefix_chars="\0")
    parser.add_argument("words", nargs=argparse.REMAINDER)
    parser.set_defaults(run=partial(_run, name, module))


def _run(name: str, module: str, given: argparse.Namespace) -> int:
    parser = argparse.ArgumentParser(prog="inhaul")
    importlib.import_module(module).add(parser.add_subparsers())
    return run_words(parser, [name, *given.words])


def run_words(parser: argparse.ArgumentParser, words: Sequence[str]) -> int:
    """Parses the words and runs the command they name; returns 2 for wrong usage, 0 for `--help`."""
    try:
        given = parser.parse_args(list(words))
    except SystemExit as end:
        return int(end.code or 0)
    run: Callable[[argparse.Namespace], int] = given.run
    return run(given)
