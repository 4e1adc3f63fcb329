"""What refreshes ask of AWS in a month, and what that costs; beside one call per key, as upstream fetches. Pure.

The arithmetic is the coalescer's: keys of one source (identity, region, service) that are due within a tenth of their
interval share a batch, pinned versions and tags go singly, a find lists and then reads in batches. What new and
announced refreshes fetch in between comes on top. Prices are AWS's list prices of us-east-1 and most
regions; give yours where they differ.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from controllers.api.external_secrets import ExternalSecretSpec
from controllers.api.resource import Key, Manifest
from controllers.api.secret_stores import AWSProvider
from controllers.aws.identity import ROLE_ANNOTATION
from controllers.external_secrets.fetch.coalescer import LIMITS
from controllers.external_secrets.fetch.demand import AHEAD
from controllers.external_secrets.values import schedule
from controllers.external_secrets.values.entries import Entry, StoreRef
from controllers.external_secrets.values.find import list_call
from controllers.external_secrets.values.remote_key import RemoteKey, Service

MONTH = 730 * 3600.0
"""Seconds of a month, as AWS's calculators count it."""
EARLY = 1 - AHEAD / 2
"""The mean share of its interval after which a refresh comes: phases lie between 0 and 10 % before it."""
PER_CALL = 0.05 / 10_000
"""Dollars for a call of Secrets Manager, and for a parameter read with higher throughput or of the advanced tier."""
_LISTED = {"ListSecrets": 100, "BatchGetSecretValue": 100, "DescribeParameters": 50, "GetParametersByPath": 10}
"""Entries on one page of the call that a find begins with (finds of Secrets Manager begin with ListSecrets)."""


@dataclass(frozen=True, slots=True, order=True)
class Who:
    """Who reads. `role` is the role that does ("" where files do not tell), `chain` those on the way to it.
    `federated`: the first of these is the service account's own, which its token assumes; else `base` assumes it."""

    base: str
    chain: tuple[str, ...] = ()
    role: str = ""
    federated: bool = False
    tags: tuple[tuple[str, str], ...] = ()

    @property
    def shown(self) -> str:
        name = self.role or self.base
        return f"{name} [{', '.join(f'{key}={value}' for key, value in self.tags)}]" if self.tags else name


class Spot(NamedTuple):
    """A source, as far as files tell: what batches and values are shared within."""

    who: Who
    region: str
    service: Service


@dataclass(frozen=True, slots=True)
class Read:
    """One entry of one ExternalSecret: a key, or a find. `interval` in seconds; 0: on change alone."""

    spot: Spot
    owner: str
    where: str
    interval: float
    key: RemoteKey | None = None
    find: Mapping[str, Any] | None = None
    prefix: str = ""


@dataclass(frozen=True, slots=True)
class ForecastLine:
    """What one source is asked at one interval. Calls are per month; `alone`: one call per key."""

    spot: Spot
    interval: float
    owners: int
    keys: int
    finds: int
    calls: float
    alone: float
    values: float  # read per month
    what: str = "refresh"

    def dollars(self, calls: float, values: float, *, parameters_paid: bool) -> float:
        """Secrets Manager counts calls; Parameter Store is free, or counts parameters however they are asked for."""
        if self.spot.service == "SecretsManager":
            return calls * PER_CALL
        return values * PER_CALL if parameters_paid else 0.0


@dataclass(frozen=True, slots=True)
class Forecast:
    lines: tuple[ForecastLine, ...] = ()
    notes: tuple[str, ...] = field(default=())

    @property
    def calls(self) -> float:
        return sum(line.calls for line in self.lines)

    @property
    def alone(self) -> float:
        return sum(line.alone for line in self.lines)

    def dollars(self, *, parameters_paid: bool = False) -> tuple[float, float]:
        """Per month: as we fetch, and with one call per key."""
        paid = {"parameters_paid": parameters_paid}
        ours = sum(line.dollars(line.calls, line.values, **paid) for line in self.lines)
        return ours, sum(line.dollars(line.alone, line.alone, **paid) for line in self.lines)


def who_reads(namespace: str, ref: StoreRef, provider: AWSProvider, roles_of: Mapping[Key, str]) -> Who:
    """As whom `namespace` reads through a store. `roles_of`: role by service account, where its manifest is known."""
    roles = (*provider.additional_roles, *([provider.role] if provider.role else []))
    base, first = "the controller's own identity", ""
    if provider.auth.jwt and (account := provider.auth.jwt.service_account_ref):
        home = _home(namespace, ref, account.namespace)
        base, first = f"ServiceAccount {home}/{account.name}", roles_of.get(Key(home, account.name or ""), "")
    elif provider.auth.secret_ref:
        at = provider.auth.secret_ref.access_key_id_secret_ref
        base = f"access key in Secret {_home(namespace, ref, at.namespace)}/{at.name}"
    tags: dict[str, str] = {}
    if provider.role:
        tags = {tag.key: tag.value for tag in provider.session_tags}
        if provider.session_tags_policy != "None":
            tags |= {"esoNamespace": namespace, "esoStoreName": ref.name, "esoStoreKind": ref.kind}
        if provider.session_tags_policy == "Custom":
            tags |= dict(provider.custom_session_tags)
    steps = (first, *roles) if first else roles
    return Who(base, steps[:-1], steps[-1] if steps else "", bool(first), tuple(sorted(tags.items())))


def _home(namespace: str, ref: StoreRef, named: str | None) -> str:
    return named or namespace if ref.kind == "ClusterSecretStore" else namespace


def roles_of(accounts: Iterable[Manifest]) -> dict[Key, str]:
    """Roles by service account, from their annotation."""
    out = {}
    for account in accounts:
        meta = account["metadata"]
        role = (meta.get("annotations") or {}).get(ROLE_ANNOTATION)
        if role:
            out[Key(meta.get("namespace") or "", meta["name"])] = str(role)
    return out


def reads_of(
    owner: str, spec: ExternalSecretSpec, entries: Sequence[Entry], spots: Mapping[StoreRef, tuple[Spot, str]]
) -> list[Read]:
    """What one ExternalSecret reads. `spots`: source and prefix by store. Raises ValueError for a bad interval."""
    interval = schedule.interval_of(spec) if spec.refresh_policy == "Periodic" else 0.0
    out = []
    for entry in entries:
        if entry.remote is None and entry.find is None:
            continue  # a generator
        spot, prefix = spots[entry.store]
        out.append(Read(spot, owner, entry.where, max(0.0, interval), entry.remote, entry.find, prefix))
    return out


def forecast(reads: Iterable[Read], *, matches: int = 20) -> list[ForecastLine]:
    """A line for each source and interval, the busiest first. `matches`: how many secrets a find finds."""
    groups: dict[tuple[Spot, float], list[Read]] = defaultdict(list)
    for read in reads:
        groups[read.spot, read.interval].append(read)
    lines = [_line(spot, interval, group, matches) for (spot, interval), group in groups.items()]
    return sorted(lines, key=lambda line: (-line.calls, line.spot, line.interval))


def _line(spot: Spot, interval: float, reads: Sequence[Read], matches: int) -> ForecastLine:
    owners: dict[RemoteKey, set[str]] = defaultdict(set)
    for read in reads:
        if read.key is not None:
            owners[read.key].add(read.owner)
    fetched = {key: _fetches(len(group)) for key, group in owners.items()}
    finds = [read for read in reads if read.find is not None]
    found = [_find_calls(spot.service, read, matches) for read in finds]
    singles = sum(times for key, times in fetched.items() if key.pinned)
    calls = _batches(owners, fetched, LIMITS[spot.service]) + singles + sum(ours for ours, _ in found)
    alone = _one_by_one(spot.service, reads) + sum(theirs for _, theirs in found)
    often = MONTH / interval if interval else 0.0
    return ForecastLine(
        spot,
        interval,
        owners=len({read.owner for read in reads}),
        keys=len(owners),
        finds=len(finds),
        calls=calls * often / EARLY,
        alone=alone * often,
        values=(sum(fetched.values()) + len(finds) * matches) * often / EARLY,
    )


def _fetches(owners: int) -> float:
    """How often in one interval something is fetched for owners that are due each at a moment of its own.

    A fetch serves who is due within the next tenth, and the next one comes with the first owner after that: later, on
    average, by the `1/owners`th part of the rest of the interval.
    """
    return 1 / (AHEAD + (1 - AHEAD) / owners)


def _batches(owners: Mapping[RemoteKey, set[str]], fetched: Mapping[RemoteKey, float], limit: int) -> float:
    """Calls for current values in one interval. Many keys fill their batches; few do not, and a call comes whenever one
    of all the owners finds nothing that was fetched for it."""
    current = [key for key in owners if not key.pinned]
    if not current:
        return 0.0
    together = len(set().union(*(owners[key] for key in current)))
    return max(math.ceil(sum(fetched[key] for key in current) / limit), _fetches(together))


def _one_by_one(service: Service, reads: Sequence[Read]) -> int:
    """Calls without batches: Secrets Manager one per key of each ExternalSecret, Parameter Store one per entry."""
    asked = [(read.owner, read.key) for read in reads if read.key is not None]
    return len(set(asked)) if service == "SecretsManager" else len(asked)


def _find_calls(service: Service, read: Read, matches: int) -> tuple[int, int]:
    """(ours, one call per key) of one find; that no more is listed than is found, for who knows."""
    operation = list_call(service, read.find or {}, prefix=read.prefix)["op"]
    pages = max(1, math.ceil(matches / _LISTED[operation]))
    if operation == "GetParametersByPath":
        return pages, pages  # the list is the values
    return pages + math.ceil(matches / LIMITS[service]), pages + matches


def sweep_line(spot: Spot, interval: float, keys: int) -> ForecastLine:
    """A version sweep of one source: lists of names, at least one page."""
    page = 100 if spot.service == "SecretsManager" else 50
    calls = max(1, math.ceil(keys / page)) * MONTH / interval
    return ForecastLine(spot, interval, 0, keys, 0, calls, 0.0, 0.0, what="sweep")
