"""Every setting of the runtime, in small frozen groups, read once at start from flags and the environment.

A field `request` of the group `kube` is the flag `--kube-request` and the variable `INHAUL_KUBE_REQUEST`; a flag wins.
Each field has its default, its unit and its reason in one place, which is also its `--help`. A value that does not
parse stops the start with the flag's name, what was found and what was expected. Rooms above keep their own options the
same way: a frozen dataclass with a `prefix`, read by `settings.group(ThatClass)`.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar, cast

Group = TypeVar("Group")


class SettingsError(Exception):
    """A flag or variable that cannot be used: which, what was found, what was expected."""


def setting(default: Any, help: str, *, choices: tuple[str, ...] = ()) -> Any:
    """A field of a group: its default, and its unit and reason as help text."""
    return field(default=default, metadata={"help": help, "choices": choices})


@dataclass(frozen=True, slots=True)
class KubeSettings:
    prefix: ClassVar[str] = "kube"
    config: str = setting("", "kubeconfig file; empty: $KUBECONFIG, the Pod's service account, ~/.kube/config")
    context: str = setting("", "context of the kubeconfig; empty: its current one")
    connections: int = setting(
        32, "concurrent connections for API calls; more only moves the queue into the API server"
    )
    connect: float = setting(
        5.0, "connect timeout, seconds; shorter than the request timeout, so that a dead address fails first"
    )
    request: float = setting(30.0, "request timeout, seconds; the API server itself gives up after 60")
    silence: float = setting(
        90.0, "seconds without an event or bookmark after which a watch is restarted; bookmarks come every 60"
    )


@dataclass(frozen=True, slots=True)
class WatchSettings:
    prefix: ClassVar[str] = "watch"
    timeout: float = setting(300.0, "timeout of a watch on the server, seconds; API servers use 300 to 600 by default")
    page: int = setting(500, "objects per page of a list; the same as kubectl")
    resync: float = setting(600.0, "seconds between two metadata lists that detect missed events")
    stale: float = setting(
        180.0, "seconds without an event or bookmark of a watched kind after which the liveness probe fails"
    )
    namespace: str = setting("", "watch only this namespace; empty: the whole cluster")


@dataclass(frozen=True, slots=True)
class QueueSettings:
    prefix: ClassVar[str] = "queue"
    concurrent: int = setting(0, "concurrent reconciliations per kind; 0: the default of each controller")
    backoff: float = setting(1.0, "seconds before the first retry; doubled after each failure")
    backoff_cap: float = setting(600.0, "maximum seconds between retries")


@dataclass(frozen=True, slots=True)
class LeaseSettings:
    prefix: ClassVar[str] = "lease"
    enabled: bool = setting(True, "use leader election; without it two replicas would both write")
    namespace: str = setting("", "namespace of the Leases; empty: the controller's namespace")
    identity: str = setting("", "identity of the holder; empty: the host name, which is the Pod's name")
    duration: float = setting(8.0, "duration of a Lease, seconds: the longest gap during a failover")
    deadline: float = setting(5.0, "renew deadline, seconds: a leader that missed it exits")
    retry: float = setting(1.0, "seconds between renewals, and between a standby's attempts")


@dataclass(frozen=True, slots=True)
class WebSettings:
    prefix: ClassVar[str] = "web"
    host: str = setting(
        "0.0.0.0",  # noqa: S104
        "listen address of health checks, metrics and webhooks; the kubelet calls the Pod's address",
    )
    port: int = setting(8080, "listen port; 0: any free port, -1: no web server")


@dataclass(frozen=True, slots=True)
class EgressSettings:
    prefix: ClassVar[str] = "egress"
    allow_loopback: bool = setting(False, "allow outgoing calls to loopback addresses; only for tests and the demo")
    allow_private: bool = setting(
        True, "allow outgoing calls to private addresses, where in-house registries and Git hosts are"
    )


@dataclass(frozen=True, slots=True)
class PoolSettings:
    prefix: ClassVar[str] = "pool"
    aws: int = setting(16, "threads for AWS calls, which mostly wait")
    git: int = setting(4, "threads for Git; each may run a git process")
    crypto: int = setting(2, "threads for decryption; more than the number of cores gains nothing")
    other: int = setting(4, "threads for each other outside system")


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    prefix: ClassVar[str] = "worker"
    processes: int = setting(2, "worker processes for heavy work, each about 40 MiB when idle")
    memory: int = setting(512, "MiB of address space that a worker process may use beyond what it starts with")
    timeout: float = setting(10.0, "seconds that one task may take before its process is killed")


@dataclass(frozen=True, slots=True)
class LogSettings:
    prefix: ClassVar[str] = "log"
    level: str = setting("info", "minimum log level", choices=("debug", "info", "warning", "error"))
    format: str = setting("json", "json: one object per line; text: for a terminal", choices=("json", "text"))


@dataclass(frozen=True, slots=True)
class ClaimSettings:
    prefix: ClassVar[str] = "claim"
    mode: str = setting(
        "all", "which objects to reconcile: all, or only those that select this controller", choices=("all", "labelled")
    )
    name: str = setting(
        "inhaul", "the name by which objects select this controller (sharding.fluxcd.io/key, spec.controller)"
    )
    sources: str = setting(
        "own",
        "own: reconcile GitRepositories; read: use the artifacts of a running source-controller",
        choices=("own", "read"),
    )


_GROUPS: dict[str, type] = {
    group.prefix: group
    for group in (
        KubeSettings,
        WatchSettings,
        QueueSettings,
        LeaseSettings,
        WebSettings,
        EgressSettings,
        PoolSettings,
        WorkerSettings,
        LogSettings,
        ClaimSettings,
    )
}


@dataclass(frozen=True, slots=True)
class Settings:
    """All groups, the controllers to run, and our own namespace (empty: the kube config's)."""

    controllers: tuple[str, ...] = ()
    namespace: str = ""
    kube: KubeSettings = KubeSettings()
    watch: WatchSettings = WatchSettings()
    queue: QueueSettings = QueueSettings()
    lease: LeaseSettings = LeaseSettings()
    web: WebSettings = WebSettings()
    egress: EgressSettings = EgressSettings()
    pool: PoolSettings = PoolSettings()
    worker: WorkerSettings = WorkerSettings()
    log: LogSettings = LogSettings()
    claim: ClaimSettings = ClaimSettings()
    given: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Raw values by name (`kube-request`), for the groups of other rooms."""

    @staticmethod
    def add_arguments(parser: argparse.ArgumentParser, *groups: type) -> None:
        """The flags of these groups (and of the runtime's own)."""
        parser.add_argument(
            "--controllers", metavar="NAMES", help="controllers to run, separated by commas (default: all)"
        )
        parser.add_argument(
            "--namespace", metavar="NAME", help="the controller's namespace; default: that of the Pod or kubeconfig"
        )
        parser.add_argument(
            "--claim", dest="claim-mode", choices=("all", "labelled"), help="short form of --claim-mode"
        )
        parser.add_argument(
            "--sources", dest="claim-sources", choices=("own", "read"), help="short form of --claim-sources"
        )
        for group in (*_GROUPS.values(), *groups):
            section = parser.add_argument_group(cast(Any, group).prefix)
            for item in dataclasses.fields(group):
                name = _name(group, item)
                text = f"{item.metadata.get('help', '')} (default: {item.default})".replace("%", "%%")
                section.add_argument(f"--{name}", dest=name, metavar=item.name.upper(), help=text)

    @classmethod
    def from_args(
        cls, arguments: argparse.Namespace | Sequence[str] = (), environ: Mapping[str, str] = os.environ
    ) -> Settings:
        """From a parsed namespace of `add_arguments`, or from flags as they stand. Raises SettingsError."""
        if not isinstance(arguments, argparse.Namespace):
            parser = argparse.ArgumentParser(prog="inhaul run", exit_on_error=False)
            cls.add_arguments(parser)
            try:
                arguments = parser.parse_args(list(arguments))
            except argparse.ArgumentError as error:
                raise SettingsError(str(error)) from None
        given = {
            name.removeprefix("INHAUL_").lower().replace("_", "-"): value
            for name, value in environ.items()
            if name.startswith("INHAUL_")
        }
        given |= {name: str(value) for name, value in vars(arguments).items() if value is not None}
        names = tuple(part.strip() for part in given.get("controllers", "").split(",") if part.strip())
        groups: dict[str, Any] = {prefix: read_group(group, given) for prefix, group in _GROUPS.items()}
        return cls(names, given.get("namespace", ""), **groups, given=given)

    def group(self, group: type[Group]) -> Group:
        """The options of another room: a frozen dataclass with a `prefix`. Raises SettingsError."""
        return read_group(group, self.given)


def default_identity() -> str:
    """Who we are as a lease's holder: the host's name, and the process where two share one."""
    return f"{socket.gethostname()}_{os.getpid()}"


def read_group(group: type[Group], given: Mapping[str, str]) -> Group:
    values = {}
    for item in dataclasses.fields(cast(Any, group)):
        name = _name(group, item)
        if name in given:
            values[item.name] = _parse(name, given[name], item)
    return group(**values)


def _name(group: type, item: dataclasses.Field[Any]) -> str:
    return f"{cast(Any, group).prefix}-{item.name.replace('_', '-')}"


def _parse(name: str, text: str, item: dataclasses.Field[Any]) -> Any:
    choices = item.metadata.get("choices") or ()
    if choices and text not in choices:
        raise SettingsError(f"--{name}: found {text!r}, expected one of {', '.join(choices)}")
    if isinstance(item.default, bool):
        if text.lower() not in ("true", "false", "1", "0"):
            raise SettingsError(f"--{name}: found {text!r}, expected true or false")
        return text.lower() in ("true", "1")
    if isinstance(item.default, tuple):
        return tuple(part.strip() for part in text.split(",") if part.strip())
    for kind, expected in ((int, "a whole number"), (float, "a number")):
        if isinstance(item.default, kind):
            try:
                return kind(text)
            except ValueError:
                raise SettingsError(f"--{name}: found {text!r}, expected {expected}") from None
    return text
