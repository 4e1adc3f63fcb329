"""The stand-in's OCI registry, asked over HTTP."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from controllers.standin.cloud.registry import Authenticator, Faults, Pushed, RegistryServer, RegistryUser, push_image
from controllers.standin.cloud.tls import Authority

INDEX = "application/vnd.oci.image.index.v1+json"


@contextlib.asynccontextmanager
async def registry(**options: Any) -> AsyncIterator[tuple[RegistryServer, httpx.AsyncClient]]:
    server = RegistryServer(**options)
    await server.start()
    try:
        async with httpx.AsyncClient(base_url=server.url) as http:
            yield server, http
    finally:
        await server.stop()


def sha(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


async def test_a_pushed_image_is_pulled_by_tag_and_by_its_real_digest() -> None:
    pushed: list[Pushed] = []

    async def remember(event: Pushed) -> None:
        pushed.append(event)

    async with registry(on_push=remember) as (server, http):
        digest = await push_image(server.url, "shop/payments", "v1.0.0", labels={"a": "b"})
        by_tag = await http.get("/v2/shop/payments/manifests/v1.0.0")
        assert sha(by_tag.content) == digest == by_tag.headers["Docker-Content-Digest"]
        head = await http.head(f"/v2/shop/payments/manifests/{digest}")
        assert head.headers["Content-Length"] == str(len(by_tag.content)) and not head.content
        config = by_tag.json()["config"]["digest"]
        assert (await http.get(f"/v2/shop/payments/blobs/{config}")).json()["config"]["Labels"] == {"a": "b"}
        assert [(e.repository, e.tag, e.manifest.digest) for e in pushed] == [("shop/payments", "v1.0.0", digest)]


async def test_tags_are_paged_by_n_last_and_link() -> None:
    async with registry(page=2) as (server, http):
        for number in range(5):
            await push_image(server.url, "app", f"v{number}")
        seen, url, pages = [], "/v2/app/tags/list", 0
        while url:
            answer = await http.get(url)
            seen += answer.json()["tags"]
            found = re.match(r'<([^>]+)>; rel="next"', answer.headers.get("Link", ""))
            url, pages = (found[1] if found else ""), pages + 1
        assert seen == ["v0", "v1", "v2", "v3", "v4"] and pages == 3
        assert (await http.get("/v2/app/tags/list?n=x")).status_code == 400
        assert (await http.get("/v2/none/tags/list")).status_code == 404


async def test_chunked_upload_out_of_order_chunk_and_wrong_digest_are_told_apart() -> None:
    async with registry() as (_, http):
        location = (await http.post("/v2/app/blobs/uploads/")).headers["Location"]
        first = await http.patch(location, content=b"abc", headers={"Content-Range": "0-2"})
        assert first.status_code == 202 and first.headers["Range"] == "0-2"
        assert (await http.patch(location, content=b"zz", headers={"Content-Range": "9-10"})).status_code == 416
        done = await http.put(location, params={"digest": sha(b"abcdef")}, content=b"def")
        assert done.status_code == 201
        location = (await http.post("/v2/app/blobs/uploads/")).headers["Location"]
        wrong = await http.put(location, params={"digest": sha(b"other")}, content=b"abc")
        assert wrong.status_code == 400 and wrong.json()["errors"][0]["code"] == "DIGEST_INVALID"


async def test_a_blob_is_mounted_from_another_repository() -> None:
    async with registry() as (_, http):
        await http.post("/v2/one/blobs/uploads/", params={"digest": sha(b"x")}, content=b"x")
        mounted = await http.post("/v2/two/blobs/uploads/", params={"mount": sha(b"x"), "from": "one"})
        assert mounted.status_code == 201
        assert (await http.get(f"/v2/two/blobs/{sha(b'x')}")).content == b"x"
        assert (
            await http.post("/v2/two/blobs/uploads/", params={"mount": sha(b"y"), "from": "one"})
        ).status_code == 202


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"no json", "MANIFEST_INVALID"),
        (b"[" * 50_000, "MANIFEST_INVALID"),
        (b"{}", "MANIFEST_INVALID"),
        (json.dumps({"schemaVersion": 2, "config": {}, "layers": 5}).encode(), "MANIFEST_INVALID"),
        (
            json.dumps({"schemaVersion": 2, "config": {"digest": sha(b"n")}, "layers": []}).encode(),
            "MANIFEST_BLOB_UNKNOWN",
        ),
    ],
)
async def test_a_broken_manifest_is_refused_with_the_code_of_the_specification(body: bytes, code: str) -> None:
    async with registry() as (_, http):
        answer = await http.put("/v2/app/manifests/v1", content=body)
        assert answer.status_code == 400 and answer.json()["errors"][0]["code"] == code


async def test_delete_by_tag_keeps_the_manifest_and_by_digest_takes_all_tags() -> None:
    async with registry() as (server, http):
        digest = await push_image(server.url, "app", "v1")
        content = (await http.get("/v2/app/manifests/v1")).content
        await http.put("/v2/app/manifests/v2", content=content)
        assert (await http.delete("/v2/app/manifests/v1")).status_code == 202
        assert (await http.get(f"/v2/app/manifests/{digest}")).status_code == 200
        assert (await http.delete(f"/v2/app/manifests/{digest}")).status_code == 202
        assert (await http.get("/v2/app/manifests/v2")).status_code == 404
        assert (await http.get("/v2/app/tags/list")).json()["tags"] == []


async def test_referrers_lists_what_points_at_a_manifest() -> None:
    async with registry() as (server, http):
        digest = await push_image(server.url, "app", "v1")
        body = json.loads((await http.get("/v2/app/manifests/v1")).content)
        signature = {**body, "subject": {"digest": digest}, "artifactType": "application/x-signature"}
        put = await http.put("/v2/app/manifests/sig", content=json.dumps(signature).encode())
        assert put.headers["OCI-Subject"] == digest
        found = (await http.get(f"/v2/app/referrers/{digest}")).json()
        assert [m["artifactType"] for m in found["manifests"]] == ["application/x-signature"]
        assert not (await http.get(f"/v2/app/referrers/{digest}?artifactType=x")).json()["manifests"]


async def test_an_index_lists_only_manifests_that_are_there() -> None:
    async with registry() as (server, http):
        digest = await push_image(server.url, "app", "v1")
        for wanted, status in ((digest, 201), (sha(b"none"), 400)):
            index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [{"digest": wanted}]}
            put = await http.put("/v2/app/manifests/all", content=json.dumps(index), headers={"Content-Type": INDEX})
            assert put.status_code == status


async def test_a_bearer_token_opens_exactly_its_scopes() -> None:
    users = {"ci": RegistryUser("pw", push=("shop/*",)), "dev": RegistryUser("pw")}
    async with registry(auth=Authenticator("bearer", users)) as (server, http):
        challenge = (await http.get("/v2/shop/app/tags/list")).headers["WWW-Authenticate"]
        assert 'scope="repository:shop/app:pull"' in challenge and f'realm="{server.url}/token"' in challenge
        await push_image(server.url, "shop/app", "v1", auth=("ci", "pw"))
        with pytest.raises(httpx.HTTPStatusError):
            await push_image(server.url, "shop/app", "v2", auth=("dev", "pw"))
        with pytest.raises(httpx.HTTPStatusError):
            await push_image(server.url, "shop/app", "v2", auth=("ci", "wrong"))
        answer = await http.get("/token", params={"scope": "repository:shop/app:pull"}, auth=("dev", "pw"))
        bearer = {"Authorization": f"Bearer {answer.json()['token']}"}
        assert (await http.get("/v2/shop/app/tags/list", headers=bearer)).json()["tags"] == ["v1"]
        assert (await http.get("/v2/shop/other/tags/list", headers=bearer)).status_code == 401
        for token in ("x", "x.y", bearer["Authorization"][7:-2] + "AA", "é"):
            headers = {b"Authorization": f"Bearer {token}".encode()}
            assert (await http.get("/v2/shop/app/tags/list", headers=headers)).status_code == 401


async def test_an_expired_token_is_refused() -> None:
    users = {"dev": RegistryUser("pw")}
    async with registry(auth=Authenticator("bearer", users, token_seconds=-1)) as (_, http):
        token = (await http.get("/token?scope=repository:a:pull", auth=("dev", "pw"))).json()["token"]
        assert (await http.get("/v2/a/tags/list", headers={"Authorization": f"Bearer {token}"})).status_code == 401


async def test_basic_auth_tells_unknown_from_forbidden() -> None:
    auth = Authenticator("basic", {"dev": RegistryUser("pw")}, ecr_login=lambda password: password == "good")
    async with registry(auth=auth) as (server, http):
        assert (await http.get("/v2/")).status_code == 401
        assert (await http.get("/v2/", auth=("dev", "pw"))).status_code == 200
        assert (await http.post("/v2/a/blobs/uploads/", auth=("dev", "pw"))).status_code == 403
        assert (await http.post("/v2/a/blobs/uploads/", auth=("AWS", "bad"))).status_code == 401
        await push_image(server.url, "a", "v1", auth=("AWS", "good"))


async def test_faults_happen_as_ordered_and_end() -> None:
    async with registry() as (server, http):
        await push_image(server.url, "app", "v1")
        server.set_faults(Faults(match="/tags/", statuses=(429, 500), link='<http://169.254.169.254/>; rel="next"'))
        first = await http.get("/v2/app/tags/list")
        assert first.status_code == 429 and first.headers["Retry-After"] == "1"
        assert (await http.get("/v2/app/tags/list")).status_code == 500
        third = await http.get("/v2/app/tags/list")
        assert third.status_code == 200 and "169.254" in third.headers["Link"]
        server.set_faults(Faults(match="/manifests/", redirect="http://10.0.0.1/"))
        assert (await http.get("/v2/app/manifests/v1")).headers["Location"] == "http://10.0.0.1/"


async def test_over_tls_clients_verify_the_certificate() -> None:
    async with registry(authority=Authority.create()) as (server, http):
        with pytest.raises(httpx.ConnectError):
            await http.get("/v2/")
        await push_image(server.url, "app", "v1", ca_pem=server.ca_pem)


async def test_sizes_are_limited() -> None:
    async with registry(max_blob=10) as (_, http):
        url = f"/v2/a/blobs/uploads/?digest={sha(b'x' * 11)}"
        assert (await http.post(url, content=b"x" * 11)).status_code == 413
        assert (await http.put("/v2/a/manifests/v", content=b" " * (5 << 20))).status_code == 413


@pytest.mark.parametrize("path", ["/v2/A/tags/list", "/v2/a/../b/tags/list", "/v2/_catalog", "/x", "/v2/%00/tags/list"])
async def test_other_paths_are_answered_with_an_error(path: str) -> None:
    async with registry() as (_, http):
        assert (await http.get(path)).status_code in (400, 404)
