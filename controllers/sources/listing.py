"""The files of a commit before anything is chosen among them, and how several become one tree. Pure.

Submodules and included repositories are mounted: their paths get a prefix, their contents are read by their own
mirrors. What is left out is decided at the end, by the patterns of all `.sourceignore` files together.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from controllers.git.errors import RefusedError, TooLarge
from controllers.lang.gitignore import TooManyPatternsError, parse_file, selected

from .tree import Node, Tree

Reader = Callable[[list[str]], Mapping[str, bytes]]
MAX_NODES = 400_000


@dataclass(frozen=True, slots=True)
class Listing:
    """`nodes` by path, files and links alike; `links` are submodules (path → commit)."""

    nodes: Mapping[str, Node]
    reader: Reader
    ignores: Mapping[str, str] = field(default_factory=dict)
    """Texts of the `.sourceignore` files."""
    links: Mapping[str, str] = field(default_factory=dict)
    modules: bytes = b""
    """`.gitmodules`."""
    known: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    """Contents that were read with the listing."""


def check_ignore(text: str | None) -> None:
    """Raises RefusedError for a `spec.ignore` that cannot be matched in reasonable time."""
    try:
        parse_file(text or "")
    except TooManyPatternsError as error:
        raise RefusedError(f"spec.ignore: {error}") from None


def below(listing: Listing, sparse: tuple[str, ...]) -> Listing:
    """Only these directories; all where none is named. Raises RefusedError for one that the repository lacks."""
    roots = [posixpath.normpath(each).lstrip("/") or "." for each in sparse]
    for index, root in enumerate(roots):
        if root != "." and not any(path.startswith(f"{root}/") for path in listing.nodes):
            raise RefusedError(f"spec.sparseCheckout[{index}]: directory {root[:200]!r} not found in the repository")
    if not roots or "." in roots:
        return listing
    kept = {path: node for path, node in listing.nodes.items() if any(path.startswith(f"{root}/") for root in roots)}
    return replace(listing, nodes=kept)


def mounted(base: Listing, at: str, other: Listing, *, start: str = "", what: str) -> Listing:
    """`base` with the part `start` of `other` at a path of its own. Raises RefusedError, TooLarge."""
    if at in base.nodes or any(path.startswith(f"{at}/") for path in base.nodes):
        raise RefusedError(f"{what}: {at!r} exists in the repository")
    if any(at.startswith(f"{path}/") for path in base.nodes):
        raise RefusedError(f"{what}: {at!r} is below a file of the repository")

    def moved(path: str) -> str | None:
        if not start:
            return f"{at}/{path}"
        if path == start:
            return at
        return f"{at}/{path.removeprefix(f'{start}/')}" if path.startswith(f"{start}/") else None

    origin = {new: path for path in other.nodes if (new := moved(path)) is not None}
    if start and not origin:
        raise RefusedError(f"{what}: {start!r} is not in the included repository")
    nodes = {**base.nodes, **{new: other.nodes[path] for new, path in origin.items()}}
    if len(nodes) > MAX_NODES:
        raise TooLarge(f"{what}: more than {MAX_NODES} files together")

    def read(paths: list[str]) -> Mapping[str, bytes]:
        theirs = {path: origin[path] for path in paths if path in origin}
        ours = [path for path in paths if path not in origin]
        found = other.reader(list(theirs.values())) if theirs else {}
        return {**(base.reader(ours) if ours else {}), **{path: found[old] for path, old in theirs.items()}}

    return replace(
        base,
        nodes=nodes,
        reader=read,
        ignores={**base.ignores, **{new: other.ignores[old] for new, old in origin.items() if old in other.ignores}},
        known={**base.known, **{new: other.known[old] for new, old in origin.items() if old in other.known}},
    )


def tree_of(listing: Listing, ignore: str | None) -> Tree:
    """What belongs to the source. Raises TooLarge for patterns without end."""
    try:
        matcher = selected(listing.ignores, ignore)
    except TooManyPatternsError as error:
        raise TooLarge(str(error)) from None
    nodes = {path: node for path, node in listing.nodes.items() if not matcher.ignores(path)}
    return Tree(nodes, listing.reader, {path: text for path, text in listing.known.items() if path in nodes})
