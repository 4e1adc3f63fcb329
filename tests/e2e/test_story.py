"""The whole story, and that no secret of it shows where it should not."""

from __future__ import annotations

import base64
import json
from collections.abc import Awaitable, Callable, Iterator

import pytest

from controllers.api.core import SECRETS
from controllers.api.resource import Manifest
from controllers.standin.demo.narrate import Narrator, Told
from controllers.standin.demo.story import Story
from controllers.standin.demo.world import PAYMENTS, REPOSITORY
from tests.e2e.conftest import Stage

pytestmark = pytest.mark.asyncio(loop_scope="module")
TARGETS = ("checkout-database", "checkout-signing", "checkout-webhook", "ledger", "edge-tls", "partners")


async def _values(stage: Stage) -> set[bytes]:
    """What the target Secrets hold now."""
    listed = await stage.world.admin.list(SECRETS, PAYMENTS)
    return {
        base64.b64decode(value)
        for item in listed.items if item["metadata"]["name"] in TARGETS
        for key, value in item["data"].items() if key != "tls.crt"  # a certificate is public
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


class _Watched(Narrator):
    """Tells the steps as the demo does; after each one the values that the target Secrets hold are noted."""

    def __init__(self, stage: Stage) -> None:
        super().__init__(quiet=True)
        self._stage = stage
        self.secrets: set[bytes] = set()

    async def step(self, name: str, title: str, run: Callable[[Told], Awaitable[str]]) -> bool:
        went_well = await super().step(name, title, run)
        assert went_well, f"{name}: {self.told[-1].happened}\n{self._stage.log()[-3000:]}"
        self.secrets |= await _values(self._stage)
        return went_well


@pytest.mark.timeout(400)
async def test_every_step_keeps_its_promise_and_no_secret_is_seen_outside_its_target(stage: Stage) -> None:
    told = _Watched(stage)
    await Story(stage.world, told).run()
    measured = {name: seconds for step in told.told for name, seconds in step.measured.items()}
    assert len(told.told) == 19
    for name in ("push_to_commit", "move_to_commit", "rotate_to_secret"):
        assert measured[name] <= 15, name
    secrets = told.secrets
    assert len(secrets) >= 4 + 2 + 3, "passwords, signing key, webhook token, ledger key, TLS key, three partners"

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


async def test_each_commit_of_the_bot_is_of_one_scalar_and_none_is_made_twice(stage: Stage) -> None:
    found = await stage.world.git.git(REPOSITORY, "log", "--author=inhaul@example.com", "--format=%H", "main")
    changes = []
    for revision in found.split():
        diff = await stage.world.git.git(REPOSITORY, "show", "-U0", "--format=", revision)
        lines = [line for line in diff.splitlines() if line[:1] in "+-" and line[:3] not in ("+++", "---")]
        assert len(lines) == 2, diff
        changes.append(tuple(lines))
    released = [lines for lines in changes if "v1.44.0 " in lines[1]]
    assert len(released) == 2, "once by itself, once when released after the revert"
    assert len(changes) == 6
    assert len(set(changes)) == 5
