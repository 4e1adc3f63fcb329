"""Fields that are accepted and not served are named, whatever stands around them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controllers.api.crdgen import KINDS, crds
from controllers.api.unsupported import UNSUPPORTED, unsupported


@pytest.mark.parametrize(
    ("kind", "spec", "paths"),
    [
        ("Kustomization", {"sourceRef": {"kind": "GitRepository"}}, []),
        ("Kustomization", {"sourceRef": {"kind": "Bucket"}}, ["spec.sourceRef.kind=Bucket"]),
        ("Nothing", {"any": 1}, []),
    ],
)
def test_what_is_not_served_is_named_by_its_path(kind: str, spec: dict[str, Any], paths: list[str]) -> None:
    assert unsupported({"kind": kind, "spec": spec}) == paths


def test_items_of_lists_are_named_by_their_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(UNSUPPORTED, "Example", ("spec.data[].from.ref", "spec.list", "spec.flag"))
    spec = {"data": [{}, {"from": {"ref": {}}}, {"from": None}, "odd"], "list": [], "flag": False}
    assert unsupported({"kind": "Example", "spec": spec}) == ["spec.data[1].from.ref"]


def test_the_table_names_fields_that_exist() -> None:
    roots = {crd["spec"]["names"]["kind"]: crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"] for crd in crds()}
    for kind, entries in UNSUPPORTED.items():
        for entry in entries:
            node, (path, _, values) = roots[kind], entry.partition("=")
            for step in path.split("."):
                if step.startswith("!"):
                    assert set(step[1:].split("|")) <= set(node["properties"])
                    break
                node = node["properties"][step.removesuffix("[]")]
                node = node["items"] if step.endswith("[]") else node
            assert not values or set(values.split("|")) <= set(node["enum"])


@given(
    st.sampled_from([kind.resource.kind for kind in KINDS]),
    st.recursive(
        st.none() | st.text(max_size=4),
        lambda inner: (
            st.lists(inner, max_size=2)
            | st.dictionaries(
                st.sampled_from(["spec", "provider", "aws", "data", "sourceRef", "kind"]), inner, max_size=3
            )
        ),
    ),
)
def test_manifests_of_any_shape_are_answered(kind: str, spec: Any) -> None:
    assert isinstance(unsupported({"kind": kind, "spec": spec}), list)
