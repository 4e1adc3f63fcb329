"""The room's command, `inhaul image …`. What it needs is imported when it runs: this is read at each start."""

from __future__ import annotations

from typing import Any

from controllers.runtime.cli.late import add_late


def add_commands(subparsers: Any) -> None:
    """Adds `image`; the commands below it are parsed by `cli_image` at the first use."""
    add_late(subparsers, "image", "explain image policies, plan their commits, list tags", _run)


def _run(words: list[str]) -> int:
    from .cli_image import main

    return main(words)
