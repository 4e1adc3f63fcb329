"""What commands share: flags, a client, output, and errors as one line.

Exit codes are the same everywhere: 0 done (and nothing wrong, where a command judges), 1 differences or something that
is not well, 2 the question could not be answered.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TextIO, TypeAlias

from controllers.api.base import InvalidSpecError

from ..kube import ApiError, ConfigError, KubeClient, KubeConfig, UnknownKindError

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"

OK, DIFFERENT, FAILED = 0, 1, 2


class CommandError(Exception):
    """The question cannot be answered; the message says why."""


@dataclass(frozen=True, slots=True)
class Session:
    """A client, and the namespace meant where none is named."""

    kube: KubeClient
    namespace: str


def output_flag(parser: argparse.ArgumentParser) -> None:
    """`-o`; `show` reads it."""
    parser.add_argument(
        "-o", "--output", choices=("text", "json"), default="text", help="output format: text (default) or json"
    )


def cluster_flags(parser: argparse.ArgumentParser) -> None:
    """Which cluster, and which namespace there; `serve` reads them."""
    parser.add_argument(
        "--kubeconfig",
        default="",
        help="kubeconfig file (default: $KUBECONFIG, the Pod's service account, ~/.kube/config)",
    )
    parser.add_argument("--context", default="", help="context of the kubeconfig (default: the current context)")
    parser.add_argument("-n", "--namespace", default="", help="namespace (default: the context's)")


def serve(
    work: Callable[[Session, argparse.Namespace], Awaitable[int]], *expected: type[Exception]
) -> Callable[[argparse.Namespace], int]:
    """A command that needs a cluster, as argparse's `run`."""

    async def connected(given: argparse.Namespace) -> int:
        config = KubeConfig.load(given.kubeconfig, given.context)
        async with KubeClient(config) as kube:
            return await work(Session(kube, given.namespace or config.namespace or "default"), given)

    return guarded(lambda given: asyncio.run(connected(given)), *expected)


def guarded(
    work: Callable[[argparse.Namespace], int], *expected: type[Exception]
) -> Callable[[argparse.Namespace], int]:
    """A command, as argparse's `run`: errors that are no bugs become one line and exit code 2.

    `expected` are the room's own; their text is the line.
    """
    plain: tuple[type[Exception], ...] = (CommandError, ConfigError, UnknownKindError, InvalidSpecError, *expected)

    def run(given: argparse.Namespace) -> int:
        try:
            return work(given)
        except plain as error:
            text = str(error)
        except ApiError as error:
            text = f"{error.reason}: {error.message}" if error.reason else error.message
        except BrokenPipeError:  # `| head` has read enough; what is still buffered must not fail at the exit
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return FAILED
        except OSError as error:
            text = str(error)
        except KeyboardInterrupt:
            return 130
        print(f"inhaul: {text}", file=sys.stderr)
        return FAILED

    return run


def show(given: argparse.Namespace, value: Any, text: Callable[[], str], stream: TextIO | None = None) -> None:
    """Prints `value` as JSON, or `text()`."""
    shown = json.dumps(value, indent=2, default=str) if given.output == "json" else text().rstrip("\n")
    if shown:
        print(shown, file=stream or sys.stdout)


def table(rows: Sequence[Sequence[str]], *, right: Iterable[int] = ()) -> str:
    """Columns two spaces apart; those in `right` stand at their right, and the last is not padded."""
    if not rows:
        return ""
    aligned = frozenset(right)
    widths = [max(len(row[index]) for row in rows) for index in range(len(rows[0]))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if index in aligned else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )
