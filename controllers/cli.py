"""The `inhaul` command: starts controllers, tells the demo, and answers questions with the controllers' own functions.

Each subcommand imports what it needs when it runs, so that `inhaul --help` costs no SDK.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from . import __version__
from .runtime.cli.lazy import add_lazy

if TYPE_CHECKING:
    from .runtime.settings import Settings

CONTROLLERS = {
    "external-secrets": "controllers.external_secrets.handlers",
    "decryption": "controllers.sealed_secrets.handlers",
    "image-automation": "controllers.image_automation.handlers",
    "kustomization": "controllers.kustomization.handlers",
    "notification": "controllers.notification.handlers",
}
"""Name on the command line → module with `register(manager)` and, where it has options, `SETTINGS` (their groups)."""

COMMANDS = {
    "sops": ("controllers.sops.cli", "verify, decrypt and list the keys of SOPS files"),
    "guard": ("controllers.sops.cli", "find plaintext Secrets in files; can be used as a pre-commit hook"),
    "seal": ("controllers.sealed_secrets.cli", "seal Secrets into SealedSecrets offline, like kubeseal"),
    "unseal": ("controllers.sealed_secrets.cli", "decrypt SealedSecrets with a backup of the sealing keys"),
    "reseal": ("controllers.sealed_secrets.cli", "re-encrypt sealed files with the newest key; nothing else changes"),
    "secrets": ("controllers.external_secrets.cli.parser", "explain, compare, plan and render ExternalSecrets"),
    "image": ("controllers.image_automation.cli.image", "explain image policies, preview their commits, list tags"),
    "build": ("controllers.kustomization.cli.build", "render a directory or a Kustomization manifest offline"),
    "diff": (
        "controllers.kustomization.cli.build",
        "show the changed fields; exit code 1 if there are any",
    ),
    "plan": (
        "controllers.kustomization.cli.build",
        "show everything that an apply would do; exit code 1 if anything changes",
    ),
    "get": ("controllers.commands.get", "list the objects of every controller, failing ones first"),
    "tree": ("controllers.commands.get", "show a Kustomization, its source and its objects with their health"),
    "trace": ("controllers.commands.why", "trace an object to its Kustomization, revision, commit and author"),
    "why": ("controllers.commands.why", "explain why an object is not healthy; exit code 1 if it is not"),
    "reconcile": ("controllers.commands.reconcile", "trigger a reconciliation and wait for it to finish"),
    "suspend": ("controllers.commands.reconcile", "suspend reconciliation of an object; not resumed automatically"),
    "resume": ("controllers.commands.reconcile", "resume a suspended object"),
    "drift": ("controllers.kustomization.cli.drift", "list, show and release drifted fields that are retained"),
}
"""Command → the module whose `add(subparsers)` adds its parser, imported when the command runs; its line of help."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit code: 0 done, 1 failed, 2 wrong usage."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words[:1] == ["run"]:  # its flags are the settings' own
        return _run(words[1:])
    parser = _parser()
    given = parser.parse_args(words)
    if not hasattr(given, "run"):
        parser.print_help()
        return 2
    run: Callable[[argparse.Namespace], int] = given.run
    return run(given)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="inhaul", description="Secrets and image automation for GitOps on EKS: one suite, upstream's resources."
    )
    parser.add_argument("--version", action="version", version=f"inhaul {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")

    commands.add_parser("run", help="run controllers in this process")

    demo = commands.add_parser("demo", help="run the demo on an embedded cluster and cloud; for trying only")
    demo.add_argument("--keep", action="store_true", help="keep running afterwards and print how to connect")
    demo.add_argument("--json", action="store_true", help="print the result as one JSON object")
    demo.set_defaults(run=_demo)

    crds = commands.add_parser("crds", help="print the CustomResourceDefinitions as YAML")
    crds.set_defaults(run=_crds)
    for name, (module, text) in COMMANDS.items():
        add_lazy(commands, name, module, text)
    return parser


def _run(words: Sequence[str]) -> int:
    from .runtime.settings import Settings, SettingsError

    modules = {name: importlib.import_module(module) for name, module in CONTROLLERS.items()}
    groups = list(dict.fromkeys(group for module in modules.values() for group in getattr(module, "SETTINGS", ())))
    parser = argparse.ArgumentParser(prog="inhaul run")
    Settings.add_arguments(parser, *groups)
    options = parser.parse_args(words)
    try:
        settings = Settings.from_args(options)
        for group in groups:
            settings.group(group)
    except SettingsError as error:
        print(f"inhaul run: {error}", file=sys.stderr)
        return 2
    wanted = list(CONTROLLERS) if settings.controllers in ((), ("all",)) else list(settings.controllers)
    if unknown := sorted(set(wanted) - set(CONTROLLERS)):
        print(
            f"inhaul run: --controllers: found {', '.join(unknown)}, expected all or some of {', '.join(CONTROLLERS)}",
            file=sys.stderr,
        )
        return 2
    return _run_manager(settings, [modules[name] for name in wanted])


def _run_manager(settings: Settings, modules: Sequence[Any]) -> int:
    import asyncio

    from .runtime.kube import ConfigError
    from .runtime.leadership.elections import LeadershipLostError
    from .runtime.leadership.startup import UpstreamRunningError
    from .runtime.logging import configure
    from .runtime.manager import Manager

    configure(settings.log)

    async def work() -> None:
        manager = Manager(settings)
        for module in modules:
            module.register(manager)
        await manager.run()

    try:
        asyncio.run(work())
    except (ConfigError, LeadershipLostError, UpstreamRunningError, OSError) as error:
        print(f"inhaul run: {error}", file=sys.stderr)
        return 1
    return 0


def _demo(given: argparse.Namespace) -> int:
    try:
        from .standin.demo.run import main as demo
    except ModuleNotFoundError as error:
        print(f"inhaul demo: {error.name} is not installed; pip install 'inhaul[demo]'", file=sys.stderr)
        return 1
    return demo(keep=given.keep, json_output=given.json)


def _crds(given: argparse.Namespace) -> int:
    import yaml

    from .api.crdgen import crds

    print(yaml.safe_dump_all(crds(), sort_keys=False), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
