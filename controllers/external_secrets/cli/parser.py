"""`inhaul secrets explain|diff|plan|render`: the parser of these commands."""

from __future__ import annotations

from controllers.runtime.cli.command import Commands

from .diff import add as diff
from .explain import add as explain
from .plan import add as plan
from .render import add as render


def add(commands: Commands) -> None:
    secrets = commands.add_parser("secrets", help="explain, compare, plan and render ExternalSecrets")
    below = secrets.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for each in (explain, diff, plan, render):
        each(below)
