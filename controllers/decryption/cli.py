"""The room's commands: `inhaul sops …`, `guard`, `seal`, `unseal`, `reseal`.

What a command needs (an SDK, pydantic) is imported when it runs: this module is read at every start of `inhaul`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

_HELP = {
    "sops": ("cli_sops", "verify, decrypt and list the keys of SOPS files"),
    "guard": ("cli_sops", "find plaintext Secrets in a tree; fit for a pre-commit hook"),
    "seal": ("cli_seal", "make SealedSecrets of Secrets, as kubeseal does, offline"),
    "unseal": ("cli_seal", "open SealedSecrets with a backup of the keys"),
    "reseal": ("cli_seal", "seal files anew under the newest key; comments and the rest stay"),
}


def add_commands(subparsers: Any) -> None:
    """Adds the five commands; each parser of theirs is made at the first use."""
    for name, (module, text) in _HELP.items():
        # with a prefix that no word has, flags are words too, and go to the command's own parser
        parser = subparsers.add_parser(name, help=text, add_help=False, prefix_chars="\0")
        parser.add_argument("words", nargs=argparse.REMAINDER)
        parser.set_defaults(run=_later(name, module))


def _later(name: str, module: str) -> Callable[[argparse.Namespace], int]:
    def run(given: argparse.Namespace) -> int:
        return main([name, *given.words], module)

    return run


def main(words: list[str], module: str) -> int:
    """Parses and runs one command: 0 done, 1 found or failed, 2 wrong usage."""
    from .errors import DecryptionError

    parser = argparse.ArgumentParser(prog="inhaul")
    import_module(f"{__package__}.{module}").add_commands(parser.add_subparsers())
    try:
        given = parser.parse_args(words)
    except SystemExit as end:
        return int(end.code or 0)
    run: Callable[[argparse.Namespace], int] = given.run
    try:
        return run(given)
    except DecryptionError as error:
        print(f"inhaul {words[0]}: {error.message}", file=sys.stderr)
    except BrokenPipeError:
        return 1
    except OSError as error:
        print(f"inhaul {words[0]}: {error.filename}: {error.strerror}", file=sys.stderr)
    return 1
