"""Kustomization files as wide as Flux reads them, built by kustomize itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from controllers.api.resource import Manifest
from controllers.kustomization.build.kustomization_file import InvalidSourceError
from controllers.kustomization.build.render import render_files

DEPLOYMENT = b"""apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec: {template: {spec: {containers: [{name: web, image: web}]}}}
"""
CONFIG = b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {a: b}\n"
LABELS = b"apiVersion: builtin\nkind: LabelTransformer\nmetadata: {name: l}\nlabels: {team: a}\n" \
    b"fieldSpecs: [{path: metadata/labels, create: true}]\n"  # fmt: skip


def built(root: str, spec: Manifest | None = None, /, *, files: Mapping[str, bytes] | None = None) -> list[Any]:
    """The objects of app/; names of files have `__` for a slash and `_dot_` for a point."""
    named = {name.replace("__", "/").replace("_dot_", "."): content for name, content in (files or {}).items()}
    tree = {"app/d.yaml": DEPLOYMENT, "app/c.yaml": CONFIG, "app/kustomization.yaml": root.encode(), **named}
    return render_files(tree, "app", spec or {})


@pytest.mark.parametrize(
    ("tag", "expected"),
    [
        ("1234567", "1234567"), ("1.10", "1.1"), ("true", "true"), ("5e48573", "5e48573"), ("0755", "493"),
        ("'00918'", "00918"),
        ("1234567e3", "1.234567e+09"), ("2026-01-01", "2026-01-01"),
    ],
)  # fmt: skip
def test_a_tag_that_yaml_reads_as_another_type_becomes_text_as_with_flux(tag: str, expected: str) -> None:
    found = built(f"resources: [d.yaml]\nimages: [{{name: web, newTag: {tag}}}]\n")
    assert found[0]["spec"]["template"]["spec"]["containers"][0]["image"] == f"web:{expected}"


def test_numbers_become_text_in_names_labels_and_annotations() -> None:
    text = "resources: [c.yaml]\nnamespace: 123\nnamePrefix: 1\ncommonAnnotations: {a: '0089', b: 89}\n"
    meta = built(f"{text}labels: [{{pairs: {{x: 1}}}}]\n")[0]["metadata"]
    assert (meta["namespace"], meta["name"]) == ("123", "1c")
    assert meta["annotations"] == {"a": "0089", "b": "89"} and meta["labels"] == {"x": "1"}


def test_unknown_keys_of_the_root_file_are_dropped_and_those_of_others_refused() -> None:
    assert len(built("resources: [c.yaml]\nnotAField: 1\npatches: []\nimages: [{name: x, other: y}]\n")) == 1
    files = {"base__kustomization_dot_yaml": b"resources: [c.yaml]\nnotAField: 1\n", "base__c_dot_yaml": CONFIG}
    with pytest.raises(InvalidSourceError, match=r"base/kustomization\.yaml: notAField"):
        built("resources: [../base]\n", files=files)


def test_a_key_that_differs_from_a_field_by_case_is_refused() -> None:
    with pytest.raises(InvalidSourceError, match=r"images\.0\.newtag: expected newTag"):
        built("resources: [c.yaml]\nimages: [{name: x, newtag: y}]\n")


def test_transformers_and_generators_may_name_a_directory() -> None:
    files = {
        "app__t__kustomization_dot_yaml": b"resources: [l.yaml, deeper]\n", "app__t__l_dot_yaml": LABELS,
        "app__t__deeper__kustomization_dot_yaml": b"resources: [p.yaml]\n",
        "app__t__deeper__p_dot_yaml": b"apiVersion: builtin\nkind: PrefixTransformer\nmetadata: {name: p}\nprefix: p-\n"
        b"fieldSpecs: [{path: metadata/name}]\n",
    }  # fmt: skip
    found = built("resources: [c.yaml]\ntransformers: [t]\n", files=files)
    assert found[0]["metadata"]["labels"] == {"team": "a"} and found[0]["metadata"]["name"] == "p-c"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"resources: [../../../out.yaml]", "leads out"), (b"resources: [l.yaml]\nnamePrefix: x", "resources only"),
        (b"resources: [c.yaml]", "built-in"), (b"resources: [https://x.invalid/y.yaml]", "relative path"),
    ],
)  # fmt: skip
def test_a_directory_of_plugins_is_checked_like_their_files(content: bytes, problem: str) -> None:
    files = {"app__t__kustomization_dot_yaml": content, "app__t__l_dot_yaml": LABELS, "app__t__c_dot_yaml": CONFIG}
    with pytest.raises(InvalidSourceError, match=problem):
        built("resources: [c.yaml]\ntransformers: [t]\n", files=files)


def test_a_replacement_may_carry_its_value() -> None:
    text = "resources: [c.yaml]\nreplacements: [{sourceValue: new, targets: [{select: {kind: ConfigMap}, "
    assert built(f"{text}fieldPaths: [data.a]}}]}}]\n")[0]["data"] == {"a": "new"}


def test_the_specs_build_metadata_replaces_the_files() -> None:
    text = "resources: [c.yaml]\nbuildMetadata: [managedByLabel, originAnnotations]\n"
    meta = built(text)[0]["metadata"]
    assert "app.kubernetes.io/managed-by" in meta["labels"] and "config.kubernetes.io/origin" in meta["annotations"]
    meta = built(text, {"buildMetadata": ["originAnnotations"]})[0]["metadata"]
    assert "labels" not in meta and meta["annotations"]["config.kubernetes.io/origin"] == "path: c.yaml\n"


def test_without_resources_of_its_own_a_file_gives_origin_annotations() -> None:
    found = built("configMapGenerator: [{name: g, literals: [a=b]}]\n")
    assert "configuredBy" in found[0]["metadata"]["annotations"]["config.kubernetes.io/origin"]


def test_names_of_files_may_hold_a_colon() -> None:
    files = {
        "app/a:b.yaml": CONFIG, "app/k:v.txt": b"value", "app/p:q.yaml": b"- {op: add, path: /data/n, value: x}",
        "app/kustomization.yaml": b"resources: ['a:b.yaml']\nconfigMapGenerator: [{name: g, files: ['k=k:v.txt']}]\n"
        b"patches: [{path: 'p:q.yaml', target: {name: c}}]\n",
    }  # fmt: skip
    assert [each["data"] for each in render_files(files, "app", {})] == [{"a": "b", "n": "x"}, {"k": "value"}]
    assert len(render_files({"app/a:b.yaml": CONFIG + b"immutable: !!bool true\n"}, "app", {})) == 1
    for name in ("gh:a/b", "https://a.invalid/b", "a@b:c"):
        with pytest.raises(InvalidSourceError, match="relative path"):
            render_files({**files, "app/kustomization.yaml": f"resources: ['{name}']".encode()}, "app", {})
