"""`inhaul secrets explain|diff|plan|render`: the parser of these commands."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from controllers.runtime.cli.late import run_words

from .cli_diff import add as diff
from .cli_explain import add as explain
from .cli_plan import add as plan
from .cli_render import add as render


def main(words: Sequence[str]) -> int:
    """Runs one command and returns its exit code."""
    parser = argparse.ArgumentParser(prog="inhaul secrets")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for add in (explain, diff, plan, render):
        add(commands)
    return run_words(parser, words)
