"""The index of bindings names the same bindings as a walk over all of them."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from controllers.standin.apiserver.auth.bindings import Bindings
from controllers.standin.apiserver.auth.rbac import binds
from controllers.standin.apiserver.seams import KindInfo, StorageChange, User

KIND = KindInfo("rbac.authorization.k8s.io", "v1", "rolebindings", "RoleBinding", True)
NAMES = st.sampled_from(["ann", "bob", "devs"])
SCOPES = st.sampled_from(["", "one", "two"])
SUBJECTS = st.one_of(
    st.fixed_dictionaries({"kind": st.sampled_from(["User", "Group"]), "name": NAMES}),
    st.fixed_dictionaries({"kind": st.just("ServiceAccount"), "name": NAMES}, optional={"namespace": SCOPES}),
)
WRITES = st.lists(st.tuples(SCOPES, st.sampled_from("abc"), st.none() | st.lists(SUBJECTS, max_size=3)), max_size=12)
USERS = st.builds(
    lambda name, groups: User(name, tuple(groups)),
    st.one_of(NAMES, st.builds("system:serviceaccount:{}:{}".format, st.sampled_from(["one", "two"]), NAMES)),
    st.lists(NAMES, max_size=2, unique=True),
)


def binding(scope: str, name: str, subjects: list[dict[str, Any]]) -> dict[str, Any]:
    meta = {"name": name, **({"namespace": scope} if scope else {})}
    return {"kind": "RoleBinding", "metadata": meta, "subjects": subjects}


@given(writes=WRITES, user=USERS)
def test_the_index_finds_what_a_walk_over_all_bindings_finds(writes: Any, user: User) -> None:
    index = Bindings()
    stored: dict[tuple[str, str], dict[str, Any]] = {}
    for scope, name, subjects in writes:
        old = stored.get((scope, name))
        if subjects is None:
            if old is not None:
                index.heard(StorageChange("DELETED", KIND, stored.pop((scope, name)), old))
            continue
        new = stored[scope, name] = binding(scope, name, subjects)
        index.heard(StorageChange("MODIFIED" if old else "ADDED", KIND, new, old))
    for scope in ("", "one", "two"):
        walked = [item for (where, _), item in sorted(stored.items()) if where == scope and binds(item, user)]
        assert index.of(user, scope) == walked
