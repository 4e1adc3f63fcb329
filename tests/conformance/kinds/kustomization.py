"""Adapters of the vectors of `kustomization.json` on what becomes objects: sources, build, order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from controllers.api.resource import Key
from controllers.kustomization.build import components
from controllers.kustomization.build import kustomization_file as generate
from controllers.kustomization.build.render import render_files
from controllers.kustomization.objects import order
from controllers.lang import gitignore as sourceignore
from controllers.lang import yaml_load as yamlload
from controllers.lang.yaml_dump import dump
from controllers.sources import observed as git_spec
from controllers.sources import revision

from ..compare import OneOf

Values = dict[str, Any]
Given = dict[str, Any]


def _files(texts: Given) -> dict[str, bytes]:
    return {path: text.encode() for path, text in texts.items()}


def generate_kustomization(vector: Given) -> Values:
    given = vector["input"]
    files = _files(given["files"])
    spec = given.get("spec") or {key: value for key, value in given.items() if key != "files"}
    if "flux_kustomization" in spec:
        spec = yamlload.load(spec["flux_kustomization"])["spec"]
    try:
        made = generate.generate(files, "", spec)
        objects = render_files(files, "", spec)
    except (generate.InvalidSourceError, ValueError) as error:
        return {"error": str(error)}
    first = objects[0]["metadata"] if objects else {}
    return {
        "kustomization": dump(made.content),
        "resources": made.content.get("resources"),
        "resources_built": len(objects),
        "name": first.get("name"),
        "namespace": first.get("namespace"),
        "build_yaml": _SameYaml(objects),
    }


class _SameYaml:
    """Objects, equal to a text that holds the same ones."""

    def __init__(self, objects: list[Values]) -> None:
        self.objects = objects

    def __eq__(self, other: object) -> bool:
        return isinstance(other, str) and order.for_apply(yamlload.load_all(other)) == order.for_apply(self.objects)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return repr(self.objects)


def generate_kustomization_ignore(vector: Given) -> Values:
    given = vector["input"]
    matcher = sourceignore.Matcher(sourceignore.parse_file(given["ignorePatterns"]))
    try:
        return {"paths": generate.manifest_files(_files(given["files"]), "", ignored=matcher.ignores)}
    except generate.InvalidSourceError as error:
        return {"error": str(error)}


def generate_components(vector: Given) -> Values:
    given = vector["input"]
    files = {"configmap.yaml": b""}
    if given["existing"]:
        files["kustomization.yaml"] = given["existing"].encode()
    made = generate.generate(files, "", {"components": given["spec_components"]})
    return {"components": made.content.get("components")}


def generate_components_missing(vector: Given) -> Values:
    given = vector["input"]
    merged = components.merge_components(
        [],
        given["components"],
        exists=given["existing_on_disk"].__contains__,
        ignore_missing=given["ignoreMissingComponents"],
    )
    return {"components": merged}


def generate_images(vector: Given) -> Values:
    given = vector["input"]
    merged = components.merge_images(given["existing"], given["spec_images"])
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "x"},
        "spec": {"containers": [{"name": "x", "image": given["container_image"]}]},
    }
    files = {
        "pod.yaml": dump(pod).encode(),
        "kustomization.yaml": dump({"resources": ["pod.yaml"], "images": given["existing"]}).encode(),
    }
    built = render_files(files, "", {"images": given["spec_images"]})
    return {"images": merged, "built_image": built[0]["spec"]["containers"][0]["image"]}


def local_relative_path(vector: Given) -> Values:
    return {"expected": components.is_local_relative_path(vector["input"]["path"])}


def sourceignore_pattern(vector: Given) -> Values:
    given = vector["input"]
    pattern = sourceignore.parse_pattern(given["pattern"], given["domain"] or ())
    return {"result": pattern.match(given["path"], is_dir=given["isDir"]).value}


def sourceignore_(vector: Given) -> Values:
    given = vector["input"]
    domain = given.get("domain") or ()
    lines = given.get("file", "") or "\n".join(given.get("extra_patterns", []))
    own = sourceignore.parse_file(lines, domain)
    stock = [*sourceignore.vcs_patterns(domain), *sourceignore.default_patterns(domain)] if given["defaults"] else []
    matcher = sourceignore.Matcher([*stock, *own])
    return {"ignored": _Paths(matcher, ignored=True), "kept": _Paths(matcher, ignored=False)}


class _Paths:
    """Equal to any list of paths of which a matcher says the same."""

    def __init__(self, matcher: sourceignore.Matcher, *, ignored: bool) -> None:
        self.matcher, self.ignored = matcher, ignored

    def __eq__(self, other: object) -> bool:
        return isinstance(other, list) and all(self.matcher.ignores(path) is self.ignored for path in other)

    __hash__ = None  # type: ignore[assignment]


def sourceignore_load(vector: Given) -> Values:
    found = sourceignore.load(vector["input"]["files"])
    return {"patterns": [{"pattern": each.text, "domain": list(each.domain)} for each in found]}


def git_revision(vector: Given) -> Values:
    parsed = revision.parse(vector["input"]["revision"])
    answers = [parsed.hash, parsed.pointer, str(parsed)]
    return {"want": OneOf(answers), "wantHash": parsed.hash, "wantPointer": parsed.pointer}


def parse_revision(vector: Given) -> Values:
    found = revision.parse(vector["input"]["revision"]).hash
    return {"sha": found, "error": not found}


def git_commit_format(vector: Given) -> Values:
    given = vector["input"]
    if "input" in given:
        return {"result": revision.short_message(given["input"])}
    if "commit" in given:
        commit = given["commit"]
        return {"result": str(revision.of_commit(commit["hash"], commit.get("reference", "")))}
    if "tag" in given:
        return {"result": revision.of_tag(given["tag"]["name"], given["tag"].get("hash", ""))}
    return {"result": revision.digest(given["hash"])}


def git_content_config_changed(vector: Given) -> Values:
    given = vector["input"]
    return {"changed": git_spec.content_changed(given.get("obj") or {}, given.get("artifacts") or [])}


def git_requires_verification(vector: Given) -> Values:
    return {"required": git_spec.requires_verification(vector["input"]["obj"])}


def depends_on_sort(vector: Given) -> Values:
    wanted = {
        Key(each["namespace"], each["name"]): [
            Key(on.get("namespace") or each["namespace"], on["name"]) for on in each.get("dependsOn", [])
        ]
        for each in vector["input"]["objects"]
    }
    try:
        return {"want": [{"name": key.name, "namespace": key.namespace} for key in order.by_dependency(wanted)]}
    except order.DependencyCycleError as error:
        return {"error": str(error)}


GROUPS = {
    "CustomResourceDefinition": "apiextensions.k8s.io/v1", "Deployment": "apps/v1", "StatefulSet": "apps/v1",
    "Ingress": "networking.k8s.io/v1", "HorizontalPodAutoscaler": "autoscaling/v2", "Job": "batch/v1",
    "MutatingWebhookConfiguration": "admissionregistration.k8s.io/v1", "CronJob": "batch/v1",
    "ValidatingWebhookConfiguration": "admissionregistration.k8s.io/v1", "DaemonSet": "apps/v1",
}  # fmt: skip
"""API versions of kinds that vectors name alone."""


def apply_order(vector: Given) -> Values:
    objects = [
        {"apiVersion": GROUPS.get(kind, "v1"), "kind": kind, "metadata": {"name": "x"}}
        for kind in vector["input"]["shuffled"]
    ]
    return {"sorted": [each["kind"] for each in order.for_apply(objects)], "first": list(order.FIRST)}


ADAPTERS: dict[str, Callable[[Given], Values]] = {
    function.__name__.removesuffix("_"): function
    for function in (
        generate_kustomization,
        generate_kustomization_ignore,
        generate_components,
        generate_components_missing,
        generate_images,
        local_relative_path,
        sourceignore_pattern,
        sourceignore_,
        sourceignore_load,
        git_revision,
        parse_revision,
        git_commit_format,
        git_content_config_changed,
        git_requires_verification,
        depends_on_sort,
        apply_order,
    )
}
