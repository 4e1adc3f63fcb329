"""Registers image automation: its three kinds, and who wakes whom. No rule stands here."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from controllers.api.core import NAMESPACES
from controllers.api.image import IMAGE_POLICIES, IMAGE_REPOSITORIES, IMAGE_UPDATE_AUTOMATIONS
from controllers.api.inhaul import PREFIX
from controllers.api.resource import Key, Manifest, key_of
from controllers.aws.identity import OWN, Identities
from controllers.aws.settings import AwsSettings
from controllers.aws.sqs import Consumer
from controllers.git import Git, Mirrors
from controllers.git.github_app import GithubApps
from controllers.runtime.controller import Controller
from controllers.runtime.manager import Manager
from controllers.sources.remotes import GitRemotes

from .automation_reconcile import AutomationReconciler
from .events import EventHandler, repository_names
from .policy.annotations import HELD
from .policy_reconcile import PolicyReconciler
from .repository_reconcile import RepositoryReconciler
from .settings import ImageAutomationSettings
from .tags.registries import Sources
from .tags.store import TagStore

SETTINGS = (ImageAutomationSettings,)
_BY_REPOSITORY, _BY_ECR = "repository", "ecr"


def register(manager: Manager, *, git: Git | None = None) -> None:
    """`git` is given by whoever composes the process: allowed protocols."""
    with manager.scope("image-automation"):
        _register(manager, manager.settings.group(ImageAutomationSettings), git)


def _register(manager: Manager, options: ImageAutomationSettings, git: Git | None) -> None:
    identities = Identities(manager.pools, manager.kube, settings=manager.settings.group(AwsSettings))
    sources = Sources(manager.kube, identities, egress=manager.egress, policies=manager.policies)
    directory = Path(options.mirrors) if options.mirrors else Path(tempfile.mkdtemp(prefix="inhaul-images-"))
    tags = TagStore()

    def wake_policies(repository: Key) -> None:
        for manifest in policies.store.by_index(_BY_REPOSITORY, str(repository)):
            policies.queue.changed(key_of(manifest))

    repository_reconciler = RepositoryReconciler(
        manager.kube, sources, tags, draft=lambda key: repositories.draft(key), on_new_tags=wake_policies
    )
    repositories = manager.controller(IMAGE_REPOSITORIES, repository_reconciler, max_concurrent=options.concurrent)
    policy_reconciler = PolicyReconciler(
        sources,
        tags,
        repositories=repositories.store,
        namespaces=manager.store(NAMESPACES),
        draft=lambda key: policies.draft(key),
        kube=manager.kube,
        cross_namespace=options.cross_namespace,
    )
    policies = manager.controller(IMAGE_POLICIES, policy_reconciler, max_concurrent=options.concurrent)
    automation_reconciler = AutomationReconciler(
        manager.kube,
        Mirrors(directory, git=git, max_bytes=options.mirror_bytes << 20),
        pools=manager.pools,
        remotes=GitRemotes(manager.kube, egress=manager.egress, apps=GithubApps(manager.egress)),
        policies=manager.policies,
        image_policies=lambda: policies.store,
        draft=lambda key: automations.draft(key),
        window=options.window,
        cap=options.window_cap,
        cross_namespace=options.cross_namespace,
    )
    automations = manager.controller(IMAGE_UPDATE_AUTOMATIONS, automation_reconciler, max_concurrent=256)
    _wake(repositories, policies, automations, automation_reconciler.touch)
    repositories.store.index(_BY_ECR, repository_names)
    if options.queue_url:
        handler = EventHandler(manager.kube, repositories.store, _BY_ECR)
        consumer = Consumer(
            identities, OWN, options.queue_url, handler, region=options.queue_region, wait=options.queue_wait
        )
        manager.task("image events", consumer.run)


def _wake(
    repositories: Controller, policies: Controller, automations: Controller, touch: Callable[[Key], None]
) -> None:
    """A repository that opens or closes wakes its policies (as its scans do); another pick, the automations."""
    policies.store.index(_BY_REPOSITORY, _repository_of)

    def repository_changed(before: Manifest | None, after: Manifest | None) -> None:
        if after is not None and _access(before) != _access(after):
            for manifest in policies.store.by_index(_BY_REPOSITORY, str(key_of(after))):
                policies.queue.changed(key_of(manifest))

    def policy_changed(before: Manifest | None, after: Manifest | None) -> None:
        if after is not None and before is not None and _extras(before) != _extras(after):
            policies.queue.changed(key_of(after))  # annotations are this kind's second spec: they end a backoff too
        if _latest(before) == _latest(after):
            return
        changed = after or before
        for manifest in automations.store.list(key_of(changed).namespace) if changed else ():
            touch(key_of(manifest))
            automations.queue.changed(key_of(manifest))

    repositories.store.subscribe(repository_changed)
    policies.store.subscribe(policy_changed)


def _repository_of(manifest: Manifest) -> list[str]:
    reference = (manifest.get("spec") or {}).get("imageRepositoryRef") or {}
    namespace = reference.get("namespace") or manifest["metadata"].get("namespace") or ""
    return [f"{namespace}/{reference.get('name') or ''}"]


def _access(manifest: Manifest | None) -> tuple[object, ...]:
    spec = (manifest or {}).get("spec") or {}
    return manifest is None, spec.get("accessFrom"), spec.get("image")


def _latest(manifest: Manifest | None) -> object:
    """What an automation acts upon: the image, and whether it is held."""
    annotations = ((manifest or {}).get("metadata") or {}).get("annotations") or {}
    return ((manifest or {}).get("status") or {}).get("latestRef"), annotations.get(HELD)


def _extras(manifest: Manifest) -> dict[str, str]:
    annotations = manifest["metadata"].get("annotations") or {}
    return {name: text for name, text in annotations.items() if name.startswith(PREFIX)}
