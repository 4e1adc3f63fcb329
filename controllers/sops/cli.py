"""`inhaul sops verify|decrypt|keys` and `inhaul guard`: what a person asks of a tree of files.

Paths may be files or directories; `.git` and symbolic links are passed over. No value is printed but by `decrypt`.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from controllers.api.plural import counted
from controllers.runtime.cli.files import files_below

from .binary import decrypt_any
from .creation_rules import CONFIG, CreationRule, drift, parse_rules, relative, rule_for
from .errors import DecryptionError, SopsError
from .formats import format_for_path, is_encrypted, read
from .keys import SopsKeys
from .limits import SopsLimits
from .local_keys import local_keyring
from .metadata import MasterKey, Metadata
from .plaintext_scan import plaintext_secrets

_ROTATE_AFTER_DAYS = 180


def add(commands: Any) -> None:
    sops = commands.add_parser("sops", help="verify, decrypt and list the keys of SOPS files")
    kinds = sops.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, run, text in (
        ("verify", _verify, "verify MAC, keys and rules of every encrypted file; prints no values"),
        ("decrypt", _decrypt, "print files in plaintext if their MAC is valid"),
        ("keys", _keys, "list the keys of each file, their age, and differences from .sops.yaml"),
    ):
        parser = kinds.add_parser(name, help=text)
        parser.add_argument("paths", nargs="+", metavar="PATH")
        parser.add_argument("--json", action="store_true", help="print JSON")
        if name != "keys":
            parser.add_argument("--age-key-file", action="append", default=[], metavar="FILE")
            parser.add_argument("--pgp-key-file", action="append", default=[], metavar="FILE")
        parser.set_defaults(run=reported("sops", run))
    guard = commands.add_parser("guard", help="find plaintext Secrets in files; can be used as a pre-commit hook")
    guard.add_argument("paths", nargs="+", metavar="PATH")
    guard.add_argument("--json", action="store_true", help="print JSON")
    guard.set_defaults(run=reported("guard", _guard))


def reported(name: str, work: Callable[[argparse.Namespace], int]) -> Callable[[argparse.Namespace], int]:
    """The command, as argparse's `run`: 0 done, 1 found or failed; what is no bug becomes one line."""

    def run(given: argparse.Namespace) -> int:
        try:
            return work(given)
        except DecryptionError as error:
            print(f"inhaul {name}: {error.message}", file=sys.stderr)
        except BrokenPipeError:
            return 1
        except OSError as error:
            print(f"inhaul {name}: {error.filename}: {error.strerror}", file=sys.stderr)
        return 1

    return run


@dataclass
class Tree:
    """Reads files within the limits, and the nearest `.sops.yaml` of each."""

    limits: SopsLimits = field(default_factory=SopsLimits)
    _rules: dict[Path, tuple[Path, tuple[CreationRule, ...]] | None] = field(default_factory=dict)

    def data(self, path: str) -> bytes:
        """At most one byte more than the limit, which the reader then refuses."""
        with Path(path).open("rb") as file:
            return file.read(self.limits.size + 1)

    def encrypted(self, paths: Sequence[str]) -> Iterator[tuple[str, bytes, str]]:
        for path in files_below(paths):
            form, data = format_for_path(path), self.data(path)
            if is_encrypted(data, form):
                yield path, data, form

    def rule(self, path: str) -> CreationRule | None:
        """The rule of `.sops.yaml` for a path. Raises SopsError where the file cannot be read."""
        found = self._config(Path(path).resolve().parent)
        return rule_for(found[1], relative(str(Path(path).resolve()), str(found[0]))) if found else None

    def _config(self, directory: Path) -> tuple[Path, tuple[CreationRule, ...]] | None:
        if directory not in self._rules:
            config = directory / CONFIG
            if config.is_file():
                self._rules[directory] = (config, parse_rules(self.data(str(config))))
            else:
                at_end = directory.parent == directory
                self._rules[directory] = None if at_end else self._config(directory.parent)
        return self._rules[directory]

    def drift(self, path: str, metadata: Metadata) -> list[str]:
        try:
            return drift(self.rule(path), metadata)
        except SopsError as error:
            return [error.message]


def _verify(given: argparse.Namespace) -> int:
    tree, results = Tree(), []
    with _keyring(given) as keys:
        for path, data, form in tree.encrypted(given.paths):
            results.append(verify_file(tree, path, data, form, keys))
    if given.json:
        print(json.dumps(results, indent=1))
    for result in [] if given.json else results:
        print(f"{result['result']:8} {result['path']}  {result.get('error') or ' '.join(result['keys'])}")
        for text in result["warnings"]:
            print(f"{'warning':8} {result['path']}  {text}")
    failed = sum(result["result"] != "verified" for result in results)
    print(f"{counted(len(results), 'encrypted file')}, {failed} not verified", file=sys.stderr)
    return 1 if failed else 0


def verify_file(tree: Tree, path: str, data: bytes, form: str, keys: SopsKeys) -> dict[str, Any]:
    """The verdict on one file; no value is in it."""
    try:
        file = read(data, form, tree.limits)
        opened = decrypt_any(file, keys)
        _ = opened.plaintext  # a value that the format cannot hold is not verified
    except SopsError as error:
        return {
            "path": path, "result": "refused", "reason": error.reason, "error": error.message, "keys": [],
            "warnings": [],
        }  # fmt: skip
    warnings = [f"{name} is empty: the MAC does not cover it" for name in opened.report.empty_fields]
    if opened.report.plain_comments:
        warnings.append(f"{opened.report.plain_comments} comments are in plaintext at encrypted positions")
    warnings += tree.drift(path, file.metadata)
    return {
        "path": path, "result": "verified", "keys": list(opened.key_ids), "fields": opened.report.fields,
        "warnings": warnings,
    }  # fmt: skip


def _decrypt(given: argparse.Namespace) -> int:
    tree, status = Tree(), 0
    with _keyring(given) as keys:
        for number, path in enumerate(files_below(given.paths)):
            data, form = tree.data(path), format_for_path(path)
            try:
                plain = decrypt_any(read(data, form, tree.limits), keys).plaintext
            except SopsError as error:
                print(f"inhaul sops: {path}: {error.message}", file=sys.stderr)
                status = 1
                continue
            if number and form == "yaml" and not plain.startswith(b"---"):
                sys.stdout.buffer.write(b"---\n")
            sys.stdout.buffer.write(plain)
    return status


def _keys(given: argparse.Namespace) -> int:
    tree, rows, status = Tree(), [], 0
    for path, data, form in tree.encrypted(given.paths):
        try:
            metadata = read(data, form, tree.limits).metadata
        except SopsError as error:
            print(f"inhaul sops: {path}: {error.message}", file=sys.stderr)
            status = 1
            continue
        rows += [_key_row(path, key, metadata) for key in metadata.keys]
        rows += [{"path": path, "warning": text} for text in tree.drift(path, metadata)]
    if given.json:
        print(json.dumps(rows, indent=1))
        return status
    by_key: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by_key.setdefault(row.get("key", "differs from .sops.yaml"), []).append(row)
    for name, found in sorted(by_key.items()):
        print(f"{name}  ({len({row['path'] for row in found})} files)")
        for row in found:
            age = f"{row['age_days']} days" if row.get("age_days") is not None else ""
            rotate = "  rotate" if row.get("rotate") else ""
            print(f"  {row['path']}  {row.get('warning', age)}{rotate}")
    return status


def _key_row(path: str, key: MasterKey, metadata: Metadata) -> dict[str, Any]:
    """age keys have no creation time of their own; the file's last change bounds it from above."""
    written = key.fields.get("created_at") or metadata.lastmodified
    try:
        age = (datetime.now(UTC) - datetime.fromisoformat(written)).days
    except (ValueError, TypeError):
        return {"path": path, "key": f"{key.kind} {key.identifier}", "age_days": None, "rotate": False}
    return {
        "path": path, "key": f"{key.kind} {key.identifier}", "age_days": age, "rotate": age > _ROTATE_AFTER_DAYS,
    }  # fmt: skip


def _guard(given: argparse.Namespace) -> int:
    tree = Tree()
    found = [finding for path in files_below(given.paths) for finding in plaintext_secrets(path, tree.data(path))]
    if given.json:
        rows = [{"path": each.path, "object": each.subject, "fields": list(each.fields)} for each in found]
        print(json.dumps(rows, indent=1))
    else:
        for finding in found:
            print(finding)
    return 1 if found else 0


def _keyring(given: argparse.Namespace) -> SopsKeys:
    return local_keyring(given.age_key_file, given.pgp_key_file, environ=os.environ)
