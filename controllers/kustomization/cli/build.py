"""`inhaul build`, `diff`, `plan`: what a directory renders, and what that would change.

Nothing is decrypted here: no key is read, encrypted objects stay encrypted and are not compared. Values of Secrets are
masked in every output.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from controllers.api.resource import Key, Manifest, Resource
from controllers.kustomization.apply.apply import MANAGER
from controllers.kustomization.apply.plan import (
    CREATE,
    DELETE,
    HELD,
    UNCHANGED,
    Plan,
    PlannedChange,
    Seen,
    is_forced,
    is_secret,
    plan,
)
from controllers.kustomization.apply.preflight import check_deletions
from controllers.kustomization.apply.recreate import asks_for_recreation, would_be_created
from controllers.kustomization.build.kustomization_file import InvalidSourceError
from controllers.kustomization.build.kustomize import KustomizeError
from controllers.kustomization.build.limits import BuildLimitError
from controllers.kustomization.build.postbuild import InvalidSubstitutionError, is_enabled, variables
from controllers.kustomization.build.render import Rendered, Variables, find_source, render
from controllers.kustomization.drift.detect import rules_of
from controllers.kustomization.objects import inventory
from controllers.kustomization.objects.diff import MASK
from controllers.kustomization.objects.inventory import Entry, entry_of
from controllers.kustomization.objects.labels import describe, owner_labels, with_metadata
from controllers.lang.envsubst import SubstitutionError
from controllers.lang.yaml_dump import dump
from controllers.lang.yaml_load import InvalidYamlError, load_all
from controllers.runtime.cli.command import (
    DIFFERENT,
    FAILED,
    OK,
    CommandError,
    Commands,
    cluster_flags,
    guarded,
    output_flag,
    show,
)
from controllers.runtime.kube import ApiError, KubeClient, KubeConfig, NotFound, UnknownKindError
from controllers.runtime.result import NotReady, Stalled
from controllers.sops.decryptor import is_encrypted_object
from controllers.sources.tree import InvalidPathError, Tree

from .worktree import of_directory, of_revision, root_of


def add(commands: Commands) -> None:
    for name, work in (("build", _build), ("diff", _diff), ("plan", _plan)):
        parser = commands.add_parser(name)
        parser.add_argument("path", type=Path, help="directory, or file with a Kustomization manifest")
        parser.add_argument(
            "--root", type=Path, help="root of the source (default: the Git working tree that contains PATH)"
        )
        parser.add_argument("--var", action="append", default=[], metavar="NAME=VALUE", help="a postBuild variable")
        parser.add_argument("--name", default="", help="name of the Kustomization, if the file contains several")
        output_flag(parser)
        if name != "build":
            parser.add_argument(
                "--against", default="", help="directory or Git revision to compare with (default: the cluster)"
            )
            parser.add_argument(
                "--kustomization",
                default="",
                metavar="NAME",
                help="Kustomization in the cluster whose spec and inventory are used",
            )
            cluster_flags(parser)
        parser.set_defaults(run=guarded(work))


@dataclass(frozen=True, slots=True)
class _Subject:
    """What is rendered: a path of a tree, a Kustomization's spec, and its key where one is known."""

    root: Path
    path: str
    spec: Mapping[str, Any] = field(default_factory=dict)
    key: Key | None = None


def _subject(given: argparse.Namespace) -> _Subject:
    path: Path = given.path
    if not path.exists():
        raise CommandError(f"{path}: no such file or directory")
    root = (given.root or root_of(path)).resolve()
    if path.is_dir():
        if not path.resolve().is_relative_to(root):
            raise CommandError(f"{path} is not below {root}")
        return _Subject(root, path.resolve().relative_to(root).as_posix())
    try:
        documents = [each for each in load_all(path.read_bytes()) if isinstance(each, dict)]
    except (InvalidYamlError, OSError) as error:
        raise CommandError(f"{path}: {error}") from None
    group = "kustomize.toolkit.fluxcd.io/"
    found = [each for each in documents if str(each.get("apiVersion")).startswith(group)]
    found = [each for each in found if given.name in ("", (each.get("metadata") or {}).get("name"))]
    if len(found) != 1:
        raise CommandError(f"{path}: found {len(found)} Kustomizations, expected one (choose with --name)")
    meta, spec = found[0].get("metadata") or {}, found[0].get("spec") or {}
    return _Subject(root, str(spec.get("path") or ""), spec, Key(meta.get("namespace") or "", str(meta.get("name"))))


def _values(given: argparse.Namespace, spec: Mapping[str, Any]) -> Variables:
    post = spec.get("postBuild") or {}
    extra = {}
    for item in given.var:
        name, equals, value = item.partition("=")
        if not equals:
            raise CommandError(f"--var {name}: expected NAME=VALUE")
        extra[name] = value
    inline = {**(post.get("substitute") or {}), **extra}
    enabled = is_enabled(inline, bool(post.get("substituteFrom")), str(post.get("substituteStrategy") or ""))
    try:
        return Variables(enabled, variables(inline, []))
    except ValueError as error:
        raise CommandError(f"--var: {error}") from None


def _rendered(tree: Tree, subject: _Subject, values: Variables) -> Rendered:
    try:
        return render(tree, find_source(tree, subject.path, subject.spec), subject.spec, values)
    except InvalidSubstitutionError as error:
        refs = (subject.spec.get("postBuild") or {}).get("substituteFrom") or ()
        names = ", ".join(f"{ref.get('kind')}/{ref.get('name')}" for ref in refs)
        hint = f"; values of {names} are not read here: give them with --var NAME=VALUE" if names else ""
        raise CommandError(f"{error}{hint}") from None
    except (InvalidSourceError, InvalidPathError, KustomizeError, SubstitutionError, BuildLimitError) as error:
        raise CommandError(str(error)) from None


def masked(manifest: Manifest) -> Manifest:
    """An object with a Secret's values hidden."""
    if not is_secret(entry_of(manifest)):
        return manifest
    return {name: dict.fromkeys(value, MASK) if name in ("data", "stringData") and isinstance(value, dict) else value
            for name, value in manifest.items()}  # fmt: skip


def _build(given: argparse.Namespace) -> int:
    subject = _subject(given)
    result = _rendered(of_directory(subject.root), subject, _values(given, subject.spec))
    objects = [masked(each) for each in result.objects]
    show(given, objects, lambda: "---\n".join(dump(each) for each in objects))
    return OK


def _diff(given: argparse.Namespace) -> int:
    planned, problems = _planned(given)
    changes = [each for each in planned.changes if each.action != UNCHANGED and each.reason != "prune is off"]
    return _report(given, planned, changes, problems)


def _plan(given: argparse.Namespace) -> int:
    planned, problems = _planned(given)
    return _report(given, planned, list(planned.changes), problems, summary=True)


def _report(
    given: argparse.Namespace,
    planned: Plan,
    changes: list[PlannedChange],
    problems: list[str],
    *,
    summary: bool = False,
) -> int:
    items = [
        {"action": each.action, "object": each.subject, "fields": list(each.fields), "reason": each.reason}
        for each in changes
    ]
    value = {"summary": planned.summary(), "changes": items, "problems": problems}
    lines = [line for each in changes for line in _lines(each)] + [f"! {each}" for each in problems]
    show(given, value, lambda: "\n".join([*lines, *([planned.summary()] if summary else [])]))
    return FAILED if problems else OK if planned.is_empty else DIFFERENT


_SIGNS = {CREATE: "+", DELETE: "-", HELD: "=", UNCHANGED: " "}


def _lines(change: PlannedChange) -> list[str]:
    reason = f" ({change.reason})" if change.reason else ""
    head = f"{_SIGNS.get(change.action, '~')} {change.subject} {change.action}{reason}"
    return [head, *(f"    {each['path']}: {_value(each, 'oldValue')} -> {_value(each, 'value')}"
                    for each in change.fields)]  # fmt: skip


def _value(operation: Mapping[str, Any], name: str) -> str:
    return str(operation[name]) if name in operation else "(none)"


def _planned(given: argparse.Namespace) -> tuple[Plan, list[str]]:
    subject = _subject(given)
    result = _rendered(of_directory(subject.root), subject, _values(given, subject.spec))
    if given.against:
        return _against_tree(given, subject, result), []
    return asyncio.run(_against_cluster(given, subject, result))


def _against_tree(given: argparse.Namespace, subject: _Subject, result: Rendered) -> Plan:
    other = Path(given.against)
    if other.is_dir():
        root = root_of(other).resolve()
        old_subject = _Subject(root, other.resolve().relative_to(root).as_posix(), subject.spec)
        if given.path.is_file():
            old_subject = _Subject(other.resolve(), subject.path, subject.spec)
        tree = of_directory(old_subject.root)
    else:
        tree, old_subject = of_revision(subject.root, given.against), subject
    values = _values(given, subject.spec)
    there = bool(subject.spec) or old_subject.path in (".", "") or tree.is_directory(old_subject.path)
    before = _rendered(tree, old_subject, values) if there else Rendered(())
    old = {entry_of(each).identity: each for each in before.objects}
    seen = [Seen(each, old.get(entry_of(each).identity), with_version(each)) for each in result.objects]
    entries = [entry_of(each) for each in before.objects]
    return plan(seen, inventory=entries, prune=True, masked=result.masked | before.masked)


def with_version(manifest: Manifest) -> Manifest:
    """As a server would answer for an object that is there: without a resourceVersion it counts as new."""
    return {**manifest, "metadata": {**manifest["metadata"], "resourceVersion": "0"}}


async def _against_cluster(given: argparse.Namespace, subject: _Subject, result: Rendered) -> tuple[Plan, list[str]]:
    config = KubeConfig.load(given.kubeconfig, given.context)
    namespace = given.namespace or config.namespace
    key = Key(namespace, given.kustomization) if given.kustomization else subject.key
    async with KubeClient(config) as kube:
        owner = await _owner(kube, key, namespace)
        spec = {**((owner or {}).get("spec") or {}), **subject.spec}
        owned = inventory.read((owner or {}).get("status"))
        objects = list(result.objects)
        if key is not None:
            labels = owner_labels(Key(key.namespace or namespace, key.name))
            objects = [with_metadata(each, labels) for each in objects]
        seen, skipped, problems = await _seen(kube, objects, force=bool(spec.get("force")))
    planned = plan(
        seen, inventory=[each for each in owned if each.identity not in {one.entry.identity for one in skipped}],
        prune=bool(spec.get("prune")), rules=rules_of(spec.get("ignore") or ()), masked=result.masked,
    )  # fmt: skip
    if owner is not None:
        try:
            check_deletions(owner, owned, objects, prune=bool(spec.get("prune")))
        except (Stalled, NotReady) as error:
            problems.append(error.message)
    return Plan((*planned.changes, *skipped)), problems


async def _owner(kube: KubeClient, key: Key | None, namespace: str) -> Manifest | None:
    if key is None:
        return None
    from controllers.api.kustomize import KUSTOMIZATIONS

    try:
        return await kube.get(KUSTOMIZATIONS, key.name, key.namespace or namespace)
    except NotFound:
        return None


async def _seen(
    kube: KubeClient, objects: list[Manifest], *, force: bool
) -> tuple[list[Seen], list[PlannedChange], list[str]]:
    """Live states and dry-run answers; what is not compared; what the server refuses, all of it."""
    seen: list[Seen] = []
    skipped: list[PlannedChange] = []
    problems: list[str] = []
    namespaces = {each["metadata"]["name"] for each in objects if each["kind"] == "Namespace"}
    kinds = {((each.get("spec") or {}).get("group"), ((each.get("spec") or {}).get("names") or {}).get("kind"))
             for each in objects if each["kind"] == "CustomResourceDefinition"}  # fmt: skip
    dry = kube.dry_run()
    for desired in objects:
        entry: Entry = entry_of(desired)
        if is_encrypted_object(desired):
            skipped.append(
                PlannedChange(HELD, entry, describe(desired), reason="encrypted with SOPS: not compared here")
            )
            continue
        try:
            resource = await kube.resource_for(desired["apiVersion"], desired["kind"])
            try:
                live = await kube.get(resource, entry.name, entry.namespace)
            except NotFound:
                live = None
            seen.append(await _dry_run(dry, resource, desired, live, force=force))
        except UnknownKindError as error:
            if (entry.group, entry.kind) in kinds:
                seen.append(Seen(desired, None, None))
            else:
                problems.append(f"{describe(desired)}: {error}")
        except ApiError as error:
            if error.status == 404 and entry.namespace in namespaces:
                seen.append(Seen(desired, None, None))
            else:
                problems.append(f"{describe(desired)}: {error.reason}: {error.message}")
    return seen, skipped, problems


async def _dry_run(
    dry: KubeClient, resource: Resource, desired: Manifest, live: Manifest | None, *, force: bool
) -> Seen:
    try:
        return Seen(desired, live, await dry.apply(resource, desired, field_manager=MANAGER))
    except ApiError as refusal:
        if live is None or not is_forced(desired, live, force) or not asks_for_recreation(refusal):
            raise
        if not await would_be_created(dry, resource, desired, refusal, manager=MANAGER):
            raise
        fields = ", ".join(dict.fromkeys(each.field for each in refusal.causes if each.field))
        return Seen(desired, live, None, recreated=f"the update is refused{f' for {fields}' if fields else ''}")
