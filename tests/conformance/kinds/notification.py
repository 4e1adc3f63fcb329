"""Adapters of Receivers' vectors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from controllers.notification.receive import Call, RequestRefusedError, concerned, webhook_path


def _receiver(vector: dict[str, Any]) -> dict[str, Any]:
    given = vector["input"]
    secret = {key: text.encode() for key, text in ((given["secret"] or {}).get("data") or {}).items()}
    call = Call({name.lower(): text for name, text in given["headers"].items()}, given["body"].encode())
    try:
        found = concerned(
            given["receiver"], secret, call, given["resources"], cross_namespace=not given["noCrossNamespaceRefs"]
        )
    except RequestRefusedError as error:
        return {"http_status": error.status, "resources_annotated": 0}
    return {"http_status": 200, "resources_annotated": len(found)}


def _path(vector: dict[str, Any]) -> dict[str, Any]:
    given = vector["input"]
    return {"webhookPath": webhook_path(given["token"], given["name"], given["namespace"])}


ADAPTERS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {"receiver": _receiver, "receiver_path": _path}
