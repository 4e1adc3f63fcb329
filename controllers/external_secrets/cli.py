"""The room's command, `inhaul secrets …`. What it needs is imported when it runs: this is read at each start."""

from __future__ import annotations

import argparse
from typing import Any


def add_commands(subparsers: Any) -> None:
    """Adds `secrets`; the commands below it are parsed by `cli_secrets` at the first use."""
    # with a prefix that no word has, flags are words too, and go to the command's own parser
    parser = subparsers.add_parser(
        "secrets", help="explain, compare, plan and render ExternalSecrets", add_help=False, prefix_chars="\0"
    )
    parser.add_argument("words", nargs="*")
    parser.set_defaults(run=_run)


def _run(given: argparse.Namespace) -> int:
    from .cli_secrets import main

    return main(given.words)
