"""Which files a build reads; every way out of the tree refused before anything runs."""

from __future__ import annotations

from typing import Any

import pytest

from controllers.kustomization.build.kustomization_file import InvalidSourceError
from controllers.kustomization.build.render import find_source, render_files
from controllers.lang.yaml_dump import dump
from controllers.sources.tree import InvalidPathError, Node, Tree, of_files

CONFIG = b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\n"


def source(kustomization: dict[str, Any], **files: bytes) -> Any:
    tree = of_files({"app/kustomization.yaml": dump(kustomization).encode(), "secret.txt": b"x", **files})
    return find_source(tree, "app", {})


OUTSIDE = ["https://evil.example/x.yaml", "/etc/passwd", "../../x", "git::file:///srv", "github.com/o/r", "a@b:c/d",
           "file:///etc/passwd", "ssh://git@h/r", "http://169.254.169.254/latest", "gone.yaml"]  # fmt: skip


@pytest.mark.parametrize("path", OUTSIDE)
@pytest.mark.parametrize(
    "field",
    [
        lambda p: {"resources": [p]}, lambda p: {"bases": [p]}, lambda p: {"components": [p]}, lambda p: {"crds": [p]},
        lambda p: {"configurations": [p]}, lambda p: {"openapi": {"path": p}}, lambda p: {"patches": [{"path": p}]},
        lambda p: {"patchesJson6902": [{"path": p}]}, lambda p: {"patchesStrategicMerge": [p]},
        lambda p: {"replacements": [{"path": p}]}, lambda p: {"transformers": [p]}, lambda p: {"generators": [p]},
        lambda p: {"validators": [p]}, lambda p: {"configMapGenerator": [{"name": "x", "files": [p]}]},
        lambda p: {"configMapGenerator": [{"name": "x", "files": [f"key={p}"]}]},
        lambda p: {"secretGenerator": [{"name": "x", "envs": [p]}]},
        lambda p: {"secretGenerator": [{"name": "x", "env": p}]},
    ],
)  # fmt: skip
def test_no_field_leads_out_of_the_tree(field: Any, path: str) -> None:
    with pytest.raises(InvalidSourceError):
        source(field(path))


@pytest.mark.parametrize(
    "content",
    [
        {"Resources": ["x"]}, {"helmCharts": [{"name": "x"}]}, {"reſources": ["x"]}, {"patches": [{"Path": "../x"}]},
        {"configMapGenerator": [{"name": "x", "Files": ["../x"]}]}, {"openapi": {"Path": "x"}},
        {"configMapGenerator": [{"name": "x", "kvSources": [{"pluginType": "Go"}]}]},
        {"transformers": ["apiVersion: x/v1\nkind: Exec\nmetadata: {name: x}\n"]},
        {"generators": ["apiVersion: builtin\nkind: HelmChartInflationGenerator\nmetadata: {name: x}\n"]},
        {"transformers": ["apiVersion: builtin\nkind: PatchTransformer\nmetadata: {name: x}\npath: ../../x\n"]},
        {"transformers": ["apiVersion: builtin\nkind: LabelTransformer\nmetadata: {name: x, annotations: "
                          "{config.kubernetes.io/function: 'exec: {path: /bin/sh}'}}\n"]},
        {"generators": ["apiVersion: builtin\nkind: SecretGenerator\nmetadata: {name: x}\nfiles: [/etc/passwd]\n"]},
    ],
)  # fmt: skip
def test_unknown_fields_plugins_and_programs_are_refused(content: dict[str, Any]) -> None:
    with pytest.raises(InvalidSourceError):
        source(content)


def test_only_what_is_referred_to_is_exported() -> None:
    found = source({"resources": ["a.yaml", "../base"]}, **{
        "app/a.yaml": CONFIG, "app/other.yaml": b"x", "base/kustomization.yaml": b"resources: [b.yaml]",
        "base/b.yaml": CONFIG})  # fmt: skip
    assert found.reads.copies == {"app/a.yaml", "base/b.yaml"}
    assert set(found.reads.texts) == {"app/kustomization.yaml", "base/kustomization.yaml"}


def test_links_are_resolved_inside_the_tree_only() -> None:
    files = {"a/x.yaml": b"../b/x.yaml", "b/x.yaml": CONFIG, "out": b"../../etc", "abs": b"/etc", "loop": b"loop"}
    nodes = {path: Node(path, link=path in ("a/x.yaml", "out", "abs", "loop")) for path in files}
    tree = Tree(nodes, lambda paths: {path: files[path] for path in paths})
    assert tree.resolve("a/x.yaml") == "b/x.yaml"
    for path in ("out", "abs", "loop", "nowhere", "../x", "b/x.yaml/y"):
        with pytest.raises(InvalidPathError):
            tree.resolve(path)


def test_a_build_gives_what_kustomize_gives() -> None:
    files = {
        "app/kustomization.yaml": b"resources: [../base]\nnamePrefix: p-\nsecretGenerator: [{name: s, files: [k=f]}]",
        "app/f": b"value", "base/kustomization.yaml": b"resources: [cm.yaml]", "base/cm.yaml": CONFIG,
    }  # fmt: skip
    names = sorted(each["metadata"]["name"] for each in render_files(files, "app", {"targetNamespace": "n"}))
    assert names[0] == "p-c" and names[1].startswith("p-s-")


def test_a_broken_manifest_is_named_with_file_and_line() -> None:
    with pytest.raises(InvalidSourceError, match=r"app/x\.yaml: line 3"):
        render_files({"app/x.yaml": b"a: 1\nb: [\n"}, "app", {})
    with pytest.raises(InvalidSourceError, match="twice"):
        render_files({"app/x.yaml": CONFIG, "app/y.yaml": CONFIG}, "app", {})
    with pytest.raises(InvalidSourceError, match="path not found"):
        render_files({"app/x.yaml": CONFIG}, "elsewhere", {})
