"""Names of references, and which commit a GitRepository's `ref` means. Pure.

A reference's name reaches git's command line and the host: nothing passes that `git check-ref-format` would refuse, and
nothing that starts with a dash. Branches and tags go out in full (`refs/heads/…`), so that no name can mean another.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from controllers.lang.semver import Constraint, InvalidConstraintError, order_key, parse_tag

from .errors import NotFound, RefusedError

DEFAULT_BRANCH = "master"
HEADS, TAGS = "refs/heads/", "refs/tags/"
_FORBIDDEN = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//")
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
MAX_NAME = 1024

Kind = Literal["commit", "name", "semver", "tag", "branch"]


class RefSpec(Protocol):
    """`spec.ref` of a GitRepository, typed or not."""

    @property
    def branch(self) -> str: ...
    @property
    def tag(self) -> str: ...
    @property
    def semver(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def commit(self) -> str: ...


@dataclass(frozen=True, slots=True)
class RefTarget:
    """What to look for. `value` is an id, a full reference, a range, a tag or a branch; `branch` goes with ids."""

    kind: Kind
    value: str
    branch: str = ""

    @property
    def patterns(self) -> tuple[str, ...]:
        """What to ask `ls-remote` for; empty where a commit needs no asking."""
        match self.kind:
            case "commit":
                return (branch_ref(self.branch),) if self.branch else ()
            case "name":
                return (self.value, f"{self.value}^{{}}")
            case "semver":
                return (f"{TAGS}*",)
            case "tag":
                return (tag_ref(self.value), f"{tag_ref(self.value)}^{{}}")
            case "branch":
                return (branch_ref(self.value),)


@dataclass(frozen=True, slots=True)
class Found:
    """A commit, the full reference under which it was found ("" for a bare id), and the tag object if there is one."""

    commit: str
    ref: str
    tag_object: str = ""

    @property
    def revision(self) -> str:
        """`main@sha1:…`, `v1.0.0@sha1:…`, `refs/pull/1/head@sha1:…` or `sha1:…`."""
        digest = f"{'sha1' if len(self.commit) == 40 else 'sha256'}:{self.commit}"
        name = self.ref.removeprefix(HEADS).removeprefix(TAGS)
        return f"{name}@{digest}" if name else digest


def check_ref(ref: str) -> str:
    """A full reference name (`refs/…`) or HEAD, or Refused."""
    if ref == "HEAD":
        return ref
    parts = ref.split("/")
    bad = (
        not ref.startswith("refs/")
        or len(parts) < 3
        or len(ref) > MAX_NAME
        or _FORBIDDEN.search(ref) is not None
        or any(not part or part.startswith(".") or part.endswith(".lock") for part in parts)
        or ref.endswith((".", "/"))
    )
    if bad:
        raise RefusedError(f"reference {ref[:200]!r}: expected a well-formed full name such as refs/heads/main")
    return ref


def branch_ref(branch: str) -> str:
    """`refs/heads/<branch>`. Refused for a name that is none, starts with a dash or is itself written in full."""
    return HEADS + _short(branch, "branch")


def tag_ref(tag: str) -> str:
    """`refs/tags/<tag>`."""
    return TAGS + _short(tag, "tag")


def _short(name: str, what: str) -> str:
    if not name or name.startswith(("-", "refs/")) or name in ("HEAD", "@"):
        raise RefusedError(f"{what} {name[:200]!r}: expected the short name of a {what}")
    try:
        check_ref(HEADS + name)
    except RefusedError:
        raise RefusedError(f"{what} {name[:200]!r}: expected a well-formed name") from None
    return name


def check_commit(commit: str) -> str:
    """A full commit id in lower case, or Refused."""
    if not _COMMIT.fullmatch(commit.lower()):
        raise RefusedError(f"commit {commit[:80]!r}: expected a full hexadecimal id")
    return commit.lower()


def target(ref: RefSpec | None) -> RefTarget:
    """Which of a `ref`'s fields wins: commit, name, semver, tag, branch; `master` where none is set. Raises
    RefusedError.
    """
    if ref is None:
        return RefTarget("branch", DEFAULT_BRANCH)
    if ref.commit:
        if ref.branch:
            branch_ref(ref.branch)
        return RefTarget("commit", check_commit(ref.commit), ref.branch)
    if ref.name:
        return RefTarget("name", check_ref(ref.name))
    if ref.semver:
        try:
            Constraint.parse(ref.semver)
        except InvalidConstraintError as error:
            raise RefusedError(f"spec.ref.semver: {error}") from None
        return RefTarget("semver", ref.semver)
    if ref.tag:
        tag_ref(ref.tag)
        return RefTarget("tag", ref.tag)
    branch = ref.branch or DEFAULT_BRANCH
    branch_ref(branch)
    return RefTarget("branch", branch)


def select(wanted: RefTarget, advertised: Mapping[str, str]) -> Found:
    """The commit a target means among advertised references (name → id, with `^{}` entries). Raises NotFound.

    A range of versions is decided by precedence, then build metadata, then the tag's own text: the same every time.
    """
    match wanted.kind:
        case "commit":
            return Found(wanted.value, branch_ref(wanted.branch) if wanted.branch else "")
        case "name":
            return _peeled(wanted.value, advertised)
        case "tag":
            return _peeled(tag_ref(wanted.value), advertised)
        case "branch":
            return _peeled(branch_ref(wanted.value), advertised)
        case "semver":
            return _peeled(TAGS + _highest(wanted.value, advertised), advertised)


def _peeled(ref: str, advertised: Mapping[str, str]) -> Found:
    if ref not in advertised:
        raise NotFound(f"reference {ref}: not found in the repository")
    peeled = advertised.get(f"{ref}^{{}}")
    return Found(peeled, ref, advertised[ref]) if peeled else Found(advertised[ref], ref)


def _highest(wanted: str, advertised: Mapping[str, str]) -> str:
    constraint = Constraint.parse(wanted)
    candidates = []
    for ref in advertised:
        if ref.startswith(TAGS) and not ref.endswith("^{}"):
            version = parse_tag(ref.removeprefix(TAGS))
            if version is not None and constraint.check(version):
                candidates.append(version)
    if not candidates:
        raise NotFound(f"no tag matches the semver range {wanted[:200]!r}")
    return max(candidates, key=order_key).original
