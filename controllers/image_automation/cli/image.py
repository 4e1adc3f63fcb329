"""`inhaul image`: the controller's own functions, asked by hand.

    inhaul image explain web -n team-a          each tag of a policy in a cluster, kept or rejected, and why
    inhaul image explain policy.yaml --tags F   the same without a cluster
    inhaul image plan -f DIR --tags F           the diff that automations would commit to a directory
    inhaul image scan IMAGE                     the tags of a registry, as the controller sees them

A file of tags holds lines `image:tag`, or tags alone where one policy is asked about. Nothing is written anywhere.
"""

from __future__ import annotations

import argparse
import asyncio
import difflib
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from controllers.api.base import InvalidSpecError, parse
from controllers.api.image import IMAGE_POLICIES, IMAGE_REPOSITORIES, ImagePolicySpec, ImageRepositorySpec
from controllers.api.resource import Manifest
from controllers.image_automation.commit.setters import MAX_FILE, edit_tree, has_marker, is_candidate
from controllers.image_automation.policy.annotations import candidates, policy_annotations_of
from controllers.image_automation.policy.policy import NoTagSelectedError, Policy, compile_policy
from controllers.image_automation.tags.reference import InvalidPolicyError, InvalidReferenceError, Ref, parse_repository
from controllers.image_automation.tags.scan import InvalidExclusionError, scanned
from controllers.runtime.cli.command import Commands

_MAX_SHOWN = 200


class UsageError(Exception):
    """What the caller gave cannot be used; the text says why."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A policy ready to be asked."""

    manifest: Manifest
    policy: Policy

    @property
    def annotations(self) -> Mapping[str, str]:
        return self.manifest["metadata"].get("annotations") or {}


def add(commands: Commands) -> None:
    """Each command returns 0 done, 1 failed, 2 wrong usage."""
    image = commands.add_parser("image", help="explain image policies, preview their commits, list tags")
    below = image.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_explain(below)
    _add_plan_and_scan(below)


def _add_explain(commands: Any) -> None:
    explain = commands.add_parser("explain", help="show which tags are accepted or rejected, and why")
    explain.add_argument("policy", help="name of an ImagePolicy, or a file that holds one")
    explain.add_argument("-n", "--namespace", default="", help="of the policy; default: the context's")
    explain.add_argument("--tags", type=Path, help="file of tags; default: what the registry has")
    explain.add_argument("--all", action="store_true", help=f"show every tag, not only the first {_MAX_SHOWN}")
    explain.set_defaults(run=_guarded(_explain))


def _add_plan_and_scan(commands: Any) -> None:
    plan = commands.add_parser("plan", help="show the diff that would be committed; offline")
    plan.add_argument("-f", "--directory", type=Path, required=True, help="a checkout with policies and marked files")
    plan.add_argument("--tags", type=Path, required=True, help="file of lines image:tag")
    plan.add_argument("--policies", type=Path, action="append", default=[], help="further files with policies")
    plan.set_defaults(run=_guarded(_plan))

    scan = commands.add_parser("scan", help="list the tags of an image as the controller sees them")
    scan.add_argument("image", help="[host[:port]/]path")
    scan.add_argument("--docker-config", type=Path, help="config.json with a login; default: anonymous")
    scan.add_argument("--insecure", action="store_true", help="plain HTTP")
    scan.set_defaults(run=_guarded(_scan))


def _guarded(run: Callable[[argparse.Namespace], int]) -> Callable[[argparse.Namespace], int]:
    def guarded(given: argparse.Namespace) -> int:
        try:
            return run(given)
        except (
            UsageError,
            InvalidPolicyError,
            InvalidSpecError,
            InvalidReferenceError,
            InvalidExclusionError,
            OSError,
        ) as error:
            print(f"inhaul image: {error}", file=sys.stderr)
            return 1

    return guarded


# --- explain


def _explain(given: argparse.Namespace) -> int:
    path = Path(given.policy)
    if path.suffix in (".yaml", ".yml"):
        found = [one for one in _documents([path]) if one.get("kind") == "ImagePolicy"]
        if len(found) != 1:
            raise UsageError(f"{path}: found {len(found)} ImagePolicies, expected one")
        if given.tags is None:
            raise UsageError("--tags: found nothing, expected a file, for the policy is one")
        manifest, tags = found[0], [tag for _, tag in _tag_lines(given.tags)]
    else:
        manifest, tags = asyncio.run(_from_cluster(given.policy, given.namespace, given.tags))
    for line in explain(manifest, tags, limit=None if given.all else _MAX_SHOWN):
        print(line)
    return 0


def explain(manifest: Manifest, tags: Sequence[str], *, limit: int | None = None) -> list[str]:
    """One line per tag, the pick first. Raises InvalidPolicyError, InvalidSpecError."""
    asked = _asked(manifest)
    extras = policy_annotations_of(asked.annotations)
    rejected: dict[str, str] = {}
    picked: Sequence[str] = ()
    try:
        found = candidates(asked.policy, tags, extras, times={}, now=datetime.now(UTC))
        rejected, picked = dict(found.rejected), found.tags[:1]
        ending = "" if picked else "no tag is left to pick"
    except NoTagSelectedError as error:
        ending = str(error)
    lines = []
    for verdict in asked.policy.explain(tags):
        why = verdict.why or rejected.get(verdict.tag, "")
        word = "picked  " if verdict.tag in picked and not why else "rejected" if why else "kept    "
        lines.append(f"{word} {verdict.tag}{f': {why}' if why else ''}")
    lines.sort(key=lambda line: ("p", "k", "r").index(line[0]))  # stable: the policy's order within each
    shown = lines if limit is None else lines[:limit]
    if len(lines) > len(shown):
        shown = [*shown, f"… and {len(lines) - len(shown)} more; see them with --all"]
    return [*shown, *([ending] if ending else [])]


async def _from_cluster(name: str, namespace: str, file: Path | None) -> tuple[Manifest, list[str]]:
    from controllers.runtime.kube import ApiError, ConfigError, KubeClient
    from controllers.runtime.kube.config import KubeConfig

    try:
        config = KubeConfig.load()
        kube = KubeClient(config)
        try:
            where = namespace or config.namespace or "default"
            manifest = await kube.get(IMAGE_POLICIES, name, where)
            if file is not None:
                return manifest, [tag for _, tag in _tag_lines(file)]
            reference = parse(ImagePolicySpec, manifest).image_repository_ref
            repository = await kube.get(IMAGE_REPOSITORIES, reference.name, reference.namespace or where)
            return manifest, await _live_tags(kube, repository)
        finally:
            await kube.close()
    except (ApiError, ConfigError) as error:
        raise UsageError(str(error)) from None


async def _live_tags(kube: Any, repository: Manifest) -> list[str]:
    """As the controller would find them now, with our own AWS identity where it is ECR."""
    from controllers.aws.identity import Identities
    from controllers.aws.settings import AwsSettings
    from controllers.image_automation.tags.registries import Sources
    from controllers.runtime.egress import Egress
    from controllers.runtime.pools import Pools
    from controllers.runtime.result import ReconcileError
    from controllers.runtime.settings import Settings

    settings = Settings.from_args([])
    spec = parse(ImageRepositorySpec, repository)
    pools = Pools(settings.pool)
    sources = Sources(
        kube,
        Identities(pools, kube, settings=settings.group(AwsSettings)),
        egress=Egress(settings.egress),
        policies=_Everything(),
    )
    try:
        source = await sources.open(repository["metadata"]["namespace"], spec)
        return list(scanned(await source.tags(), spec.exclusion_list).tags)
    except ReconcileError as error:
        raise UsageError(str(error)) from None


class _Everything:
    """Whoever runs the command acts with their own rights."""

    def allowed(self, namespace: str, request: Any) -> Any:
        from controllers.api.tenancy import Decision

        return Decision(True, "")


# --- plan


def _plan(given: argparse.Namespace) -> int:
    names = sorted(path for path in given.directory.rglob("*") if path.is_file() and not path.is_symlink())
    inside = {path.relative_to(given.directory).as_posix(): path for path in names}
    kept = {name: path for name, path in inside.items() if is_candidate(name) and ".git/" not in f"{name}/"}
    files = {name: path.read_bytes() for name, path in kept.items() if path.stat().st_size <= MAX_FILE}
    documents = _documents([*kept.values(), *given.policies])
    text, notes = plan(files, documents, _tag_lines(given.tags))
    print(text, end="")
    for note in notes:
        print(note, file=sys.stderr)
    return 0


def plan(
    files: Mapping[str, bytes], documents: Iterable[Manifest], tags: Iterable[tuple[str, str]]
) -> tuple[str, list[str]]:
    """A unified diff of what would be committed, and what to know about it. `tags`: (image, tag)."""
    objects = list(documents)
    images = {_key(one): str((one.get("spec") or {}).get("image") or "") for one in objects
              if one.get("kind") == "ImageRepository"}  # fmt: skip
    known: dict[str, list[str]] = {}
    for image, tag in tags:
        known.setdefault(parse_repository(image).name, []).append(tag)
    refs: dict[str, Ref] = {}
    notes: list[str] = []
    for one in objects:
        if one.get("kind") != "ImagePolicy":
            continue
        namespace, name = _key(one)
        try:
            refs[f"{namespace}:{name}"] = _pick(one, images, known)
        except (NoTagSelectedError, InvalidPolicyError, InvalidSpecError, InvalidReferenceError) as error:
            notes.append(f"ImagePolicy {namespace}/{name}: {error}")
    edit = edit_tree({path: content for path, content in files.items() if has_marker(content)}, refs)
    notes += [f"{path}: {problem}" for path, problem in edit.problems]
    notes += [f"{one.path}:{one.line}: {one.why}" for one in edit.unresolved]
    lines: list[str] = []
    for path, content in sorted(edit.contents.items()):
        before, after = (text.decode(errors="replace").splitlines(keepends=True) for text in (files[path], content))
        lines += difflib.unified_diff(before, after, f"a/{path}", f"b/{path}")
    return "".join(line if line.endswith("\n") else f"{line}\n" for line in lines), notes


def _pick(manifest: Manifest, images: Mapping[tuple[str, str], str], known: Mapping[str, list[str]]) -> Ref:
    asked = _asked(manifest)
    reference = parse(ImagePolicySpec, manifest).image_repository_ref
    key = (reference.namespace or _key(manifest)[0], reference.name)
    if key not in images:
        raise NoTagSelectedError(f"ImageRepository {key[0]}/{key[1]} is not among the files")
    found = scanned(known.get(parse_repository(images[key]).name, ())).tags
    chosen = candidates(asked.policy, found, policy_annotations_of(asked.annotations), times={}, now=datetime.now(UTC))
    if not chosen.tags:
        raise NoTagSelectedError("no tag is left to pick")
    return Ref(images[key], chosen.tags[0])


def _asked(manifest: Manifest) -> Asked:
    spec = parse(ImagePolicySpec, manifest)
    return Asked(manifest, compile_policy(spec.policy, spec.filter_tags))


def _key(manifest: Manifest) -> tuple[str, str]:
    meta = manifest.get("metadata") or {}
    return str(meta.get("namespace") or "default"), str(meta.get("name") or "")


def _documents(paths: Iterable[Path]) -> list[Manifest]:
    """Objects of our kinds in files; what is no YAML holds none."""
    found: list[Manifest] = []
    for path in paths:
        content = path.read_bytes()
        if b"image.toolkit.fluxcd.io" not in content or len(content) > MAX_FILE:
            continue
        try:
            documents = list(yaml.safe_load_all(content))
        except (yaml.YAMLError, RecursionError, ValueError):
            continue
        found += [one for one in documents if isinstance(one, dict) and isinstance(one.get("metadata"), dict)]
    return found


def _tag_lines(path: Path) -> list[tuple[str, str]]:
    """(image, tag) per line; the image is "" where a line is a tag alone."""
    found = []
    for line in path.read_text().split():
        image, colon, tag = line.rpartition(":")
        found.append((image, tag) if colon else ("", line))
    return found


# --- scan


def _scan(given: argparse.Namespace) -> int:
    for tag in asyncio.run(_tags_of(given)):
        print(tag)
    return 0


async def _tags_of(given: argparse.Namespace) -> Sequence[str]:
    from controllers.oci import Registry, RegistryError, login_from_configs
    from controllers.runtime.egress import Egress
    from controllers.runtime.settings import Settings

    repository = parse_repository(given.image)
    configs = [given.docker_config.read_bytes()] if given.docker_config else []
    egress = Egress(Settings.from_args([]).egress)
    try:
        login = login_from_configs(configs, repository.host, repository.path)
        async with Registry(
            repository.host, transport=egress.transport(), login=login, insecure=given.insecure
        ) as registry:
            return scanned(await registry.tags(repository.path)).tags
    except RegistryError as error:
        raise UsageError(error.message) from None
