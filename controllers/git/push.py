"""Pushing commits to a host.

A plain push is refused by the host when the branch has moved: that is `NonFastForwardError`, and the caller computes
again
on the new head. Force exists only with a lease: the caller names the commit it expects to replace. What a host says
about a refusal is read for its class and not repeated.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .errors import GitError, LeaseLostError, NonFastForwardError, PushRefusedError, RefusedError, classify
from .mirrors import Mirror
from .refs import check_commit, check_ref

ABSENT = ""
"""As a lease: the reference must not exist."""


@dataclass(frozen=True, slots=True)
class PushRef:
    """One reference to set. `source` is a commit id or a full reference of the mirror; `lease` is the id that a forced
    update replaces (`ABSENT`: create only); None: fast-forward only."""

    source: str
    ref: str
    lease: str | None = None


def parse_refspec(refspec: str) -> tuple[str, str]:
    """`source:destination` (or one name for both) as full references. Refused: force, deletion, wildcards."""
    if refspec.startswith("+"):
        raise RefusedError("spec.git.push.refspec: found '+', expected a refspec that does not force")
    source, colon, destination = refspec.partition(":")
    if not source or (colon and not destination):
        raise RefusedError("spec.git.push.refspec: found an empty side, expected source:destination")
    return _full(source), _full(destination if colon else source)


def _full(name: str) -> str:
    return name if name == "HEAD" else check_ref(name if name.startswith("refs/") else f"refs/heads/{name}")


def push(mirror: Mirror, refs: Sequence[PushRef], *, options: Mapping[str, str] | None = None) -> None:
    """Pushes all references or raises: NonFastForwardError, LeaseLostError, PushRefusedError, AuthFailed,
    Unreachable, …
    """
    if not refs:
        raise RefusedError("push: found no reference, expected at least one")
    arguments = ["push", "--porcelain", "--no-verify", "--no-recurse-submodules", "--no-signed", "--no-follow-tags"]
    if len(refs) > 1:
        arguments.append("--atomic")
    for key, value in (options or {}).items():
        arguments.append(f"--push-option={_option(key, value)}")
    specs = []
    for one in refs:
        check_ref(one.ref)
        source = check_commit(one.source) if not one.source.startswith("refs/") else check_ref(one.source)
        if one.lease is not None:
            expected = check_commit(one.lease) if one.lease else ""
            arguments.append(f"--force-with-lease={one.ref}:{expected}")
        specs.append(f"{source}:{one.ref}")
    what = f"pushing to {mirror.remote.url}"
    git_arguments = [*arguments, "--", mirror.remote.url, *specs]
    done = mirror.git.start(*git_arguments, git_dir=mirror.path, remote=mirror.remote, what=what)
    for line in done.stdout.decode(errors="replace").splitlines():  # git exits 1 and says here which it was
        if line.startswith("!"):
            raise _rejected(line, what)
    if done.code:
        raise classify(done.stderr, what)


def _rejected(line: str, what: str) -> GitError:
    fields = line.split("\t")
    ref = fields[1].rpartition(":")[2] if len(fields) > 1 else "a reference"
    reason = fields[2] if len(fields) > 2 else ""
    if "stale info" in reason:
        return LeaseLostError(f"{what}: {ref} changed since it was read")
    if "fetch first" in reason or "non-fast-forward" in reason or "reference already exists" in reason:
        return NonFastForwardError(f"{what}: {ref} has moved")
    if "failed to update ref" in reason or "cannot lock ref" in reason or "incorrect old value" in reason:
        return NonFastForwardError(f"{what}: {ref} was updated concurrently")
    if "hook declined" in reason or "protected" in reason:
        return PushRefusedError(f"{what}: {ref} is protected by a rule of the host")
    return PushRefusedError(f"{what}: the host refused {ref}")


def _option(key: str, value: str) -> str:
    text = f"{key}={value}" if value else key
    if not key or any(ord(character) < 0x20 or character == "\x7f" for character in text):
        raise RefusedError("spec.git.push.options: found an empty key or control characters, expected one line of text")
    return text
