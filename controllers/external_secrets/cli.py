"""The room's command, `inhaul secrets …`. What it needs is imported when it runs: this is read at each start."""

from __future__ import annotations

from typing import Any

from controllers.runtime.cli.late import add_late


def add_commands(subparsers: Any) -> None:
    """Adds `secrets`; the commands below it are parsed by `cli_secrets` at the first use."""
    add_late(subparsers, "secrets", "explain, compare, plan and render ExternalSecrets", _run)


def _run(words: list[str]) -> int:
    from .cli_secrets import main

    return main(words)
