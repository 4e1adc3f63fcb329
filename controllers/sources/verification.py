"""`spec.verify` of a GitRepository: which objects must be signed, and what a condition says of it. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from controllers.git.errors import GitError, RefusedError
from controllers.git.refs import TAGS, Found
from controllers.git.verify import UnverifiedError, Verifier, signed_commit, signed_tag

MODES = {"head": (False, True), "tag": (True, False), "tagandhead": (True, True)}
"""By mode: must the tag be signed, must the commit?"""


class InvalidTagError(GitError):
    """A tag that is not signed, or says something else than where it was found."""

    reason = "InvalidTagSignature"


class InvalidModeError(RefusedError):
    reason = "InvalidVerificationMode"


def check_mode(mode: str, ref: str) -> None:
    """Raises InvalidModeError where a tag must be verified and the reference names none."""
    if MODES[mode.lower()][0] and not ref.startswith(TAGS):
        raise InvalidModeError("spec.verify.mode: cannot verify a tag's signature, for spec.ref names no tag")


def verified(objects: Sequence[bytes], found: Found, verifier: Verifier, mode: str) -> str:
    """Checks the commit's content and, where there is one, the tag object's. Raises InvalidTagError,
    UnverifiedError, InvalidModeError.
    """
    check_mode(mode, found.ref)
    tag, head = MODES[mode.lower()]
    said: list[str] = []
    if tag:
        name = found.ref.removeprefix(TAGS)
        if len(objects) < 2:
            raise InvalidTagError(f"cannot verify signature of tag '{name}' since it is not an annotated tag")
        _check_tag(objects[1], found, name)
        try:
            said.append(f"tag '{name}' with key '{verifier.verify(signed_tag(objects[1]))}'")
        except UnverifiedError as error:
            raise InvalidTagError(f"signature verification of tag '{name}' failed: {error.message}") from None
    if head:
        try:
            said.append(f"commit '{found.commit}' with key '{verifier.verify(signed_commit(objects[0]))}'")
        except UnverifiedError as error:
            text = f"signature verification of commit '{found.commit}' failed: {error.message}"
            raise UnverifiedError(text) from None
    return f"verified signature of {' and '.join(said)}"


def _check_tag(content: bytes, found: Found, name: str) -> None:
    """A signed tag under another name, or of another commit, is a signature that was carried elsewhere."""
    head = content.partition(b"\n\n")[0].decode("utf-8", "replace").split("\n")
    fields = dict(line.partition(" ")[::2] for line in reversed(head))
    if fields.get("object") != found.commit or fields.get("type") != "commit":
        raise InvalidTagError(f"tag '{name}' names another object than commit '{found.commit}'")
    if fields.get("tag") != name:
        raise InvalidTagError(f"tag '{name}' was signed as '{fields.get('tag', '')[:100]}'")
