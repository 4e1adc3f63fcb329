"""Who may do what: RBAC over the roles and bindings that are stored now, the roles every cluster has, and the guard
against granting more than one holds. What it keeps of roles and bindings it keeps within each write, so a binding
counts from the next request on."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

from controllers.api.resource import Manifest

from ..seams import Admission, Attributes, Decision, KindInfo, Storage, StorageChange, User
from ..status_errors import forbidden, not_found
from .bindings import Bindings
from .rbac import AGGREGATED_ROLES, DEFAULT_BINDINGS, DEFAULT_ROLES, MASTERS, Rule, bound_as, missing, rules_of

GROUP = "rbac.authorization.k8s.io"
_ROLES = ("roles", "clusterroles")
_BINDINGS = ("rolebindings", "clusterrolebindings")


class Rbac:
    """seams.Authorizer. `bind` gives it the storage before the first request."""

    def __init__(self) -> None:
        self._storage: Storage | None = None
        self._parsed: dict[tuple[str, str], list[Rule]] = {}
        self._bindings = Bindings()
        self._sums: dict[str, list[Rule]] = {}
        """The rules of aggregated roles, until a cluster role changes."""
        self._due = asyncio.Event()

    async def bind(self, storage: Storage) -> None:
        """A seams.Controller: takes the storage and makes the roles that every cluster has; then writes the rules of
        aggregated roles, as the parts of these come and go.
        """
        kinds = [kind for plural in _BINDINGS if (kind := storage.kind(GROUP, plural))]
        for kind in kinds:
            for binding in storage.list(kind):
                self._bindings.heard(StorageChange("ADDED", kind, binding, None))
        ends = [storage.listen(self._bindings.heard, *kinds)]
        if roles := storage.kind(GROUP, "clusterroles"):
            ends.append(storage.listen(self._role_changed, roles))
        self._storage = storage
        ensure_defaults(storage)
        try:
            while True:
                await self._due.wait()
                self._due.clear()
                self._write_sums(storage)
        finally:
            for end in ends:
                end()

    def _role_changed(self, change: StorageChange) -> None:
        self._sums.clear()
        self._due.set()

    def _write_sums(self, storage: Storage) -> None:
        kind = self._kind("clusterroles")
        for role in storage.list(kind):
            if not role.get("aggregationRule") or role["metadata"].get("deletionTimestamp"):
                continue
            rules: list[Manifest] = []
            for part in self._aggregated(role):
                rules += [rule for rule in part.get("rules") or () if rule not in rules]
            if (role.get("rules") or []) != rules:
                body = {
                    "apiVersion": f"{GROUP}/v1",
                    "kind": "ClusterRole",
                    "metadata": {"name": role["metadata"]["name"]},
                }
                storage.apply(kind, {**body, "rules": rules}, field_manager="clusterrole-aggregation-controller")

    def authorize(self, user: User, attributes: Attributes) -> Decision:
        if MASTERS in user.groups:
            return Decision(True)
        if self._storage is None:
            return Decision(False, "the server is starting")
        for binding, scope in self._bound(user, attributes.namespace):
            if any(rule.allows(attributes) for rule in self.role_rules(binding.get("roleRef") or {}, scope)):
                return Decision(True, _source(binding, scope, user))
        return Decision(False, self._absent_roles(user, attributes.namespace))

    def _absent_roles(self, user: User, namespace: str) -> str:
        """Said in refusals: the roles that the user is bound to and that do not exist."""
        absent = []
        for binding, scope in self._bound(user, namespace):
            reference = binding.get("roleRef") or {}
            if self._role(reference, scope) is None:
                kind = "clusterrole" if reference.get("kind") == "ClusterRole" else "role"
                absent.append(f'{kind}.{GROUP} "{reference.get("name", "")}" not found')
        return "" if not absent else f"RBAC: {absent[0]}" if len(absent) == 1 else f"RBAC: [{', '.join(absent)}]"

    def _role(self, reference: Manifest, namespace: str) -> Manifest | None:
        plural = "clusterroles" if reference.get("kind") == "ClusterRole" else "roles"
        return self._find(plural, reference.get("name", ""), "" if plural == "clusterroles" else namespace)

    def rules(self, user: User, namespace: str) -> list[tuple[Rule, str]]:
        """All rules that hold for a user in a namespace ("": cluster-wide ones alone), each with where it comes
        from.
        """
        found: list[tuple[Rule, str]] = []
        for binding, scope in self._bound(user, namespace):
            source = _source(binding, scope, user)
            found += [(rule, source) for rule in self.role_rules(binding.get("roleRef") or {}, scope)]
        return found

    def _bound(self, user: User, namespace: str) -> Iterator[tuple[Manifest, str]]:
        """The bindings that name a user, each with its scope: those of the cluster, then those of the namespace."""
        for scope in ("", namespace) if namespace else ("",):
            for binding in self._bindings.of(user, scope):
                yield binding, scope

    def role_rules(self, reference: Manifest, namespace: str) -> list[Rule]:
        """The rules of the role that a binding names; none where it does not exist."""
        role = self._role(reference, namespace)
        if role is None:
            return []
        if not role.get("aggregationRule"):
            return self._rules(role)
        name = role["metadata"]["name"]
        if name not in self._sums:
            self._sums[name] = [rule for part in self._aggregated(role) for rule in self._rules(part)]
        return self._sums[name]

    def _rules(self, role: Manifest) -> list[Rule]:
        """Parsed once per version of a role."""
        key = (role["metadata"].get("uid", ""), role["metadata"].get("resourceVersion", ""))
        if key not in self._parsed:
            if len(self._parsed) > 5000:
                self._parsed.clear()
            self._parsed[key] = rules_of(role)
        return self._parsed[key]

    def _aggregated(self, role: Manifest) -> list[Manifest]:
        selectors = [
            item.get("matchLabels") or {} for item in role["aggregationRule"].get("clusterRoleSelectors") or ()
        ]
        name = role["metadata"]["name"]
        return [
            part
            for part in self._list("clusterroles", "")
            if part["metadata"]["name"] != name and any(_matches(part, labels) for labels in selectors)
        ]

    def _kind(self, plural: str) -> KindInfo:
        assert self._storage is not None  # noqa: S101 - asked after bind
        kind = self._storage.kind(GROUP, plural)
        if kind is None:
            raise RuntimeError(f"{plural} are not served")
        return kind

    def _list(self, plural: str, namespace: str) -> list[Manifest]:
        assert self._storage is not None  # noqa: S101
        return self._storage.list(self._kind(plural), namespace)

    def _find(self, plural: str, name: str, namespace: str) -> Manifest | None:
        assert self._storage is not None  # noqa: S101
        return self._storage.find(self._kind(plural), name, namespace)

    # --- escalation

    def guard(self, admission: Admission, storage: Storage) -> Manifest | None:
        """An AdmissionHook: nobody writes a role or binding that grants more than they hold (or may
        `escalate`/`bind`).
        """
        if admission.kind.group != GROUP or admission.object is None or MASTERS in admission.user.groups:
            return None
        if admission.kind.plural in _ROLES:
            self._guard_role(admission, admission.object)
        elif admission.kind.plural in _BINDINGS:
            self._guard_binding(admission, admission.object)
        return None

    def _guard_role(self, admission: Admission, role: Manifest) -> None:
        if admission.old is not None and admission.old.get("rules") == role.get("rules"):
            return
        if self._may("escalate", admission.kind.plural, admission.name, admission):
            return
        self._refuse(admission, rules_of(role))

    def _guard_binding(self, admission: Admission, binding: Manifest) -> None:
        old = admission.old or {}
        if all(old.get(part) == binding.get(part) for part in ("roleRef", "subjects")):
            return
        reference = binding.get("roleRef") or {}
        plural = "clusterroles" if reference.get("kind") == "ClusterRole" else "roles"
        if self._may("bind", plural, reference.get("name", ""), admission):
            return
        if self._role(reference, admission.namespace) is None:
            raise not_found(GROUP, admission.kind.plural, admission.name)
        self._refuse(admission, self.role_rules(reference, admission.namespace))

    def _may(self, verb: str, plural: str, name: str, admission: Admission) -> bool:
        asked = Attributes(verb, GROUP, "v1", plural, "", admission.namespace, name)
        return self.authorize(admission.user, asked).allowed

    def _refuse(self, admission: Admission, wanted: list[Rule]) -> None:
        held = [rule for rule, _ in self.rules(admission.user, admission.namespace)]
        lacking = missing(wanted, held)
        if not lacking:
            return
        groups = " ".join(f'"{group}"' for group in admission.user.groups)
        why = (
            f'user "{admission.user.name}" (groups=[{groups}]) is attempting to grant RBAC permissions not currently '
            "held:\n" + "\n".join(map(str, lacking))
        )
        raise forbidden(GROUP, admission.kind.plural, admission.name, why)


def _source(binding: Manifest, scope: str, user: User) -> str:
    """Said in reviews: by what a user may do it."""
    reference = binding.get("roleRef") or {}
    name = "/".join(filter(None, (binding["metadata"]["name"], scope)))
    return (
        f'RBAC: allowed by {binding["kind"]} "{name}" of {reference.get("kind")} "{reference.get("name")}" '
        f"to {bound_as(binding, user)}"
    )


def _matches(role: Manifest, labels: dict[str, str]) -> bool:
    own = role["metadata"].get("labels") or {}
    return all(own.get(name) == value for name, value in labels.items())


def ensure_defaults(storage: Storage) -> None:
    """Makes the default cluster roles and bindings where they are not there."""
    for name, rules in DEFAULT_ROLES.items():
        _ensure(storage, "clusterroles", name, {"rules": rules})
    for name, (label, rules) in AGGREGATED_ROLES.items():
        _ensure(storage, "clusterroles", f"system:aggregate-to-{name}", {"rules": rules}, {label: "true"})
        selector = {"clusterRoleSelectors": [{"matchLabels": {label: "true"}}]}
        _ensure(storage, "clusterroles", name, {"aggregationRule": selector, "rules": []})
    for name, groups in DEFAULT_BINDINGS.items():
        reference = {"apiGroup": GROUP, "kind": "ClusterRole", "name": name}
        subjects = [{"kind": "Group", "apiGroup": GROUP, "name": group} for group in groups]
        _ensure(storage, "clusterrolebindings", name, {"roleRef": reference, "subjects": subjects})


def _ensure(
    storage: Storage, plural: str, name: str, content: dict[str, Any], labels: dict[str, str] | None = None
) -> None:
    kind = storage.kind(GROUP, plural)
    if kind is None or storage.find(kind, name) is not None:
        return
    body = {
        "apiVersion": f"{GROUP}/v1",
        "kind": kind.kind,
        "metadata": {"name": name, "labels": {"kubernetes.io/bootstrapping": "rbac-defaults", **(labels or {})}},
        **content,
    }
    storage.create(kind, body, field_manager="kube-apiserver")
