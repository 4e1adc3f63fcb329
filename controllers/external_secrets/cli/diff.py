"""`inhaul secrets diff`: ExternalSecrets of a file against the cluster: the objects, and the Secrets they would make.

Values are never shown. They are compared only where the caller gives them (`--with`) or lets them be read with his own
AWS credentials (`--fetch`); without either, names of keys, type and metadata are.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from controllers.api.core import CONFIGMAPS, SECRETS, secret_data
from controllers.api.external_secrets import EXTERNAL_SECRETS
from controllers.api.resource import Manifest
from controllers.external_secrets.target.diff import Difference, of_objects, of_secrets, of_shapes
from controllers.external_secrets.target.observed import target_key
from controllers.runtime.cli.command import (
    DIFFERENT,
    OK,
    CommandError,
    Session,
    cluster_flags,
    output_flag,
    serve,
    show,
)
from controllers.runtime.kube import ApiError, Forbidden, KubeClient, NotFound

from .common import EXPECTED, Files, external_secrets, read_files, title, views
from .explain import live_stores
from .offline import Lookup, Values, made_of, make, named_templates
from .render import engine, values_file


def add(commands: Any) -> None:
    parser = commands.add_parser("diff", help="compare ExternalSecrets in a file with the cluster; values are masked")
    parser.add_argument("-f", "--file", required=True, help="file or directory with ExternalSecrets (- for stdin)")
    source = parser.add_mutually_exclusive_group()
    source.add_argument(
        "--with", dest="values", metavar="VALUES", help="compare values too: YAML map, name at AWS → value"
    )
    source.add_argument(
        "--fetch", action="store_true", help="compare values too: read AWS now, with your own credentials"
    )
    cluster_flags(parser)
    output_flag(parser)
    parser.set_defaults(run=serve(_run, *EXPECTED))


async def _run(session: Session, given: argparse.Namespace) -> int:
    files = read_files(given.file, namespace=session.namespace)
    values = values_file(given.values) if given.values else None
    found = []
    for manifest in external_secrets(files):
        differences = await _object(session.kube, manifest)
        differences += await _secret(session.kube, files, manifest, values, fetch=given.fetch)
        found.append((title(manifest), differences))
    document = [{"externalSecret": name, "differences": [each.as_json() for each in all_]} for name, all_ in found]
    show(given, document, lambda: as_text(found))
    return DIFFERENT if any(each.real for _, all_ in found for each in all_) else OK


def as_text(found: list[tuple[str, list[Difference]]]) -> str:
    lines = []
    for name, differences in found:
        lines.append(name if differences else f"{name}: no difference")
        lines += [f"  {each}" for each in differences]
    return "\n".join(lines)


async def _object(kube: KubeClient, manifest: Manifest) -> list[Difference]:
    """The ExternalSecret itself, with the defaults of the API server where it may be asked."""
    meta = manifest["metadata"]
    try:
        live = await kube.get(EXTERNAL_SECRETS, meta["name"], meta["namespace"])
    except NotFound:
        return [Difference("ExternalSecret", "", "would be created")]
    kept = {name: live["metadata"].get(name) for name in ("uid", "resourceVersion", "finalizers", "ownerReferences")}
    body = {**manifest, "metadata": {**meta, **{name: value for name, value in kept.items() if value}}}
    body.pop("status", None)
    try:
        wanted = await kube.dry_run().replace(EXTERNAL_SECRETS, body)
    except Forbidden:
        wanted = manifest  # without the right to update: as it stands in the file
    except ApiError as error:
        raise CommandError(f"ExternalSecret {title(manifest)} would be refused: {error.message}") from None
    return of_objects(live, wanted)


async def _secret(
    kube: KubeClient, files: Files, manifest: Manifest, values: Values | None, *, fetch: bool
) -> list[Difference]:
    stores = {**await live_stores(kube, manifest)}
    namespace = manifest["metadata"]["namespace"]
    for ref in stores:
        stores[ref] = files.store(namespace, ref) or stores[ref]
    known = views(namespace, stores, stores.get)
    key = target_key(manifest)
    try:
        live = await kube.get(SECRETS, key.name, key.namespace)
    except NotFound:
        live = None
    lookup = await _lookup(kube, files, manifest)
    if values is None and not fetch:
        return of_shapes(manifest, live)
    if values is not None:
        made = make(manifest, known, values, lookup, engine())
    else:
        from .fetch import fetched

        made = made_of(manifest, await fetched(kube, manifest, known, stores), lookup, engine())
    if made.wanted is None:
        return [Difference(f"Secret {key.name}", "", made.why)]
    return of_secrets(manifest, live, made.wanted, secret_data(live) if live else {})


async def _lookup(kube: KubeClient, files: Files, manifest: Manifest) -> Lookup:
    """What templateFrom names: of the files first, else of the cluster."""
    namespace = manifest["metadata"]["namespace"]
    found: dict[tuple[str, str], Manifest] = {}
    for kind, name in named_templates(manifest):
        here = files.get(kind, namespace, name)
        try:
            resource = CONFIGMAPS if kind == "ConfigMap" else SECRETS
            found[kind, name] = here if here is not None else await kube.get(resource, name, namespace)
        except NotFound:
            continue
    return _Found(found)


class _Found:
    """A Lookup over what was read before."""

    def __init__(self, found: Mapping[tuple[str, str], Manifest]) -> None:
        self._found = found

    def __call__(self, kind: str, name: str) -> Manifest | None:
        return self._found.get((kind, name))
