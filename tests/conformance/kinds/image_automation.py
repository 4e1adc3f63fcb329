"""Adapters of image automation's vectors: one call of a public function each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from controllers.api.base import InvalidSpecError, parse_at
from controllers.api.duration import format_duration, parse_duration
from controllers.api.image import ImageUpdateAutomationSpec, PolicyChoice, TagFilter
from controllers.api.meta import LabelSelector
from controllers.api.source import GitRepositorySpec
from controllers.git import clean_path, parse_refspec
from controllers.image_automation.commit import message, push_config
from controllers.image_automation.commit import setters as edit
from controllers.image_automation.commit import yaml_plain as plain
from controllers.image_automation.policy import digest as reflection
from controllers.image_automation.policy import policy
from controllers.image_automation.tags import reference, scan
from controllers.image_automation.tags.reference import InvalidPolicyError, Ref
from controllers.lang import semver

Given = dict[str, Any]


def _choice(given: Given) -> PolicyChoice:
    """The vectors call the rule with orders that the CRD's schema would refuse, so the model is not asked to check."""
    parts = {key: _MODELS[key].model_construct(**value) for key, value in given["policy"].items()}
    return PolicyChoice.model_construct(**parts)


_MODELS: dict[str, Any] = {
    name: field.annotation.__args__[0]  # type: ignore[union-attr]
    for name, field in PolicyChoice.model_fields.items()
}


def _filter(given: Given) -> TagFilter | None:
    return TagFilter(**given["filterTags"]) if given.get("filterTags") else None


def policy_choice(vector: Given) -> Given:
    given = vector["input"]
    try:
        picked = policy.compile_policy(_choice(given), _filter(given)).pick(given["tags"])
    except InvalidPolicyError as error:
        condition = {"type": "Ready", "status": "False", "reasonContains": "InvalidPolicy"}
        return {"error": str(error), "condition": condition}
    except policy.NoTagSelectedError as error:
        return {"error": str(error)}
    return {"latest": picked, "error": "", "observedPreviousRef": None}


def policy_validate(vector: Given) -> Given:
    try:
        policy.compile_policy(_choice(vector["input"]))
    except InvalidPolicyError:
        return {"valid": False}
    return {"valid": True}


def filter_tags(vector: Given) -> Given:
    given = vector["input"]
    try:
        return {"values_sorted": sorted(policy.tag_filter(_filter(given))(given["tags"]))}
    except InvalidPolicyError as error:
        return {"error": str(error)}


def access_from(vector: Given) -> Given:
    given = vector["input"]
    selectors = given["accessFrom"] and [one["matchLabels"] for one in given["accessFrom"]["namespaceSelectors"]]
    allowed = scan.accessible(
        same_namespace=given["sameNamespace"], selectors=selectors, namespace_labels=given["policyNamespaceLabels"]
    )
    return {"accessible": allowed}


def _ref(value: Given | None) -> Ref | None:
    return Ref(value["name"], value["tag"], value.get("digest", "")) if value else None


def policy_ready_message(vector: Given) -> Given:
    given = vector["input"]
    refs = reflection.Refs(_ref(given["latestRef"]), _ref(given["observedPreviousRef"]))
    return {"message": reflection.ready_message(refs)}


def digest_reflection(vector: Given) -> Given:
    given = vector["input"]
    refs = reflection.Refs()
    out: Given = {}
    for number, moment in ((1, "1st"), (2, "2nd")):
        wanted = given[f"digestReflectionPolicyPass{number}"]
        choice = _choice({"policy": {"semver": {"range": given[f"semverRangePass{number}"]}}})
        tag = policy.compile_policy(choice).pick(given["tags"])
        looked_up = f"digest({tag}) as of {moment} pass"
        refs = reflection.resolved(wanted, name="repository", tag=tag, before=refs, looked_up=looked_up)
        after = reflection.requeue_after(wanted, parse_duration(given["interval"]))
        out[f"pass{number}.latestRef.digest"] = refs.latest.digest if refs.latest else ""
        out[f"pass{number}.latestRef.tag"] = tag
        out[f"requeueAfterPass{number}"] = format_duration(after) if after else "0"
        previous = refs.previous
        out[f"pass{number}.observedPreviousRef"] = (
            {"tag": previous.tag, "digest": previous.digest} if previous else None
        )
    return out


def exclusion_list(vector: Given) -> Given:
    given = vector["input"]
    try:
        return {"tags": scan.keep_tags(given["tags"], given["exclusionList"])}
    except scan.InvalidExclusionError as error:
        return {"error": str(error)}


def scan_tags(vector: Given) -> Given:
    given = vector["input"]
    try:
        found = scan.scanned(given["registryTags"], given["exclusionList"])
    except scan.InvalidExclusionError as error:
        return {"error": str(error)}
    stored = list(found.tags)
    return {
        "storedTags": stored,
        "storedTagsUnordered": _same_order(stored, given["registryTags"]),
        "tagCount": len(stored),
        "latestTags": list(found.latest),
    }


def _same_order(tags: list[str], like: list[str]) -> list[str]:
    return sorted(tags, key=like.index)


def should_scan(vector: Given) -> Given:
    given = vector["input"]
    spec, status = given["spec"], given["status"]
    last = status.get("lastScanResult")
    age = parse_duration(last["scanTimeAge"]) if last and last.get("scanTimeAge") else None
    try:
        decision = _decision(given, spec, status, age)
    except scan.TagStoreError:
        return {"scan": False, "nextScan": spec["interval"], "reason": "", "error": True}
    next_scan = format_duration(decision.next_scan)
    return {"scan": decision.scan, "nextScan": next_scan, "reason": decision.reason, "error": False}


def _decision(given: Given, spec: Given, status: Given, age: float | None) -> scan.Decision:
    return scan.should_scan(
        canonical_name=reference.parse_repository(spec["image"]).name,
        interval=parse_duration(spec["interval"]),
        exclusions=spec.get("exclusionList") or [],
        requested=given.get("annotation reconcile.fluxcd.io/requestedAt", ""),
        observed=scan.Observed(
            canonical_name=status.get("canonicalImageName", ""),
            exclusions=status.get("observedExclusionList") or [],
            handled_request=status.get("lastHandledReconcileAt", ""),
            scanned_ago=age,
            stored_tags=None if given["db"]["readError"] else len(given["db"]["tags"]),
        ),
    )


def image_reference(vector: Given) -> Given:
    try:
        found = reference.parse_repository(vector["input"]["image"])
    except reference.InvalidReferenceError as error:
        return {"error": str(error)}
    return {"error": "", "canonical": found.name, "name": found.name}


def tags_revision(vector: Given) -> Given:
    return {"revision": scan.tags_revision(vector["input"]["tags"])}


def setters(vector: Given) -> Given:
    given = vector["input"]
    if "text" not in given:  # a symlink is no file of the tree's listing: nothing of it is ever read
        return {"error": False, "written": False}
    result = edit.edit_file(given["file"], given["text"].encode(), _policies(given))
    text = result.content.decode() if result.content is not None else given["text"]
    return {"text": text, "written": result.content is not None, "error": result.problem}


def _policies(given: Given) -> dict[str, Ref]:
    return {name: Ref(one["image"], one["tag"], one["digest"]) for name, one in given["policies"].items()}


def setters_tree(vector: Given) -> Given:
    given = vector["input"]
    spec = {"interval": "1m", "sourceRef": {"name": "x"}, "update": given["update"]}
    try:
        update = parse_at(ImageUpdateAutomationSpec, spec, path="spec").update
    except InvalidSpecError as error:
        return {"error": str(error), "reason": "InvalidUpdateStrategy"}
    below = clean_path(update.path)
    chosen = {path: text for path, text in given["files"].items() if not below or path.startswith(f"{below}/")}
    result = edit.edit_tree({path: text.encode() for path, text in chosen.items()}, _policies(given))
    return {"files": {**given["files"], **{path: content.decode() for path, content in result.contents.items()}}}


def file_screening(vector: Given) -> Given:
    files = vector["input"]["files"]
    read = [name for name, text in files.items() if edit.is_candidate(name) and edit.has_marker(text.encode())]
    return {"read": read, "skipped": [name for name in files if name not in read]}


def commit_message(vector: Given) -> Given:
    given = vector["input"]
    namespace, _, name = given["automation"].partition("/")
    files = [
        edit.FileEdit(path, b"", tuple(change for one in objects for change in _changes(one)))
        for path, objects in given["changed"]["fileChanges"].items()
    ]
    try:
        text = message.render(
            given.get("messageTemplate", ""),
            automation=message.Automation(namespace, name),
            changed=edit.TreeEdit(tuple(files)),
            values=given.get("messageTemplateValues"),
        )
    except message.InvalidMessageError as error:
        return {"error": str(error)}
    out: Given = {"message": text, "error": "", "alsoPushedTo": None}
    if refspec := given.get("push", {}).get("refspec"):
        out["alsoPushedTo"] = parse_refspec(refspec)[1].removeprefix("refs/heads/")
    return out


def _changes(one: Given) -> list[edit.ScalarChange]:
    owner = one["object"]
    identity = edit.ObjectId(owner["apiVersion"], owner["kind"], owner["namespace"], owner["name"])
    return [
        edit.ScalarChange(change["oldValue"], change["newValue"], change["setter"], identity, 1)
        for change in one["changes"]
    ]


def push_summary(vector: Given) -> Given:
    given = vector["input"]
    try:
        text = message.push_summary(
            branch=given["branch"], commit=given["rev"], message=given["message"], refspecs=given["refspecs"]
        )
    except ValueError as error:
        return {"error": str(error)}
    return {"summary": text}


def observed_policies_changed(vector: Given) -> Given:
    def refs(values: Given) -> dict[str, Ref]:
        return {name: Ref(one["Name"], one["Tag"], one.get("Digest", "")) for name, one in values.items()}

    given = vector["input"]
    return {"changed": push_config.policies_changed(refs(given["previous"]), refs(given["current"]))}


def git_push_config(vector: Given) -> Given:
    given = vector["input"]
    git: Given = {"commit": {"author": {"email": "a@example.com"}}}
    if given["checkout"]:
        git["checkout"] = given["checkout"] if "ref" in given["checkout"] else {"ref": given["checkout"]}
    if given["push"]:
        git["push"] = given["push"]
    automation = parse_at(
        ImageUpdateAutomationSpec, {"interval": "1m", "sourceRef": {"name": "x"}, "git": git}, path="spec"
    )
    repository = {"interval": "1m", **{key: value for key, value in given["gitRepository"].items() if value}}
    try:
        config = push_config.push_config(automation, parse_at(GitRepositorySpec, repository, path="spec"))
    except push_config.InvalidPushConfigError as error:
        return {"error": str(error)}
    checkout = config.checkout and config.checkout.model_dump(exclude_unset=True, by_alias=True)
    return {
        "checkoutRef": checkout,
        "pushBranch": config.branch,
        "switchBranch": config.switch,
        "timeout": format_duration(config.timeout),
        "error": "",
    }


def policy_selector(vector: Given) -> Given:
    given = vector["input"]
    selector = parse_at(LabelSelector, given["policySelector"], path="spec") if given["policySelector"] else None
    views = [
        push_config.PolicyView(
            one["namespace"], one["name"], one.get("labels", {}), Ref(*one["latestImage"].rsplit(":", 1))
        )
        for one in given["policies"]
    ]
    found = push_config.select_policies(views, namespace=given["namespace"], selector=selector)
    return {"selected": [one.name for one in found]}


def semver_constraint(vector: Given) -> Given:
    given = vector["input"]
    constraint, version = semver.Constraint.parse(given["constraint"]), semver.parse_version(given["version"])
    return {"match": constraint.check(version, include_prerelease=given["includePrerelease"])}


def semver_constraint_parse(vector: Given) -> Given:
    try:
        constraint = semver.Constraint.parse(vector["input"]["constraint"])
    except semver.InvalidConstraintError:
        return {"valid": False}
    return {"valid": True, "ors": len(constraint.groups), "firstGroupCount": len(constraint.groups[0])}


def semver_range_rewrite(vector: Given) -> Given:
    return {"rewritten": semver.rewrite_ranges(vector["input"]["constraint"])}


def semver_version_parse(vector: Given) -> Given:
    try:
        semver.parse_version(vector["input"]["version"])
    except semver.InvalidVersionError:
        return {"valid": False}
    return {"valid": True}


def semver_tag_parse(vector: Given) -> Given:
    return {"valid": semver.parse_tag(vector["input"]["version"]) is not None}


def semver_compare(vector: Given) -> Given:
    one, other = (semver.parse_version(vector["input"][key]) for key in ("v1", "v2"))
    return {"cmp": (one > other) - (one < other)}


def semver_sort(vector: Given) -> Given:
    given = vector["input"]
    return {"sorted": semver.sort_tags(given["versions"], semver.Constraint.parse(given["constraint"]))}


def plain_scalar_safe(vector: Given) -> Given:
    return {"safeUnquoted": plain.is_plain_scalar(vector["input"]["value"])}


ADAPTERS: dict[str, Callable[[Given], Given]] = {
    name: function
    for name, function in globals().items()
    if callable(function) and getattr(function, "__module__", "") == __name__ and not name.startswith("_")
}
ADAPTERS["scan"] = ADAPTERS.pop("scan_tags")
