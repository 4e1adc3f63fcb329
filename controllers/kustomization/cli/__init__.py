"""The questions people ask of a cluster under GitOps, answered with the controller's own functions.

`add_commands` puts the commands on the parser of `inhaul`; each module here is a group of them, read when one of its
commands runs, for this module is read at every start of `inhaul`. The commands only read arguments, fetch objects and
print: what a render, a plan, a cause is, the controller's pure modules say.
"""

from __future__ import annotations

import argparse
from functools import partial
from importlib import import_module
from typing import Any

from controllers.runtime.cli.late import add_late, run_words

_COMMANDS = {
    "build": ("local", "render a directory or a Kustomization's file, offline"),
    "diff": ("local", "show what a directory changes, field by field; exit 1 if anything"),
    "plan": ("local", "show all that applying a directory would do; exit 1 if anything"),
    "get": ("listing", "list our objects, failing first, with since when and what is held"),
    "tree": ("listing", "show a Kustomization's source and objects with their health"),
    "trace": ("reasons", "follow an object to its Kustomization, revision, commit and author"),
    "why": ("reasons", "say in one line why an object is not well; exit 1 if it is not"),
    "reconcile": ("switches", "ask for a reconcile now, and wait for its end"),
    "suspend": ("switches", "stop reconciling an object; say why"),
    "resume": ("switches", "reconcile a suspended object again"),
    "drift": ("drifting", "list, show and release fields that are held for a human's edit"),
}


def add_commands(commands: Any) -> None:
    """Adds build, diff, plan, get, tree, trace, why, reconcile, suspend, resume and drift."""
    for name, (module, text) in _COMMANDS.items():
        add_late(commands, name, text, partial(_run, name, module))


def _run(name: str, module: str, words: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="inhaul")
    import_module(f"{__name__}.{module}").add(parser.add_subparsers())
    return run_words(parser, [name, *words])
