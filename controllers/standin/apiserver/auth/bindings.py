"""Which bindings name a user: an index over all role bindings, kept at each write.

A request is authorized by the few bindings that name its user or one of its groups, however many there are: a walk
over all of them at each request is what makes a server slow with two hundred tenants. The index hears of a write
before the write is answered, so a binding counts from the next request on.
"""

from __future__ import annotations

from collections.abc import Iterator

from controllers.api.resource import Manifest

from ..seams import StorageChange, User

_Subject = tuple[str, str, str]
"""Scope ("" for the cluster, else a namespace), User or Group, name."""


class Bindings:
    """ClusterRoleBindings and RoleBindings by whom they name."""

    def __init__(self) -> None:
        self._found: dict[_Subject, dict[str, Manifest]] = {}

    def heard(self, change: StorageChange) -> None:
        """A write of a binding."""
        name = change.object["metadata"]["name"]
        if change.old is not None:
            for subject in _subjects(change.old):
                named = self._found.get(subject, {})
                named.pop(name, None)
                if not named:
                    self._found.pop(subject, None)
        if change.type != "DELETED":
            for subject in _subjects(change.object):
                self._found.setdefault(subject, {})[name] = change.object

    def of(self, user: User, scope: str) -> list[Manifest]:
        """The bindings of a scope that name a user, by name."""
        found = dict(self._found.get((scope, "User", user.name), {}))
        for group in user.groups:
            found.update(self._found.get((scope, "Group", group), {}))
        return [found[name] for name in sorted(found)]


def _subjects(binding: Manifest) -> Iterator[_Subject]:
    scope = binding["metadata"].get("namespace") or ""
    for subject in binding.get("subjects") or ():
        kind, name = subject.get("kind"), subject.get("name", "")
        if kind in ("User", "Group"):
            yield (scope, kind, name)
        elif kind == "ServiceAccount":
            yield (scope, "User", f"system:serviceaccount:{subject.get('namespace') or scope}:{name}")
