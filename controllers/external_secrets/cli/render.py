"""`inhaul secrets render`: the Secret that an ExternalSecret would make of values in a file. Offline."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from controllers.api.base import parse
from controllers.api.external_secrets import ExternalSecretSpec
from controllers.api.resource import Manifest
from controllers.external_secrets.providers.registry import DEFAULT
from controllers.external_secrets.target.desired import DATA_HASH, METADATA_HASH
from controllers.external_secrets.target.desired import manifest as secret_manifest
from controllers.external_secrets.target.template import Engine, check_names
from controllers.external_secrets.values.entries import StoreRef, StoreView, store_refs
from controllers.runtime.cli.command import DIFFERENT, OK, CommandError, guarded, output_flag
from controllers.templating import EXTERNAL_SECRETS as FUNCTIONS
from controllers.templating import Chance, with_chance

from .common import EXPECTED, Files, external_secrets, namespace_flag, read_files, title, views
from .offline import Values, make, read_values


def add(commands: Any) -> None:
    parser = commands.add_parser("render", help="render the Secret from values that you supply; offline")
    parser.add_argument("-f", "--file", required=True, help="file or directory with ExternalSecrets (- for stdin)")
    parser.add_argument("--with", dest="values", metavar="VALUES", help="YAML map: name at AWS → value")
    parser.add_argument("--name", default="", help="only the ExternalSecret of this name")
    namespace_flag(parser)
    output_flag(parser)
    parser.set_defaults(run=guarded(_run, *EXPECTED))


def engine() -> Engine:
    """Templates as the controller runs them."""
    return Engine(with_chance(FUNCTIONS, Chance(random=os.urandom, now=lambda: datetime.now(UTC))))


def values_file(path: str) -> Values:
    """Raises CommandError, OSError."""
    try:
        return read_values(path, Path(path).read_text())
    except UnicodeDecodeError:
        raise CommandError(f"{path}: expected text in UTF-8") from None


def stores_or_default(files: Files, manifest: Manifest) -> dict[StoreRef, StoreView]:
    """Stores that stand in the files; for the rest Secrets Manager without prefix, which the caller says."""
    namespace, refs = manifest["metadata"]["namespace"], store_refs(parse(ExternalSecretSpec, manifest))
    present = [ref for ref in refs if files.store(namespace, ref) is not None]
    found = views(namespace, present, lambda ref: files.store(namespace, ref))
    return {ref: found.get(ref) or StoreView(ref, DEFAULT) for ref in refs}


def _run(given: argparse.Namespace) -> int:
    files = read_files(given.file, namespace=given.namespace or "default")
    values, failed, out = values_file(given.values) if given.values else None, False, []
    for manifest in external_secrets(files):
        if given.name and manifest["metadata"]["name"] != given.name:
            continue
        namespace = manifest["metadata"]["namespace"]
        stores = stores_or_default(files, manifest)
        for ref in stores:
            if files.store(namespace, ref) is None:
                print(
                    f"{ref.kind} {ref.name} is not in the files: assuming Secrets Manager without a prefix",
                    file=sys.stderr,
                )
        made = make(manifest, stores, _needed(manifest, stores, values), partial(_here, files, namespace), engine())
        for where, error in [*made.resolved.failed, *made.resolved.missing]:
            print(f"{title(manifest)}: {where}: {error.error_class}: {error.message}", file=sys.stderr)
        failed = failed or bool(made.resolved.failed)
        if made.wanted is None:
            failed = True
            if not (made.resolved.failed or made.resolved.missing):
                print(f"{title(manifest)}: {made.why}", file=sys.stderr)
            continue
        check_names(made.rendered, made.rendered.data)
        out.append(shown(secret_manifest(made.wanted), made.wanted.data))
    if not out and not failed:
        raise CommandError(f"found no ExternalSecret {given.name}")
    if given.output == "json":
        print(json.dumps(out, indent=2))
    elif out:
        print(yaml.safe_dump_all(out, sort_keys=False, allow_unicode=True), end="")
    return DIFFERENT if failed else OK


def _needed(manifest: Manifest, stores: Mapping[StoreRef, StoreView], values: Values | None) -> Values:
    """The given values; none are needed where all stores hold their own. Raises CommandError."""
    called = next((ref for ref, view in stores.items() if view.local is None), None)
    if values is None and called is not None:
        raise CommandError(
            f"{title(manifest)}: found no values of {called.kind} {called.name}, expected --with VALUES, "
            "a YAML map of names to values"
        )
    return values if values is not None else Values({})


def _here(files: Files, namespace: str, kind: str, name: str) -> Manifest | None:
    return files.get(kind, namespace, name)


def shown(secret: Manifest, data: Any) -> Manifest:
    """With text as stringData, so that it can be read; bytes stay in data. Without what only a cluster gives."""
    texts, coded = {}, {}
    for key, value in data.items():
        try:
            texts[key] = value.decode()
        except UnicodeDecodeError:
            coded[key] = secret["data"][key]
    meta = {name: value for name, value in secret["metadata"].items() if name != "ownerReferences" and value}
    kept = {key: text for key, text in meta.get("annotations", {}).items() if key not in (DATA_HASH, METADATA_HASH)}
    meta = {
        **{name: value for name, value in meta.items() if name != "annotations"},
        **({"annotations": kept} if kept else {}),
    }
    body = {name: value for name, value in secret.items() if name not in ("data", "metadata")}
    parts = {**({"data": coded} if coded else {}), **({"stringData": texts} if texts else {})}
    return {"apiVersion": body.pop("apiVersion"), "kind": body.pop("kind"), "metadata": meta, **body, **parts}
