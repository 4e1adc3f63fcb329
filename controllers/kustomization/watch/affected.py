"""Which Kustomizations a new revision concerns, told from the paths that differ. Pure.

It decides who is looked at first and never who is looked at: every Kustomization comes to name the new revision, and
its own render key decides whether anything is built. So it may take too much for concerned (a directory that a file was
read from, all below it), and takes for concerned whatever is not known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from controllers.api.resource import Key, Manifest, key_of
from controllers.kustomization.objects.references import dependencies_of
from controllers.sources.tree import Reads


def reads_of(directory: str, paths: Iterable[str]) -> Reads:
    """Where a render reads: its own directory and those of all files that it read."""
    return frozenset({directory, *(path.rpartition("/")[0] for path in paths)})


def concerned(
    users: Sequence[Manifest], changed: Reads | None, reads: Callable[[Key], Reads | None]
) -> tuple[list[Key], list[Key]]:
    """(at once, later) of the Kustomizations that use a source. `changed` None: not known, all at once.

    `reads` gives what a Kustomization's last complete render read; None where there is none. What those at once wait
    for by dependsOn comes with them, for a dependency has to name the revision before its dependants go on.
    """
    keys = {key_of(each): each for each in users}
    now: dict[Key, None] = {}
    for key in keys:
        known = reads(key)
        if changed is None or known is None or not known.isdisjoint(changed):
            now[key] = None
    todo = list(now)
    while todo:
        for key in dependencies_of(keys[todo.pop()]):
            if key in keys and key not in now:
                now[key] = None
                todo.append(key)
    return list(now), [key for key in keys if key not in now]
