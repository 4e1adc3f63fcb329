"""A directory without a kustomization file gives what kustomize gives, as with Flux."""

from __future__ import annotations

from typing import Any

import pytest

from controllers.kustomization.build.kustomization_file import InvalidSourceError
from controllers.kustomization.build.render import render_files

HEAD = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: c\n"


def rendered(text: str) -> list[Any]:
    return render_files({"app/x.yaml": text.encode()}, "app", {})


def test_unquoted_annotations_become_text() -> None:
    text = f"{HEAD}  annotations:\n    prometheus.io/port: 8080\n    prometheus.io/scrape: true\n    empty: null\n"
    annotations = rendered(text)[0]["metadata"]["annotations"]
    assert annotations["prometheus.io/port"] == "8080" and annotations["prometheus.io/scrape"] == "true"
    assert all(isinstance(value, str) for value in annotations.values())


def test_objects_marked_local_are_dropped() -> None:
    text = f"{HEAD}  annotations: {{config.kubernetes.io/local-config: 'true'}}\n"
    assert rendered(text) == []
    assert len(rendered(f"{text}---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: kept}}\n")) == 1


def test_annotations_of_kustomizes_own_tools_are_removed() -> None:
    tools = "".join(f"    {name}config.kubernetes.io/index: '0'\n" for name in ("", "internal."))
    text = f"{HEAD}  annotations:\n{tools}    a: b\n"
    assert rendered(text)[0]["metadata"]["annotations"] == {"a": "b"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("5e48573", "5e48573"), ('"5e48573"', "5e48573"), ("yes", "yes"), ("off", "off"), ("1e3", 1000), ("0o17", 15),
        ("0089", 89), ("'0089'", "0089"), (">\n    a\n     b\n", "a\n\n b\n"), ("0x10", 16), ("&x v", "v"),
        ("!!str 1", "1"), ("2026-01-01", "2026-01-01T00:00:00Z"),
        ("0x52b7d2dcc80cd2e4000000", "0x52b7d2dcc80cd2e4000000"),
    ],
)  # fmt: skip
def test_values_are_the_same_with_and_without_a_kustomization_file(text: str, expected: Any) -> None:
    manifest = f"{HEAD}data:\n  field: {text}\n"
    assert rendered(manifest)[0]["data"]["field"] == expected
    files = {"app/x.yaml": manifest.encode(), "app/kustomization.yaml": b"resources: [x.yaml]"}
    assert render_files(files, "app", {})[0]["data"]["field"] == expected


def test_two_files_with_one_object_are_refused_by_name() -> None:
    files = {"app/a.yaml": HEAD.encode(), "app/b.yaml": f"{HEAD}data: {{a: yes}}\n".encode()}
    with pytest.raises(InvalidSourceError, match="ConfigMap/c is defined twice"):
        render_files(files, "app", {})
