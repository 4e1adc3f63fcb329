"""Rollback hold: has a human taken back what we committed?

Asked only where an automation has written a policy's present image before, and the branch now wants it written again.
The newest commit of ours that names the policy in its trailers then tells: if it wrote this very image at this very
place, somebody removed it since, by a revert, an edit or a rewound branch. That is a decision, not drift.
"""

from __future__ import annotations

from controllers.git import CommitInfo, Found, GitError, Mirror, trailers
from controllers.image_automation.tags.reference import Ref

from .job import Job, Plan
from .setters import TreeEdit, edit_tree

HISTORY = 50
"""Commits of the branch that are looked at."""


def reverted(mirror: Mirror, plan: Plan, job: Job, edit: TreeEdit, branch: Found) -> dict[str, Ref]:
    """Policies of `job.done` whose image was written by us and taken back: `namespace:name` → ref."""
    wanted: dict[str, set[str]] = {}
    for file in edit.files:
        for change in file.changes:
            name = ":".join(change.setter.split(":")[:2])
            if name in job.done:
                wanted.setdefault(name, set()).add(file.path)
    if not wanted or plan.tip != branch.commit:
        return {}
    commits = _ours(mirror, job, branch)
    held: dict[str, Ref] = {}
    for name, paths in wanted.items():
        ref = job.policies[name]
        commit = next((one for one in commits if _names(one, name)), None)
        if commit is not None and _names(commit, name) == ref.image and _stood(mirror, commit, paths, name, ref):
            held[name] = ref
    return held


def _ours(mirror: Mirror, job: Job, branch: Found) -> list[CommitInfo]:
    """Commits of this automation, newest first: of the branch, and the last one pushed should the branch be rewound."""
    own = f"{job.key.namespace}/{job.key.name}"
    try:
        if branch.ref:
            mirror.deepen(branch.ref, HISTORY)
        names = mirror.objects.history(branch.commit, limit=HISTORY)
        if job.last and job.last not in names and mirror.objects.has_commit(job.last):
            names.insert(0, job.last)
        found = [mirror.objects.commit(name) for name in names]
    except GitError:
        return []
    return [one for one in found if ("Image-Update-Automation", own) in trailers(one.message)]


def _names(commit: CommitInfo, policy: str) -> str:
    """The image that a commit of ours says it wrote for a policy; "" for none."""
    for token, value in trailers(commit.message):
        name, _, image = value.partition(" ")
        if token == "Image-Policy" and name == policy.replace(":", "/", 1):  # noqa: S105
            return image
    return ""


def _stood(mirror: Mirror, commit: CommitInfo, paths: set[str], policy: str, ref: Ref) -> bool:
    """Whether the image stood in one of these files in that commit: then it was there and is not any more."""
    ordered = sorted(paths)
    blobs = mirror.objects.read_objects([f"{commit.id}:{path}" for path in ordered])
    texts = {path: content for path, (kind, content) in zip(ordered, blobs, strict=True) if kind == "blob"}
    changed = {file.path for file in edit_tree(texts, {policy: ref}).files if file.changes}
    return any(path not in changed for path in texts)
