"""One visit to a Git host for all automations of a branch: fetch, splice, commit, push; again when the branch moved.

Blocking; runs on the git pool. Edits are computed from what the host has now, never merged: when another writer was
faster, everything is computed again on the new head, so nothing is lost, doubled or forced. A crash before the push
leaves objects that nothing names; after it, the next visit finds the values already there and reads from the commit's
trailers that it was ours.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from controllers.api.resource import Key
from controllers.git import (
    ABSENT,
    CommitInfo,
    Found,
    GitError,
    LeaseLostError,
    Mirror,
    Mirrors,
    NewCommit,
    NonFastForwardError,
    NotFound,
    PushRef,
    RefusedError,
    Remote,
    branch_ref,
    clean_path,
    commit_tree,
    push,
    target,
    trailers,
    with_trailers,
)
from controllers.image_automation.commit.job import Job, Outcome, Plan

from .message import Automation, InvalidMessageError, Picked, commit_trailers, render
from .push_config import PushConfig
from .rollback import reverted
from .setters import MAX_FILE, TreeEdit, edit_tree, has_marker, is_candidate

PATIENCE = 120.0
"""Seconds after which a branch that moves all the time is left to the next reconcile. Tries are not counted: among
writers of equal speed each try has the same chance, and a fixed number of them starves on a busy branch."""
_PAUSE, _MAX_PAUSE = 0.02, 0.5
_OURS = "Image-Update-Automation"


@dataclass(slots=True)
class _Tree:
    """The files of a commit that hold markers. Blobs are read once, so a try on a moved branch reads what moved."""

    mirror: Mirror
    known: dict[str, bytes | None] = field(default_factory=dict)
    """By blob id; None: without a marker."""

    def marked(self, commit: str) -> dict[str, bytes]:
        """Symlinks and submodules are no files."""
        entries = [
            entry
            for entry in self.mirror.objects.list_tree(commit)
            if entry.is_file and is_candidate(entry.path) and entry.size <= MAX_FILE
        ]
        fresh = [entry.id for entry in entries if entry.id not in self.known]
        for name, content in self.mirror.objects.read_blobs(fresh).items():
            self.known[name] = content if has_marker(content) else None
        found = ((entry.path, self.known[entry.id]) for entry in entries)
        return {path: content for path, content in found if content is not None}


def update_branch(
    mirrors: Mirrors,
    remote: Remote,
    config: PushConfig,
    jobs: Sequence[Job],
    *,
    now: Callable[[], datetime],
    patience: float = PATIENCE,
    writer: Remote | None = None,
) -> dict[Key, Outcome]:
    """The outcome of each job. Raises GitError for what concerns all of them.

    `writer`: the same host as whoever pushes, where that is another than who reads.
    """
    branch = branch_ref(config.branch)
    until, pause, moved = time.monotonic() + patience, _PAUSE, False
    with mirrors.use(remote) as mirror:
        tree, outward = _Tree(mirror), replace(mirror, remote=writer or remote)
        while True:
            start, base, lease = _base(mirror, config, branch, moved=moved)
            plan = _planned(mirror, base, jobs, now(), ref=branch if config.switch and lease else start.ref, tree=tree)
            if plan.tip != base:
                try:
                    push(outward, _refs(config, plan.tip, branch, lease), options=config.options)
                except (NonFastForwardError, LeaseLostError):
                    if time.monotonic() > until:
                        raise
                    time.sleep(random.uniform(0, pause))  # noqa: S311 jitter
                    moved, pause = True, min(pause * 2, _MAX_PAUSE)
                    continue
            return {key: _finished(one, start, plan.tip, config) for key, one in plan.outcomes.items()}


def _refs(config: PushConfig, tip: str, branch: str, lease: str | None) -> list[PushRef]:
    refs = [PushRef(tip, branch, lease)]
    if config.refspec is not None:
        source, destination = config.refspec
        if source not in ("HEAD", branch):
            raise RefusedError(f"spec.git.push.refspec: found source {source}, expected HEAD or {branch}")
        if destination == branch:
            raise RefusedError(f"spec.git.push.refspec: found {destination}, which is the push branch already")
        refs.append(PushRef(tip, destination))
    return refs


def _base(mirror: Mirror, config: PushConfig, branch: str, *, moved: bool = False) -> tuple[Found, str, str | None]:
    """What is checked out, the commit to work on, and the lease for the push: the push branch goes on where it is.

    `moved`: another was faster just now, so the branch is fetched without asking first whether it is another.
    """
    if moved and not config.switch:
        commit = mirror.fetch_ref(branch)
        return Found(commit, branch), commit, None
    start = mirror.resolve(target(config.checkout))
    if not config.switch:
        return start, mirror.fetch(start), None
    standing = mirror.ls_remote([branch]).get(branch)
    if standing is None:
        return start, mirror.fetch(start), ABSENT
    return start, mirror.fetch(Found(standing, branch)), None


def _planned(
    mirror: Mirror, base: str, jobs: Sequence[Job], now: datetime, *, ref: str = "", tree: _Tree | None = None
) -> Plan:
    """Commits of all jobs, one upon the other, not pushed. `ref` is where `base` stands."""
    branch = Found(base, ref)
    plan = Plan(base)
    head = mirror.objects.commit(base)
    files: dict[str, bytes] | None = None
    for job in sorted(jobs, key=lambda one: one.key):
        if job.settled == base and plan.tip == base:
            plan.outcomes[job.key] = Outcome(head=base)
            continue
        if files is None:
            files = (tree or _Tree(mirror)).marked(base)
        try:
            plan.outcomes[job.key] = _one(mirror, plan, job, files, head, branch, now)
        except (GitError, InvalidMessageError) as error:
            plan.outcomes[job.key] = Outcome(head=base, error=error)
    return plan


def _one(
    mirror: Mirror, plan: Plan, job: Job, files: dict[str, bytes], head: CommitInfo, branch: Found, now: datetime
) -> Outcome:
    below = clean_path(job.path)
    chosen = {path: text for path, text in files.items() if not below or path.startswith(f"{below}/") or path == below}
    if below and not chosen:
        _check_path(mirror, plan.tip, below)
    edit = edit_tree(chosen, job.policies)
    held = reverted(mirror, plan, job, edit, branch) if job.done else {}
    if held:
        left = {name: ref for name, ref in job.policies.items() if name not in held}
        edit = edit_tree(chosen, left)
    refused = job.allow(sorted(edit.contents)) if edit.contents else {}
    granted = TreeEdit(tuple(one for one in edit.files if one.path not in refused))
    report = Outcome(unresolved=edit.unresolved, problems=edit.problems, refused=tuple(sorted(refused.items())))
    report = replace(report, held=tuple(sorted(held.items())))
    if not granted.contents:
        ours = (_OURS, str(job.key)) in trailers(head.message)
        return replace(report, head=plan.tip, recovered=head.id if ours and plan.tip == head.id else "")
    automation = Automation(job.key.namespace, job.key.name)
    images = _written(granted, job)
    message = render(job.template, automation=automation, changed=granted, values=job.values, images=images)
    full = with_trailers(message, commit_trailers(automation, images))
    new = NewCommit(plan.tip, granted.contents, full, job.author, now)
    plan.tip = commit_tree(mirror.objects, new, sign=job.sign)
    files.update(granted.contents)
    changes = sum(len(one.changes) for one in granted.files)
    return replace(report, head=plan.tip, commit=plan.tip, message=message, changes=changes)


def _check_path(mirror: Mirror, commit: str, path: str) -> None:
    """Raises NotFound where `spec.update.path` is no directory: a typing error should not look like success."""
    kinds = [kind for kind, _ in mirror.objects.read_objects([f"{commit}:{path}"])]
    if kinds != ["tree"]:
        raise NotFound(f"spec.update.path {path!r}: not a directory of the repository")


def _written(edit: TreeEdit, job: Job) -> list[Picked]:
    """The images this commit writes, by the markers that changed."""
    names = {":".join(change.setter.split(":")[:2]) for one in edit.files for change in one.changes}
    return [
        Picked(
            name.replace(":", "/"),
            job.policies[name],
            job.previous.get(name),
            job.revisions.get(name, ""),
            job.pushed.get(name, 0),
        )
        for name in sorted(names)
        if name in job.policies
    ]


def _finished(outcome: Outcome, start: Found, tip: str, config: PushConfig) -> Outcome:
    """The same with where things stand after the push: a chain of commits is one head for all."""
    source = start if config.switch else Found(tip, start.ref)
    return replace(outcome, head=tip, revision=source.revision)
