"""The questions people ask of a cluster under GitOps, answered with the controller's own functions.

`add_commands` puts the commands on the parser of `inhaul`; each module here is a group of them. The commands only read
arguments, fetch objects and print: what a render, a plan, a cause is, the controller's pure modules say.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]


def add_commands(commands: Commands) -> None:
    """Adds build, diff, plan, get, tree, trace, why, reconcile, suspend, resume and drift."""
    from .drifting import add as drift
    from .listing import add as listing
    from .local import add as local
    from .reasons import add as reasons
    from .switches import add as switches

    for add in (local, listing, reasons, switches, drift):
        add(commands)
