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

from controllers.api.external_secrets import ExternalSecretSpec
from controllers.api.resource import Key, Manifest
from controllers.aws.identity import ROLE_ANNOTATION
from controllers.external_secrets.fetch.demand import AHEAD
from controllers.external_secrets.providers.reads import PlannedRead, PlannedSource
from controllers.external_secrets.providers.registry import planning_of
from controllers.external_secrets.values import schedule
from controllers.external_secrets.values.entries import Entry, StoreRef
from controllers.external_secrets.values.remote_key import RemoteKey

MONTH = 730 * 3600.0
"""Seconds of a month, as AWS's calculators count it."""
EARLY = 1 - AHEAD / 2
"""The mean share of its interval after which a refresh comes: phases lie between 0 and 10 % before it."""


@dataclass(frozen=True, slots=True)
class ForecastLine:
    """What one source is asked at one interval. Calls are per month; `alone`: one call per key."""

    source: PlannedSource
    interval: float
    owners: int
    keys: int
    finds: int
    calls: float
    alone: float
    values: float  # read per month
    what: str = "refresh"

    def dollars(self, calls: float, values: float, *, parameters_paid: bool) -> float:
        return planning_of(self.source.service).dollars(calls, values, parameters_paid=parameters_paid)


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
    owner: str,
    spec: ExternalSecretSpec,
    entries: Sequence[Entry],
    sources: Mapping[StoreRef, tuple[PlannedSource, str]],
) -> list[PlannedRead]:
    """What one ExternalSecret reads. `sources`: source and prefix of each store that is called. Raises
    ValueError for a bad interval."""
    interval = schedule.interval_of(spec) if spec.refresh_policy == "Periodic" else 0.0
    out = []
    for entry in entries:
        if entry.store not in sources or (entry.remote is None and entry.find is None):
            continue  # a store that holds its values; a generator
        source, prefix = sources[entry.store]
        out.append(PlannedRead(source, owner, entry.where, max(0.0, interval), entry.remote, entry.find, prefix))
    return out


def forecast(reads: Iterable[PlannedRead], *, matches: int = 20) -> list[ForecastLine]:
    """A line for each source and interval, the busiest first. `matches`: how many secrets a find finds."""
    groups: dict[tuple[PlannedSource, float], list[PlannedRead]] = defaultdict(list)
    for read in reads:
        groups[read.source, read.interval].append(read)
    lines = [_line(source, interval, group, matches) for (source, interval), group in groups.items()]
    return sorted(lines, key=lambda line: (-line.calls, line.source, line.interval))


def _line(source: PlannedSource, interval: float, reads: Sequence[PlannedRead], matches: int) -> ForecastLine:
    provider, owners = planning_of(source.service), defaultdict[RemoteKey, set[str]](set)
    for read in reads:
        if read.key is not None:
            owners[read.key].add(read.owner)
    fetched = {key: _fetches(len(group)) for key, group in owners.items()}
    finds = [read for read in reads if read.find is not None]
    found = [provider.find_calls(read.find or {}, prefix=read.prefix, matches=matches) for read in finds]
    singles = sum(times for key, times in fetched.items() if key.pinned)
    calls = _batches(owners, fetched, provider.batch_size) + singles + sum(each.batched for each in found)
    asked = [(read.owner, read.key) for read in reads if read.key is not None]
    alone = provider.single_calls(asked) + sum(each.single for each in found)
    often = MONTH / interval if interval else 0.0
    return ForecastLine(
        source,
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


def sweep_line(source: PlannedSource, interval: float, keys: int) -> ForecastLine:
    """A version sweep of one source: lists of names, at least one page."""
    calls = max(1, math.ceil(keys / planning_of(source.service).list_page)) * MONTH / interval
    return ForecastLine(source, interval, 0, keys, 0, calls, 0.0, 0.0, what="sweep")
