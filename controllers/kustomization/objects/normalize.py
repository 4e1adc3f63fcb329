"""One form for one meaning: objects as they are applied, and objects as they are compared. Pure.

Applying an object in another form than the server stores makes every comparison a difference, and some forms (a port
without protocol) make two entries of one.
"""

from __future__ import annotations

import base64
import binascii
import copy
import json
from collections.abc import Iterator
from typing import Any

from controllers.api.resource import Manifest

from .order import group_of

_POD_SPECS = {
    ("", "Pod"): ("spec",),
    ("apps", "Deployment"): ("spec", "template", "spec"),
    ("apps", "DaemonSet"): ("spec", "template", "spec"),
    ("apps", "StatefulSet"): ("spec", "template", "spec"),
    ("apps", "ReplicaSet"): ("spec", "template", "spec"),
    ("", "ReplicationController"): ("spec", "template", "spec"),
    ("batch", "Job"): ("spec", "template", "spec"),
    ("batch", "CronJob"): ("spec", "jobTemplate", "spec", "template", "spec"),
}


def normalize(manifest: Manifest) -> Manifest:
    """A copy as it is applied: protocols of ports, Secrets as `data`, no status (but a CRD's), no creation time."""
    result = copy.deepcopy(manifest)
    key = group_of(result), str(result.get("kind"))
    for port in _ports(result, key):
        port.setdefault("protocol", "TCP")
    if key == ("", "Secret"):
        _encode(result)
    if key[1] != "CustomResourceDefinition":
        result.pop("status", None)
    if isinstance(result.get("metadata"), dict):
        result["metadata"].pop("creationTimestamp", None)
    return result


def for_comparison(manifest: Manifest) -> Manifest:
    """A copy of what two states of one object are compared by, beside labels and annotations."""
    result = normalize(manifest)
    result.pop("metadata", None)
    result.pop("status", None)
    key = group_of(result), str(result.get("kind"))
    if key == ("autoscaling", "HorizontalPodAutoscaler"):
        _unique_metrics(result)
    if key[1] == "CustomResourceDefinition":
        _drop_bad_bundle(result)
    return result


def _ports(manifest: Manifest, key: tuple[str, str]) -> Iterator[dict[str, Any]]:
    if key == ("", "Service"):
        yield from _objects((manifest.get("spec") or {}).get("ports"))
    path = _POD_SPECS.get(key)
    spec: Any = manifest
    for name in path or ():
        spec = spec.get(name) if isinstance(spec, dict) else None
    if path and isinstance(spec, dict):
        for field in ("containers", "initContainers", "ephemeralContainers"):
            for container in _objects(spec.get(field)):
                yield from _objects(container.get("ports"))


def _objects(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _encode(secret: Manifest) -> None:
    texts = secret.pop("stringData", None)
    if not isinstance(texts, dict):
        return
    data = secret["data"] = dict(secret.get("data") or {})
    for key, value in texts.items():
        text = value if isinstance(value, str) else json.dumps(value) if value is not None else ""
        data[key] = base64.b64encode(text.encode()).decode()


def _unique_metrics(autoscaler: Manifest) -> None:
    """The server keeps one of equal metrics."""
    spec = autoscaler.get("spec")
    if isinstance(spec, dict) and isinstance(spec.get("metrics"), list):
        unique = {json.dumps(metric, sort_keys=True): metric for metric in spec["metrics"]}
        spec["metrics"] = list(unique.values())


def _drop_bad_bundle(definition: Manifest) -> None:
    """A caBundle that is no PEM is a placeholder that another controller fills in: comparing it would fight that."""
    spec = definition.get("spec")
    webhook = spec.get("conversion", {}).get("webhook") if isinstance(spec, dict) else None
    config = webhook.get("clientConfig") if isinstance(webhook, dict) else None
    if not isinstance(config, dict) or "caBundle" not in config:
        return
    try:
        pem = b"-----BEGIN CERTIFICATE-----" in base64.b64decode(str(config["caBundle"]), validate=True)
    except (binascii.Error, ValueError):
        pem = False
    if not pem:
        del config["caBundle"]
