"""What a revision text names: `main@sha1:<40 hex>`, `sha1:<hex>`, and the older `main/<hex>`.

Revisions stand in status fields of sources and Kustomizations and are compared by people and tools, so they are written
in one form only and read in every form that was ever written. A text that is none of them has no hash: ask, don't
guess.
"""

from __future__ import annotations

from dataclasses import dataclass

ALGORITHMS = {40: "sha1", 64: "sha256"}
"""Length of a hexadecimal object name → the hash function of the repository."""

BRANCHES, TAGS = "refs/heads/", "refs/tags/"


@dataclass(frozen=True, slots=True)
class Revision:
    """A commit and the name under which it was found ("" where it was asked for by its hash alone)."""

    pointer: str
    hash: str

    def __str__(self) -> str:
        """The canonical form: `pointer@sha1:hash`, or `sha1:hash` without a pointer."""
        text = digest(self.hash)
        if not text:
            return self.pointer
        return f"{self.pointer}@{text}" if self.pointer else text


def digest(object_name: str | None) -> str:
    """`sha1:<hex>` or `sha256:<hex>` by the length of a hexadecimal object name; "" for no name."""
    if not object_name:
        return ""
    return f"{ALGORITHMS.get(len(object_name), '<unknown>')}:{object_name}"


def parse(text: str) -> Revision:
    """A revision in any of its forms. `HEAD/<hex>` names no pointer: HEAD says nothing about where it was found."""
    pointer, at, rest = text.rpartition("@")
    if at or ":" in rest:
        algorithm, _, name = rest.partition(":")
        return Revision(pointer, name) if name else Revision(pointer, algorithm)
    pointer, slash, name = text.rpartition("/")
    if slash and len(name) in ALGORITHMS and _is_hex(name):
        return Revision("" if pointer == "HEAD" else pointer, name)
    return Revision("", text) if len(text) in ALGORITHMS and _is_hex(text) else Revision(text, "")


def same_commit(one: str, other: str) -> bool:
    """Do two revision texts name the same commit, whatever their form? False where either names none."""
    return bool(parse(one).hash) and parse(one).hash == parse(other).hash


def of_commit(object_name: str, reference: str = "") -> Revision:
    """The revision of a commit found under a full reference: `refs/heads/` and `refs/tags/` are left off, others
    kept."""
    for prefix in (BRANCHES, TAGS):
        if reference.startswith(prefix):
            return Revision(reference.removeprefix(prefix), object_name)
    return Revision(reference, object_name)


def of_tag(name: str, object_name: str = "") -> str:
    """How a tag is shown: `v1.0.0@<hex>` when annotated (it has an object of its own), else its name."""
    return f"{name}@{object_name}" if object_name else name


def short_message(message: str, limit: int = 50) -> str:
    """The first line of a commit message, cut to `limit` characters and marked with dots where cut."""
    subject = message.partition("\n")[0]
    return f"{subject[:limit]}..." if len(subject) > limit else subject


def _is_hex(text: str) -> bool:
    return all(character in "0123456789abcdef" for character in text)
