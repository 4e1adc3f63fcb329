"""`metadata`: what the server fills in, what it keeps from the stored object, and what it refuses."""

from __future__ import annotations

import datetime
import re
import secrets
from typing import Any

from controllers.api.resource import Manifest
from controllers.api.timestamps import timestamp

from ..seams import KindInfo
from ..status_errors import Cause, bad_request, field_forbidden, invalid, invalid_value, required, too_long

_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
SUBDOMAIN = re.compile(rf"{_LABEL}(\.{_LABEL})*")
DNS_LABEL = re.compile(_LABEL)
SERVICE_NAME = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?")
QUALIFIED = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")
ANNOTATIONS_LIMIT = 256 * 1024
ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
STANDARD_FINALIZERS = ("kubernetes", "orphan", "foregroundDeletion")
RBAC_GROUP = "rbac.authorization.k8s.io"
KEPT = ("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation", "selfLink")


def now_text(moment: datetime.datetime) -> str:
    """RFC 3339 to the second, as metadata has it."""
    return timestamp(moment)


def generated_name(base: str) -> str:
    """generateName's name: the base, cut to 58 characters, and five random ones."""
    return base[:58] + "".join(secrets.choice(ALPHABET) for _ in range(5))


def key(namespace: str, name: str) -> str:
    """Where an object stands in its table."""
    return f"{namespace}/{name}" if namespace else name


def check_body(kind: KindInfo, body: Any, namespace: str) -> Manifest:
    """The body as an object of this kind with a metadata object, its namespace that of the path. Raises
    StatusError 400.
    """
    if not isinstance(body, dict):
        raise bad_request(f"the body must be an object of kind {kind.kind}")
    version, found = body.get("apiVersion"), body.get("kind")
    if kind.custom and not found:
        raise bad_request("Object 'Kind' is missing in the body")
    if (found and found != kind.kind) or (version and version != kind.api_version):
        if version and version != kind.api_version and found == kind.kind:
            why = (
                f"the API version in the data ({version}) does not match the expected API version ({kind.api_version})"
            )
            raise bad_request(why)
        if kind.custom and version == kind.api_version:
            name = (body.get("metadata") or {}).get("name") if isinstance(body.get("metadata"), dict) else ""
            cause = invalid_value("kind", found, f"must be {kind.kind}")
            raise invalid(kind.group, str(found), str(name or ""), [cause])
        raise bad_request(f"{found} in version {version!r} cannot be handled as a {kind.kind}".replace("'", '"'))
    body["apiVersion"], body["kind"] = kind.api_version, kind.kind
    meta = body.get("metadata")
    if meta is None:
        meta = body["metadata"] = {}
    if not isinstance(meta, dict):
        raise bad_request("metadata: must be an object")
    given = meta.get("namespace")
    if not kind.namespaced:
        if given:
            raise bad_request("namespace must not be set on a cluster-scoped object")
        meta.pop("namespace", None)
    elif given and given != namespace:
        raise bad_request("the namespace of the provided object does not match the namespace sent on the request")
    else:
        meta["namespace"] = namespace
    return body


def name_problem(kind: KindInfo, name: str) -> str:
    """Why a name cannot be one of this kind; "" where it can."""
    if kind.group == RBAC_GROUP:
        return "may not contain '/' or '%', nor be '.' or '..'" if name in (".", "..") or set(name) & set("/%") else ""
    if kind.group == "" and kind.plural == "namespaces":
        return "" if len(name) <= 63 and DNS_LABEL.fullmatch(name) else f"must be an RFC 1123 label: '{_LABEL}'"
    if kind.group == "" and kind.plural == "services":
        return "" if len(name) <= 63 and SERVICE_NAME.fullmatch(name) else "must be an RFC 1035 label"
    if len(name) > 253:
        return "must be no more than 253 bytes"
    if not SUBDOMAIN.fullmatch(name):
        return f"must be a lowercase RFC 1123 subdomain: '{_LABEL}(\\.{_LABEL})*'"
    return ""


def _qualified_problem(name: str) -> str:
    prefix, slash, rest = name.rpartition("/")
    if slash and not (prefix and len(prefix) <= 253 and SUBDOMAIN.fullmatch(prefix)):
        return "prefix part must be a lowercase RFC 1123 subdomain"
    if len(rest) > 63 or not QUALIFIED.fullmatch(rest):
        return "name part must consist of at most 63 alphanumeric characters, '-', '_' or '.'"
    return ""


def validate(kind: KindInfo, meta: Manifest) -> list[Cause]:
    """All that is wrong with the metadata of a write."""
    causes: list[Cause] = []
    name, base = meta.get("name") or "", meta.get("generateName") or ""
    # A name may go on after a dash: what stands before it must be the beginning of one.
    if base and (why := name_problem(kind, f"{base[:-1]}a" if base[1:].endswith("-") else base)):
        causes.append(invalid_value("metadata.generateName", base, why))
    if not name:
        causes.append(required("metadata.name", "name or generateName is required"))
    elif why := name_problem(kind, name):
        causes.append(invalid_value("metadata.name", name, why))
    for label, value in (meta.get("labels") or {}).items():
        if why := _qualified_problem(label):
            causes.append(invalid_value("metadata.labels", label, why))
        if not isinstance(value, str) or len(value) > 63 or not LABEL_VALUE.fullmatch(value):
            why = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.'"
            causes.append(invalid_value("metadata.labels", value, why))
    annotations = meta.get("annotations") or {}
    causes.extend(
        invalid_value("metadata.annotations", name, why)
        for name in annotations
        if (why := _qualified_problem(name.lower()))
    )
    size = sum(len(name.encode()) + len(str(value).encode()) for name, value in annotations.items())
    if size > ANNOTATIONS_LIMIT:
        causes.append(too_long("metadata.annotations", ANNOTATIONS_LIMIT))
    for index, finalizer in enumerate(meta.get("finalizers") or []):
        why = _qualified_problem(finalizer)
        if not why and not kind.custom and "/" not in finalizer and finalizer not in STANDARD_FINALIZERS:
            why = "name is neither a standard finalizer name nor is it fully qualified"
        if why:
            causes.append(invalid_value(f"metadata.finalizers[{index}]", finalizer, why))
    causes.extend(_owner_causes(meta.get("ownerReferences") or []))
    return causes


def _owner_causes(owners: list[Manifest]) -> list[Cause]:
    causes: list[Cause] = []
    for owner in owners:
        missing = [name for name in ("apiVersion", "kind", "name", "uid") if not owner.get(name)]
        causes.extend(
            invalid_value(f"metadata.ownerReferences.{name}", owner.get(name, ""), "must not be empty")
            for name in missing
        )
    controllers = [owner for owner in owners if owner.get("controller")]
    if len(controllers) > 1:
        why = "Only one reference can have Controller set to true"
        causes.append(invalid_value("metadata.ownerReferences", controllers, why))
    return causes


def validate_update(new: Manifest, old: Manifest) -> list[Cause]:
    """What an update may not change in metadata."""
    causes = [
        invalid_value(f"metadata.{name}", new[name], "field is immutable")
        for name in ("name", "namespace", "uid", "creationTimestamp")
        if name in new and new[name] != old.get(name)
    ]
    if old.get("deletionTimestamp"):
        added = [item for item in new.get("finalizers") or [] if item not in (old.get("finalizers") or [])]
        if added:
            why = f"no new finalizers can be added if the object is being deleted, found new finalizers {added}"
            causes += [field_forbidden("metadata.finalizers", why)] * 2  # named by two rules of the real server
    return causes


def tidy(meta: Manifest) -> None:
    """Drops what an encoder of the Go server never writes: empty maps and lists, nulls."""
    for name in [name for name, value in meta.items() if value is None or value in ({}, [], "")]:
        del meta[name]
