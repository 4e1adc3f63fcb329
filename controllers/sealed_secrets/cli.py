"""`inhaul seal|unseal|reseal`: SealedSecrets without the cluster, by a certificate or a backup of the keys.

Flags and output are kubeseal's where it has them. Nothing is contacted but the URL of a certificate, when one is given.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from controllers.api.plural import counted
from controllers.api.resource import Manifest
from controllers.runtime.cli.files import files_below
from controllers.sops.cli import reported
from controllers.sops.errors import RefusedSyntaxError, SealedError

from .ciphertext import Scope, scope_of, seal_item
from .files import Document, edited, reseal_text
from .keys import SealingKey, SealingKeys, newest
from .seal import parse_backup, public_key_of, seal_secret, secret_values
from .templates import render
from .unseal import unseal

_MAX_INPUT = 16 << 20


def add(commands: Any) -> None:
    seal = commands.add_parser("seal", help="seal Secrets into SealedSecrets offline, like kubeseal")
    seal.add_argument(
        "-f",
        "--secret-file",
        default="-",
        metavar="FILE",
        help="file with Secrets as YAML or JSON (default: standard input)",
    )
    seal.add_argument("--cert", metavar="FILE|URL", help="certificate; default: $SEALED_SECRETS_CERT")
    seal.add_argument("-n", "--namespace", default="", help="namespace of Secrets that have none")
    seal.add_argument(
        "--scope", choices=[scope.value for scope in Scope], help="scope (default: from the Secret's annotations)"
    )
    seal.add_argument("-o", "--format", choices=("json", "yaml"), default="yaml")
    seal.add_argument(
        "-w", "--sealed-secret-file", default="-", metavar="FILE", help="output file (default: standard output)"
    )
    seal.add_argument("--merge-into", metavar="FILE", help="merge the items into this SealedSecret file in place")
    seal.add_argument("--allow-empty-data", action="store_true")
    seal.add_argument("--raw", action="store_true", help="seal one value; needs --name and --from-file")
    seal.add_argument("--name", default="", help="with --raw: the Secret's name")
    seal.add_argument("--from-file", default="", metavar="FILE", help="with --raw: the value; /dev/stdin works")
    seal.set_defaults(run=reported("seal", _seal))

    opened = commands.add_parser("unseal", help="decrypt SealedSecrets with a backup of the sealing keys")
    opened.add_argument("-f", "--sealed-secret-file", default="-", metavar="FILE")
    _add_keys(opened)
    opened.add_argument("-o", "--format", choices=("json", "yaml"), default="yaml")
    opened.set_defaults(run=reported("unseal", _unseal))

    anew = commands.add_parser("reseal", help="re-encrypt sealed files with the newest key; nothing else changes")
    anew.add_argument("paths", nargs="+", metavar="PATH")
    _add_keys(anew)
    anew.add_argument(
        "--check", action="store_true", help="change nothing; exit code 1 if an item is sealed with an older key"
    )
    anew.set_defaults(run=reported("reseal", _reseal))


def _add_keys(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--keys", "--recovery-private-key", action="append", required=True, metavar="FILE",
        help="backup: key Secrets (a List, several documents) or a PEM private key",
    )  # fmt: skip


def _seal(given: argparse.Namespace) -> int:
    key = public_key_of(_certificate(given.cert), datetime.now(UTC))
    scope = Scope(given.scope) if given.scope else None
    if given.raw:
        return _raw(given, key, scope or Scope.STRICT)
    secrets = _objects(_read(given.secret_file), "Secret")
    if given.merge_into:
        if len(secrets) != 1:
            raise SealedError("Invalid", f"--merge-into: expected one Secret, found {len(secrets)}")
        return _merge(Path(given.merge_into), secrets[0], key)
    made = [
        seal_secret(secret, key, scope=scope, namespace=given.namespace, allow_empty=given.allow_empty_data)
        for secret in secrets
    ]
    _write(given.sealed_secret_file, _printed(made, given.format))
    return 0


def _raw(given: argparse.Namespace, key: Any, scope: Scope) -> int:
    if not given.from_file or (not given.name and scope is Scope.STRICT):
        raise SealedError("Invalid", "--raw needs --from-file, and --name with scope strict")
    if not given.namespace and scope is not Scope.CLUSTER_WIDE:
        raise SealedError("Invalid", f"--raw with scope {scope.value} needs --namespace")
    print(seal_item(key, scope.label(given.namespace, given.name), _read(given.from_file)))
    return 0


def _merge(path: Path, secret: Manifest, key: Any) -> int:
    """Items of the Secret under the file's own name, namespace and scope; the rest of the file stays as it is."""
    text, values = path.read_text(), secret_values(secret)
    known: set[str] = set()

    def wanted(document: Document) -> dict[str, str]:
        meta = document.manifest["metadata"]
        label = scope_of(meta.get("annotations")).label(meta.get("namespace", ""), meta["name"])
        known.update(document.items)
        return {name: seal_item(key, label, value) for name, value in values.items() if name in document.items}

    text, _ = edited(text, wanted)
    added = sorted(set(values) - known)
    if added:
        text = _with_new_items(text, {name: values[name] for name in added}, key)
    path.write_text(text)
    return 0


def _with_new_items(text: str, values: dict[str, bytes], key: Any) -> str:
    """New items need new lines, whose place and indent are the writer's choice: such a file is written anew."""
    documents = list(yaml.load_all(text, Loader=yaml.CSafeLoader))
    sealed = [each for each in documents if isinstance(each, dict) and each.get("kind") == "SealedSecret"]
    if len(sealed) != 1:
        raise SealedError("Invalid", f"--merge-into: expected one SealedSecret in the file, found {len(sealed)}")
    meta = sealed[0]["metadata"]
    label = scope_of(meta.get("annotations")).label(meta.get("namespace", ""), meta["name"])
    items = sealed[0]["spec"].setdefault("encryptedData", {})
    items.update({name: seal_item(key, label, value) for name, value in values.items()})
    return _printed(documents, "json" if text.lstrip().startswith("{") else "yaml")


def _unseal(given: argparse.Namespace) -> int:
    ring = SealingKeys(_backup(given.keys))
    sealed = _objects(_read(given.sealed_secret_file), "SealedSecret")
    secrets = [unseal(each, ring, render).secret for each in sealed]
    for secret in secrets:
        secret["metadata"].pop("ownerReferences", None)
    _write("-", _printed(secrets, given.format))
    return 0


def _reseal(given: argparse.Namespace) -> int:
    ring = SealingKeys(_backup(given.keys))
    key = newest(ring.keys)
    if key is None:
        raise SealedError("KeyInvalid", "the backup contains no active sealing key")
    changed = failed = 0
    for path in files_below(given.paths):
        if not path.endswith((".yaml", ".yml", ".json")):
            continue
        try:
            before = Path(path).read_text()
            after, count = reseal_text(before, ring, key) if "SealedSecret" in before else (before, 0)
        except UnicodeDecodeError:
            continue
        except RefusedSyntaxError as error:
            print(f"skipped  {path}  {error.message}", file=sys.stderr)
            continue
        except SealedError as error:
            print(f"failed   {path}  {error.message}", file=sys.stderr)
            failed += 1
            continue
        if count:
            changed += 1
            print(f"{'older key' if given.check else 'resealed'} {path}  {counted(count, 'item')}")
            if not given.check:
                Path(path).write_text(after)
    return 1 if failed or (given.check and changed) else 0


def _backup(names: list[str]) -> list[SealingKey]:
    return [key for name in names for key in parse_backup(_read(name))]


def _certificate(given: str | None) -> bytes:
    where = given or os.environ.get("SEALED_SECRETS_CERT", "")
    if not where:
        raise SealedError("Invalid", "a certificate is needed: --cert FILE|URL or $SEALED_SECRETS_CERT")
    if where.startswith("https://"):
        import httpx

        try:
            answer = httpx.get(where, timeout=10, follow_redirects=False)
            answer.raise_for_status()
        except httpx.HTTPError as error:
            raise SealedError("KeyInvalid", f"{where}: {type(error).__name__}") from None
        return answer.content[: 1 << 20]
    return _read(where)


def _read(name: str) -> bytes:
    if name == "-":
        data = sys.stdin.buffer.read(_MAX_INPUT + 1)
    else:
        with Path(name).open("rb") as file:
            data = file.read(_MAX_INPUT + 1)
    if len(data) > _MAX_INPUT:
        raise SealedError("TooLarge", f"{name}: more than {_MAX_INPUT} bytes")
    return data


def _objects(data: bytes, kind: str) -> list[Manifest]:
    """All objects of one kind, `kind` Lists opened. Raises SealedError for anything else in the input."""
    try:
        documents = [each for each in yaml.load_all(data.decode(), Loader=yaml.CSafeLoader) if each]
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, RecursionError):
        raise SealedError("Invalid", f"expected {kind}s as YAML or JSON") from None
    found: list[Manifest] = []
    for document in documents:
        items = document.get("items", [document]) if isinstance(document, dict) else [document]
        for item in items:
            if not isinstance(item, dict) or item.get("kind") != kind:
                raise SealedError("Invalid", f"expected a {kind}, found another object")
            found.append(item)
    if not found:
        raise SealedError("Invalid", f"expected a {kind}, found nothing")
    return found


def _printed(objects: list[Any], form: str) -> str:
    if form == "json":
        return "".join(json.dumps(each, indent=2) + "\n" for each in objects)
    return str(yaml.safe_dump_all(objects, sort_keys=False, width=2**30, explicit_start=len(objects) > 1))


def _write(name: str, text: str) -> None:
    if name == "-":
        sys.stdout.write(text)
    else:
        Path(name).write_text(text)
