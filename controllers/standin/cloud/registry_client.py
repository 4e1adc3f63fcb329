"""A real push over HTTP, as a CI job does it: blobs, then the manifest by tag."""

from __future__ import annotations

import json
import re
import ssl
from collections.abc import Mapping
from typing import Any

import httpx

from .registry_store import digest_of

MANIFEST = "application/vnd.oci.image.manifest.v1+json"


async def push_image(
    registry_url: str,
    repository: str,
    tag: str,
    *,
    layer: bytes | None = None,
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
    auth: tuple[str, str] | None = None,
    ca_pem: bytes | None = None,
    created: str = "",
) -> str:
    """Pushes a one-layer image and returns its digest. `auth` is (user, password), traded for a Bearer token if asked.

    `created` is an RFC 3339 time for the image's config. Raises httpx.HTTPStatusError when the registry refuses.
    """
    verify: ssl.SSLContext | bool = ssl.create_default_context(cadata=ca_pem.decode()) if ca_pem else True
    async with httpx.AsyncClient(base_url=registry_url, verify=verify, timeout=30) as http:
        headers = await _authorization(http, repository, auth)
        data = layer if layer is not None else f"{repository}:{tag}\n".encode()
        config: dict[str, Any] = {
            "architecture": "amd64",
            "os": "linux",
            "config": {"Labels": dict(labels or {})},
            "rootfs": {"type": "layers", "diff_ids": [digest_of(data)]},
        }
        if created:
            config["created"] = created
        config_data = json.dumps(config, sort_keys=True).encode()
        for blob in (data, config_data):
            await _push_blob(http, repository, blob, headers)
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": _descriptor("application/vnd.oci.image.config.v1+json", config_data),
            "layers": [_descriptor("application/vnd.oci.image.layer.v1.tar", data)],
            **({"annotations": dict(annotations)} if annotations else {}),
        }
        content = json.dumps(manifest, sort_keys=True).encode()
        url = f"/v2/{repository}/manifests/{tag}"
        answer = await http.put(url, content=content, headers={**headers, "Content-Type": MANIFEST})
        answer.raise_for_status()
        return digest_of(content)


async def _push_blob(http: httpx.AsyncClient, repository: str, blob: bytes, headers: dict[str, str]) -> None:
    digest = digest_of(blob)
    if (await http.head(f"/v2/{repository}/blobs/{digest}", headers=headers)).status_code == 200:
        return
    answer = await http.post(f"/v2/{repository}/blobs/uploads/", headers=headers)
    answer.raise_for_status()
    url = httpx.URL(answer.headers["Location"]).copy_merge_params({"digest": digest})
    octets = {**headers, "Content-Type": "application/octet-stream"}
    (await http.put(url, content=blob, headers=octets)).raise_for_status()


async def _authorization(http: httpx.AsyncClient, repository: str, auth: tuple[str, str] | None) -> dict[str, str]:
    challenge = (await http.get("/v2/")).headers.get("WWW-Authenticate", "")
    basic = httpx.BasicAuth(*auth) if auth else None
    if challenge.lower().startswith("bearer"):
        fields = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
        query = {"service": fields.get("service", ""), "scope": f"repository:{repository}:pull,push"}
        answer = await http.get(fields["realm"], params=query, auth=basic)
        answer.raise_for_status()
        return {"Authorization": f"Bearer {answer.json()['token']}"}
    if basic is None:
        return {}
    return {"Authorization": next(basic.auth_flow(httpx.Request("GET", "http://x"))).headers["Authorization"]}


def _descriptor(media_type: str, content: bytes) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": digest_of(content), "size": len(content)}
