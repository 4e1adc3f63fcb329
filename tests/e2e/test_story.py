"""The whole story, and that no secret of it shows where it should not."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator

import pytest

from controllers.api.core import SECRETS
from controllers.api.resource import Manifest
from controllers.standin.demo.world import PAYMENTS, REPOSITORY
from tests.e2e.conftest import Stage

pytestmark = pytest.mark.asyncio(loop_scope="module")
TARGETS = ("checkout-database", "checkout-signing", "checkout-webhook")


async def _values(stage: Stage) -> set[bytes]:
    """What the target Secrets hold now."""
    listed = await stage.world.admin.list(SECRETS, PAYMENTS)
    return {
        base64.b64decode(value)
        for item in listed.items if item["metadata"]["name"] in TARGETS
        for value in item["data"].values()
    }  # fmt: skip


async def _everything(stage: Stage) -> Iterator[Manifest]:
    """Every object that the API server serves, but Secrets."""
    found: list[Manifest] = []
    groups = await stage.world.admin.request("GET", "/apis")
    roots = ["/api/v1", *(f"/apis/{item['preferredVersion']['groupVersion']}" for item in groups["groups"])]
    for root in roots:
        served = await stage.world.admin.request("GET", root)
        for kind in served["resources"]:
            if "list" in kind["verbs"] and kind["name"] != "secrets":
                found.extend((await stage.world.admin.request("GET", f"{root}/{kind['name']}"))["items"])
    return iter(found)


def _shows(secret: bytes, text: bytes) -> bool:
    return secret in text or base64.b64encode(secret).rstrip(b"=") in text


async def test_every_step_keeps_its_promise_and_no_secret_is_seen_outside_its_target(stage: Stage) -> None:
    secrets: set[bytes] = set()
    measured: dict[str, float] = {}
    for step in ("start", "pointer", "encrypted", "image", "rotate"):
        measured |= await stage.step(step)
        secrets |= await _values(stage)
    for step in ("prune", "tenancy"):
        measured |= await stage.step(step)
    assert measured["push_to_commit"] <= 5
    assert measured["rotate_to_secret"] <= 5
    assert len(secrets) == 4, "database before and after, signing key, webhook token"

    objects = list(await _everything(stage))
    assert len(objects) > 50
    places = {f"{item.get('kind', '?')} {item['metadata']}": json.dumps(item) for item in objects}
    places["controllers.log"] = stage.log()
    git = await stage.world.git.git(REPOSITORY, "log", "--all", "-p", "--text", "--format=%B")
    assert "checkout-webhook" in git
    places["the history of Git"] = git
    for place, text in places.items():
        assert not any(_shows(secret, text.encode()) for secret in secrets), f"a secret shows in {place}"


async def test_only_the_owner_reads_the_files_of_the_world(stage: Stage) -> None:
    assert stage.world.directory.stat().st_mode & 0o077 == 0


async def test_bot_commits_once_and_changes_one_line(stage: Stage) -> None:
    assert len(await stage.bot_commits()) == 1
