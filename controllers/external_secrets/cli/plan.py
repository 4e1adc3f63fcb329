"""`inhaul secrets plan`: calls and dollars per month, and the IAM policies, of ExternalSecrets in files. Offline."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from controllers.api.base import parse
from controllers.api.duration import format_duration
from controllers.api.external_secrets import ExternalSecretSpec
from controllers.api.plural import counted
from controllers.api.resource import Manifest
from controllers.external_secrets.events import version_diff as sweep
from controllers.external_secrets.providers.reads import PlannedRead, PlannedSource
from controllers.external_secrets.providers.registry import store_provider
from controllers.external_secrets.values.entries import StoreRef, plan, store_refs
from controllers.external_secrets.values.validate import validate
from controllers.runtime.cli.command import OK, CommandError, guarded, output_flag, show, table

from .common import EXPECTED, Files, namespace_flag, read_files, title, views
from .forecast import Forecast, forecast, reads_of, roles_of, sweep_line
from .iam import policies


def add(commands: Any) -> None:
    parser = commands.add_parser(
        "plan", help="estimate AWS calls and cost per month, and print the IAM policies; offline"
    )
    parser.add_argument("-f", "--files", required=True, help="file or directory with ExternalSecrets and their stores")
    parser.add_argument(
        "--account", default="", help="AWS account of the secrets (default: the account of the reading role)"
    )
    parser.add_argument(
        "--kms-key", action="append", default=[], metavar="ARN", help="KMS key that encrypts them; can be repeated"
    )
    parser.add_argument(
        "--matches", type=int, default=20, help="number of secrets that each find matches (default: 20)"
    )
    parser.add_argument(
        "--paid-parameters", action="store_true", help="Parameter Store with higher throughput, or the advanced tier"
    )
    parser.add_argument("--iam", action="store_true", help="print only the policies, as JSON by role")
    namespace_flag(parser)
    output_flag(parser)
    parser.set_defaults(run=guarded(_run, *EXPECTED))


@dataclass(frozen=True, slots=True)
class Plan:
    """What the files ask for."""

    forecast: Forecast
    policies: Mapping[str, Mapping[str, Any]]
    owners: int


def _run(given: argparse.Namespace) -> int:
    files = read_files(given.files, namespace=given.namespace or "default")
    made = plan_of(files, account=given.account, kms_keys=given.kms_key, matches=given.matches)
    if given.iam:
        print(json.dumps(made.policies, indent=2))
        return OK
    show(given, as_json(made, paid=given.paid_parameters), lambda: as_text(made, paid=given.paid_parameters))
    return OK


def plan_of(files: Files, *, account: str = "", kms_keys: list[str] | None = None, matches: int = 20) -> Plan:
    """Pure. Raises CommandError, SpecError, InvalidSpecError."""
    notes: list[str] = []
    secrets = [*files.of_kind("ExternalSecret"), *_of_clusters(files, notes)]
    if not secrets:
        raise CommandError("found no ExternalSecret in the files")
    accounts = roles_of(files.of_kind("ServiceAccount"))
    reads: list[PlannedRead] = []
    swept: dict[PlannedSource, float] = {}
    for manifest in secrets:
        reads += _reads(files, manifest, accounts, swept, notes)
    lines = forecast(reads, matches=matches)
    for source, interval in sorted(swept.items()):
        keys = {read.key for read in reads if read.source == source and read.key is not None}
        lines.append(sweep_line(source, interval, len(keys)))
    if any(read.find is not None for read in reads):
        notes.append(f"each find is assumed to match {counted(matches, 'secret')} (--matches)")
    granted = policies(reads, account=account, kms_keys=kms_keys or [], swept=swept)
    return Plan(Forecast(tuple(lines), tuple(dict.fromkeys(notes))), granted, len(secrets))


def _of_clusters(files: Files, notes: list[str]) -> list[Manifest]:
    """What a ClusterExternalSecret makes in each namespace that it names."""
    out = []
    for manifest in files.of_kind("ClusterExternalSecret"):
        spec = manifest.get("spec") or {}
        namespaces = [str(name) for name in spec.get("namespaces") or []]
        if not namespaces:
            notes.append(
                f"ClusterExternalSecret {title(manifest)}: counted for one namespace; "
                "its selectors decide how many there are"
            )
        name = spec.get("externalSecretName") or manifest["metadata"]["name"]
        for namespace in namespaces or ["(selected)"]:
            body = spec.get("externalSecretSpec") or {}
            out.append({"metadata": {"namespace": namespace, "name": name}, "spec": body})
    return out


def _reads(
    files: Files, manifest: Manifest, accounts: Mapping[Any, str], swept: dict[PlannedSource, float], notes: list[str]
) -> list[PlannedRead]:
    spec = parse(ExternalSecretSpec, manifest)
    namespace, owner = manifest["metadata"]["namespace"], title(manifest)
    validate(spec)
    refs = store_refs(spec)
    known = views(namespace, refs, lambda ref: files.store(namespace, ref))
    sources: dict[StoreRef, tuple[PlannedSource, str]] = {}
    for ref in refs:
        store = files.store(namespace, ref) or {}
        provider, settings = store_provider(store)
        if (planning := provider.planning) is None:
            notes.append(f"{ref.kind} {ref.name} holds its values: no calls and no permissions")
            continue
        reader = planning.reading_identity(namespace, ref, settings.provider, accounts)
        source = PlannedSource(reader, known[ref].region, provider.name)
        sources[ref] = source, known[ref].prefix
        text = (store["metadata"].get("annotations") or {}).get(sweep.ANNOTATION, "")
        try:
            interval = sweep.interval_of(text, floor=60.0)
        except ValueError as error:
            raise CommandError(f"{ref.kind} {ref.name}: annotation {sweep.ANNOTATION}: {error}") from None
        if interval:
            swept[source] = min(interval, swept.get(source, interval))
    entries = plan(spec, known)
    generators = sum(1 for entry in entries if entry.remote is None and entry.find is None)
    if generators:
        notes.append(f"ExternalSecret {owner}: {generators} from generators, which are not counted")
    try:
        return reads_of(owner, spec, entries, sources)
    except ValueError as error:
        raise CommandError(f"ExternalSecret {owner}: spec.refreshInterval: {error}") from None


# --- output


def as_json(made: Plan, *, paid: bool) -> dict[str, Any]:
    ours, alone = made.forecast.dollars(parameters_paid=paid)
    lines = [
        {
            "reader": line.source.reader.shown,
            "region": line.source.region,
            "service": line.source.service,
            "what": line.what,
            "interval": format_duration(line.interval),
            **{name: value for name, value in asdict(line).items() if name in ("owners", "keys", "finds")},
            "callsPerMonth": round(line.calls),
            "oneCallPerKey": round(line.alone),
        }
        for line in made.forecast.lines
    ]
    return {
        "externalSecrets": made.owners,
        "sources": lines,
        "callsPerMonth": round(made.forecast.calls),
        "oneCallPerKey": round(made.forecast.alone),
        "dollarsPerMonth": round(ours, 2),
        "dollarsPerMonthOneCallPerKey": round(alone, 2),
        "notes": list(made.forecast.notes),
        "policies": made.policies,
    }


def as_text(made: Plan, *, paid: bool) -> str:
    head = ["reader", "region", "service", "what", "interval", "keys", "calls/month", "one per key"]
    rows = [head]
    for line in made.forecast.lines:
        every = format_duration(line.interval) if line.interval else "on change"
        keys = f"{line.keys}" + (f" +{line.finds} find" if line.finds else "")
        where = [line.source.reader.shown, line.source.region, line.source.service, line.what, every]
        rows.append([*where, keys, f"{line.calls:,.0f}", f"{line.alone:,.0f}" if line.what == "refresh" else "-"])
    total = ["total", "", "", "", "", "", f"{made.forecast.calls:,.0f}", f"{made.forecast.alone:,.0f}"]
    ours, alone = made.forecast.dollars(parameters_paid=paid)
    rows += [total, ["dollars", "", "", "", "", "", f"{ours:,.2f}", f"{alone:,.2f}"]]
    parts = [f"{made.owners} ExternalSecrets", "", table(rows, right=(6, 7))]
    parts += [f"note: {note}" for note in made.forecast.notes]
    for name, policy in made.policies.items():
        parts += ["", f"IAM policy of {name}:", _policy_text(policy)]
    return "\n".join(parts)


def _policy_text(policy: Mapping[str, Any]) -> str:
    """JSON too, a statement a line."""
    lines = ",\n".join(f"    {json.dumps(statement)}" for statement in policy["Statement"])
    return f'{{\n  "Version": "{policy["Version"]}",\n  "Statement": [\n{lines}\n  ]\n}}'
