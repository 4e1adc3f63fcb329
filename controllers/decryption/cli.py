"""The room's commands: `inhaul sops …`, `guard`, `seal`, `unseal`, `reseal`.

What a command needs (an SDK, pydantic) is imported when it runs: this module is read at every start of `inhaul`.
"""

from __future__ import annotations

import argparse
import sys
from functools import partial
from importlib import import_module
from typing import Any

from controllers.runtime.cli.late import add_late, run_words

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
        add_late(subparsers, name, text, partial(_run, name, module))


def _run(name: str, module: str, words: list[str]) -> int:
    """Parses and runs one command: 0 done, 1 found or failed, 2 wrong usage."""
    from .errors import DecryptionError

    parser = argparse.ArgumentParser(prog="inhaul")
    import_module(f"{__package__}.{module}").add_commands(parser.add_subparsers())
    try:
        return run_words(parser, [name, *words])
    except DecryptionError as error:
        print(f"inhaul {name}: {error.message}", file=sys.stderr)
    except BrokenPipeError:
        return 1
    except OSError as error:
        print(f"inhaul {name}: {error.filename}: {error.strerror}", file=sys.stderr)
    return 1
