"""What goes over the wire for each call, and which error comes of which answer."""

from __future__ import annotations

import json
import os
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from controllers.api.core import CONFIGMAPS, CRDS, DEPLOYMENTS, NAMESPACES, SECRETS
from controllers.runtime.kube import (
    AlreadyExists,
    ApiError,
    Conflict,
    Forbidden,
    Gone,
    Invalid,
    KubeConfig,
    NotFound,
    TooManyRequests,
    Unauthorized,
    UnknownKindError,
    Unreachable,
)

from .raw_server import raw_server


def line(kind: str, body: Any) -> bytes:
    return json.dumps({"type": kind, "object": body}).encode() + b"\n"


async def test_get_says_who_asks_and_what_for() -> None:
    async with raw_server() as (server, kube):
        server.json(200, {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "a"}})
        assert (await kube.get(CONFIGMAPS, "a", "ns"))["metadata"]["name"] == "a"
    seen = server.seen[0]
    assert (seen.method, seen.path) == ("GET", "/api/v1/namespaces/ns/configmaps/a")
    assert seen.headers["Authorization"] == "Bearer t0ken"


async def test_metadata_only_is_asked_for_and_gets_its_kind_back() -> None:
    async with raw_server() as (server, kube):
        server.json(200, {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": {"name": "a"}})
        server.json(200, {"metadata": {"resourceVersion": "7"}, "items": [{"kind": "PartialObjectMetadata"}]})
        got = await kube.get(SECRETS, "a", "ns", metadata_only=True)
        listed = await kube.list(SECRETS, metadata_only=True)
    assert (got["kind"], got["apiVersion"]) == ("Secret", "v1")
    assert listed.items[0]["kind"] == "Secret"
    assert "as=PartialObjectMetadata;" in server.seen[0].headers["Accept"]
    assert "as=PartialObjectMetadataList;g=meta.k8s.io;v=1" in server.seen[1].headers["Accept"]


async def test_list_follows_every_page_and_keeps_the_first_version() -> None:
    async with raw_server() as (server, kube):
        server.json(200, {"metadata": {"resourceVersion": "7", "continue": "c1"}, "items": [{"metadata": {}}]})
        server.json(200, {"metadata": {"resourceVersion": "7"}, "items": [{"metadata": {}}]})
        listed = await kube.list(DEPLOYMENTS, "ns", label_selector="a=b", limit=1)
    assert (len(listed.items), listed.resource_version) == (2, "7")
    assert [item["kind"] for item in listed.items] == ["Deployment", "Deployment"]
    assert server.seen[0].query == {"labelSelector": "a=b", "limit": "1"}
    assert server.seen[1].query == {"labelSelector": "a=b", "limit": "1", "continue": "c1"}


async def test_a_list_whose_snapshot_expired_starts_again_in_one_piece() -> None:
    async with raw_server() as (server, kube):
        server.json(
            200, {"metadata": {"resourceVersion": "7", "continue": "c1"}, "items": [{"metadata": {"name": "a"}}]}
        )
        server.status(410, "Expired", "too old")
        items = [{"metadata": {"name": "b"}}, {"metadata": {"name": "c"}}]
        server.json(200, {"metadata": {"resourceVersion": "9"}, "items": items})
        listed = await kube.list(NAMESPACES)
    assert [item["metadata"]["name"] for item in listed.items] == ["b", "c"]
    assert listed.resource_version == "9"
    assert server.seen[2].query == {}


async def test_apply_is_server_side_with_manager_and_force() -> None:
    async with raw_server() as (server, kube):
        server.json(200, {"kind": "ConfigMap"})
        body = {"metadata": {"name": "a", "namespace": "ns"}, "data": {"x": "1"}}
        await kube.apply(CONFIGMAPS, body, field_manager="kustomize-controller")
    seen = server.seen[0]
    assert (seen.method, seen.path) == ("PATCH", "/api/v1/namespaces/ns/configmaps/a")
    assert seen.query == {"fieldManager": "kustomize-controller", "force": "true"}
    assert seen.headers["Content-Type"] == "application/apply-patch+yaml"
    assert seen.body == body


async def test_views_add_headers_and_dry_run_and_leave_the_client_alone() -> None:
    async with raw_server() as (server, kube):
        for _ in range(3):
            server.json(200, {"kind": "ConfigMap"})
        tenant = kube.impersonate("system:serviceaccount:a:b", ["system:serviceaccounts", "system:authenticated"])
        body = {"metadata": {"name": "a", "namespace": "ns"}}
        await tenant.dry_run().replace(CONFIGMAPS, body)
        await tenant.dry_run().delete(CONFIGMAPS, "a", "ns", uid="u1")
        await kube.patch(CONFIGMAPS, "a", "ns", body={"data": None}, subresource="status")
    first, second, third = server.seen
    assert first.headers["Impersonate-User"] == "system:serviceaccount:a:b"
    assert first.headers.getall("Impersonate-Group") == ["system:serviceaccounts", "system:authenticated"]
    assert first.query["dryRun"] == "All"
    assert second.body["dryRun"] == ["All"]
    assert second.body["preconditions"] == {"uid": "u1"}
    assert "Impersonate-User" not in third.headers
    assert third.query == {"fieldManager": "inhaul"}
    assert third.path.endswith("/configmaps/a/status")


@pytest.mark.parametrize(
    ("code", "reason", "kind"),
    [
        (403, "Forbidden", Forbidden),
        (404, "NotFound", NotFound),
        (409, "AlreadyExists", AlreadyExists),
        (409, "Conflict", Conflict),
        (410, "Expired", Gone),
        (422, "Invalid", Invalid),
    ],
)
async def test_each_status_has_its_error(code: int, reason: str, kind: type[ApiError]) -> None:
    causes = [{"field": "spec.x", "reason": "FieldValueRequired", "message": "required"}]
    async with raw_server() as (server, kube):
        server.status(code, reason, "no", {"causes": causes})
        with pytest.raises(kind) as caught:
            await kube.create(CONFIGMAPS, {"metadata": {"name": "a"}}, "ns")
    assert type(caught.value) is kind
    assert (caught.value.status, caught.value.reason, caught.value.message) == (code, reason, "no")
    assert caught.value.causes[0].field == "spec.x"


async def test_an_error_about_a_secret_holds_no_value_of_it() -> None:
    message = 'Secret "s" is invalid: data[k]: Invalid value: "hunter2 \\"x\\": y": must be base64'
    around = 'error decoding from json: illegal base64 data at input byte 4, ...|{"k":"hunter2"}|..., bigger context'
    async with raw_server() as (server, kube):
        causes = [{"field": "data[k]", "message": 'Invalid value: "hunter2": bad'}]
        server.status(422, "Invalid", message, {"causes": causes})
        server.status(400, "BadRequest", around)
        for _ in range(2):
            with pytest.raises(ApiError) as caught:
                await kube.create(SECRETS, {"metadata": {"name": "s"}}, "ns")
            everything = repr(caught.value) + repr(caught.value.causes) + repr(caught.value.details)
            assert "hunter2" not in everything
            assert "data[k]" in everything or "base64" in everything


async def test_too_many_requests_are_repeated_when_the_server_says() -> None:
    async with raw_server() as (server, kube):
        server.status(429, "TooManyRequests", "slow down", Retry_After="0.01")
        server.status(503, "ServiceUnavailable", "starting", Retry_After="0.01")
        server.json(201, {"kind": "ConfigMap"})
        await kube.create(CONFIGMAPS, {"metadata": {"name": "a"}}, "ns")
        assert len(server.seen) == 3
        server.status(429, "TooManyRequests", "slow down", Retry_After="3600")
        with pytest.raises(TooManyRequests) as caught:
            await kube.get(CONFIGMAPS, "a", "ns")
    assert caught.value.retry_after == 3600


async def test_reads_are_repeated_after_a_lost_connection_and_writes_are_not() -> None:
    async with raw_server() as (server, kube):
        server.status(500, "InternalError", "etcd")
        server.json(200, {"kind": "ConfigMap"})
        await kube.get(CONFIGMAPS, "a", "ns")
        server.drop()
        with pytest.raises(Unreachable):
            await kube.create(CONFIGMAPS, {"metadata": {"name": "a"}}, "ns")
        server.status(500, "InternalError", "etcd")
        with pytest.raises(ApiError):
            await kube.create(CONFIGMAPS, {"metadata": {"name": "a"}}, "ns")
    assert len(server.seen) == 4


@pytest.mark.parametrize("method", ["put", "delete", "get"])
async def test_one_call_is_one_request_though_a_kept_connection_was_closed(method: str) -> None:
    """aiohttp 3.14 by itself sends an idempotent request again on another connection."""
    body = {"metadata": {"name": "a", "namespace": "ns"}}
    async with raw_server() as (server, kube):
        server.json(200, {"kind": "ConfigMap"})
        await kube.patch(CONFIGMAPS, "a", "ns", body={})  # leaves a connection behind
        server.drop()
        server.json(200, {"kind": "ConfigMap", **body})
        if method == "get":
            await kube.get(CONFIGMAPS, "a", "ns")  # our own repetition, which is counted
            assert len(server.seen) == 3
            return
        with pytest.raises(Unreachable):
            await (kube.replace(CONFIGMAPS, body) if method == "put" else kube.delete(CONFIGMAPS, "a", "ns"))
        assert len(server.seen) == 2


async def test_no_server_is_unreachable() -> None:
    from controllers.runtime.kube import KubeClient

    async with KubeClient(KubeConfig("http://127.0.0.1:9")) as kube:
        with pytest.raises(Unreachable) as caught:
            await kube.create(CONFIGMAPS, {"metadata": {"name": "a"}}, "ns")
    assert caught.value.status == 0


async def test_a_rotated_token_file_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("one")
    async with raw_server(config=KubeConfig("", token_file=str(file))) as (server, kube):
        server.json(200, {})
        await kube.get(NAMESPACES, "a")
        file.write_text("two")
        os.utime(file, ns=(1, 1))
        server.status(401, "Unauthorized", "expired")
        with pytest.raises(Unauthorized):
            await kube.get(NAMESPACES, "a")
    assert [seen.headers["Authorization"] for seen in server.seen] == ["Bearer one", "Bearer two"]


async def test_an_exec_plugin_gives_the_token(tmp_path: Path) -> None:
    plugin = tmp_path / "plugin"
    plugin.write_text('#!/bin/sh\necho "{\\"status\\": {\\"token\\": \\"from-$WHO\\"}}"\n')
    plugin.chmod(0o755)
    kubeconfig = {
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u", "namespace": "mine"}}],
        "clusters": [{"name": "k", "cluster": {"server": "http://replaced"}}],
        "users": [{"name": "u", "user": {"exec": {"command": str(plugin), "env": [{"name": "WHO", "value": "me"}]}}}],
    }
    file = tmp_path / "config"
    file.write_text(json.dumps(kubeconfig))
    from dataclasses import replace

    config = replace(KubeConfig.from_file(str(file)), server="")
    assert config.namespace == "mine"
    async with raw_server(config=config) as (server, kube):
        server.json(200, {})
        await kube.get(NAMESPACES, "a")
    assert server.seen[0].headers["Authorization"] == "Bearer from-me"


async def test_watch_yields_events_across_chunks_and_ends_with_the_server() -> None:
    async with raw_server() as (server, kube):
        whole = line("ADDED", {"metadata": {"name": "a"}}) + line("BOOKMARK", {"metadata": {"resourceVersion": "9"}})
        server.stream(whole[:10], whole[10:50], whole[50:])
        events = [event async for event in kube.watch(CONFIGMAPS, "ns", resource_version="5", timeout=10)]
    assert [event.type for event in events] == ["ADDED", "BOOKMARK"]
    assert events[0].object["kind"] == "ConfigMap"
    query = server.seen[0].query
    assert query["resourceVersion"] == "5"
    assert (query["watch"], query["allowWatchBookmarks"], query["timeoutSeconds"]) == ("1", "true", "10")


async def test_a_big_event_arrives_whole() -> None:
    async with raw_server() as (server, kube):
        server.stream(line("ADDED", {"metadata": {"name": "a"}, "data": {"x": "y" * 900_000}}))
        events = [event async for event in kube.watch(CONFIGMAPS, resource_version="5")]
    assert len(events[0].object["data"]["x"]) == 900_000


async def test_an_expired_watch_is_gone_and_a_silent_one_unreachable() -> None:
    async with raw_server() as (server, kube):
        server.stream(line("ERROR", {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}))
        with pytest.raises(Gone):
            async with aclosing(kube.watch(CONFIGMAPS, resource_version="5")) as events:
                await anext(events)
        server.stream(line("ADDED", {"metadata": {}}), hang=1)
        async with aclosing(kube.watch(CONFIGMAPS, resource_version="5")) as events:
            assert (await anext(events)).type == "ADDED"
            with pytest.raises(Unreachable, match="no event or bookmark"):
                await anext(events)


async def test_watches_do_not_take_the_calls_connections() -> None:
    async with raw_server(limit=1) as (server, kube):
        for _ in range(3):
            server.stream(line("ADDED", {"metadata": {}}), hang=1)
        watches = [kube.watch(CONFIGMAPS, resource_version="5") for _ in range(3)]
        for watch in watches:
            await anext(watch)
        server.json(200, {"kind": "ConfigMap"})
        assert (await kube.get(CONFIGMAPS, "a", "ns"))["kind"] == "ConfigMap"
        for watch in watches:
            await watch.aclose()


async def test_token_request_hides_the_token() -> None:
    async with raw_server() as (server, kube):
        server.json(201, {"status": {"token": "jwt", "expirationTimestamp": "2030-01-01T00:00:00Z"}})
        token = await kube.token_request("ns", "sa", audiences=["sts.amazonaws.com"], expiration=600)
    assert "jwt" not in repr(token)
    assert token.token.reveal_text() == "jwt"
    assert token.expires.year == 2030
    assert server.seen[0].path == "/api/v1/namespaces/ns/serviceaccounts/sa/token"
    assert server.seen[0].body["spec"] == {"audiences": ["sts.amazonaws.com"], "expirationSeconds": 600}


async def test_can_asks_for_another_or_for_ourselves() -> None:
    async with raw_server() as (server, kube):
        server.json(201, {"status": {"allowed": True}})
        server.json(201, {"status": {"allowed": False}})
        assert await kube.can(verb="get", resource=SECRETS, namespace="ns", user="u", groups=["g"])
        assert not await kube.can(verb="list", resource=DEPLOYMENTS)
    assert server.seen[0].path.endswith("/subjectaccessreviews")
    assert server.seen[0].body["spec"]["user"] == "u"
    assert server.seen[1].path.endswith("/selfsubjectaccessreviews")
    assert server.seen[1].body["spec"]["resourceAttributes"]["group"] == "apps"


async def test_discovery_is_cached_and_read_again_on_a_miss() -> None:
    deployments = {"name": "deployments", "kind": "Deployment", "namespaced": True}
    scale = {"name": "deployments/scale", "kind": "Scale", "namespaced": True}
    async with raw_server() as (server, kube):
        server.json(200, {"resources": [deployments, scale]})
        assert await kube.resource_for("apps/v1", "Deployment") == DEPLOYMENTS
        assert await kube.impersonate("x").resource_for("apps/v1", "Deployment") == DEPLOYMENTS
        assert len(server.seen) == 1
        for _ in range(2):  # a storm of misses asks once a second
            with pytest.raises(UnknownKindError):
                await kube.resource_for("apps/v1", "Deploymnet")
        assert len(server.seen) == 1
        server.status(404, "NotFound", "no")
        assert not await kube.served(CRDS)


@pytest.mark.parametrize("name", ["../secrets/x", "a/b", "", "..", "a%2fb", "a?x=1", "a\nb"])
async def test_a_hostile_name_reaches_no_other_object(name: str) -> None:
    async with raw_server() as (server, kube):
        with pytest.raises(ApiError, match=r"metadata\.name"):
            await kube.get(CONFIGMAPS, name, "ns")
    assert server.seen == []
