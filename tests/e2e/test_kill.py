"""The controllers are killed at the worst moments and started again: the loop completes, and nothing happens twice."""

from __future__ import annotations

import asyncio
import json
import secrets

import pytest

from controllers.api.core import DEPLOYMENTS, SECRETS
from controllers.api.external_secrets import EXTERNAL_SECRETS
from controllers.api.image import IMAGE_POLICIES
from controllers.api.kustomize import KUSTOMIZATIONS
from controllers.standin.demo.world import PAYMENTS, REPOSITORY, SYSTEM
from tests.cluster import until
from tests.e2e.conftest import Stage

pytestmark = pytest.mark.asyncio(loop_scope="module")
SEALING_KEY = "sealedsecrets.bitnami.com/sealed-secrets-key"


async def test_killed_after_the_pointer_is_committed_the_secret_still_follows(stage: Stage) -> None:
    await stage.step("start")
    world = stage.world
    password = secrets.token_urlsafe(24)
    world.aws_create_secret("payments/checkout/database", json.dumps({"password": password}))
    await world.git.commit(REPOSITORY, world.render("teams/payments"), message="payments: a pointer")
    await stage.restart()
    await _until_secret(stage, password)
    await _until_running(stage, "v1.42.0")


async def test_killed_between_push_and_commit_there_is_one_commit(stage: Stage) -> None:
    await stage.world.ci_push("v1.43.0")
    await stage.restart()
    await _until_running(stage, "v1.43.0")
    assert _of(await stage.bot_commits(), "v1.43.0") == 1


async def test_killed_right_after_the_commit_there_is_no_second_one(stage: Stage) -> None:
    await stage.world.ci_push("v1.44.0")

    async def committed() -> bool:
        return _of(await stage.bot_commits(), "v1.44.0") == 1

    await until(committed, patience=30, what="the bot's commit")
    await stage.restart()
    await _until_running(stage, "v1.44.0")
    assert _of(await stage.bot_commits(), "v1.44.0") == 1
    assert len(await stage.bot_commits()) == 2


async def test_killed_while_a_password_is_rotated_the_secret_still_follows(stage: Stage) -> None:
    rotated = secrets.token_urlsafe(24)
    stage.world.aws_put_secret("payments/checkout/database", json.dumps({"password": rotated}))
    await stage.restart()
    await _until_secret(stage, rotated)


async def test_restart_writes_nothing_that_is_already_right(stage: Stage) -> None:
    await stage.until_ready(KUSTOMIZATIONS, "checkout")
    before = await _settled(stage)
    await stage.restart()
    # a new commit goes through the whole chain: when it is applied, the restart is over
    note = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: note\n"
    kinds = "".join(f"  - {name}.yaml\n" for name in ("deployment", "database", "note"))
    listing = f"apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n{kinds}"
    at = "teams/payments/checkout"
    files: dict[str, bytes | str | None] = {f"{at}/note.yaml": note, f"{at}/kustomization.yaml": listing}
    revision = await stage.world.git.commit(REPOSITORY, files, message="payments: a note")

    async def applied() -> bool:
        checkout = await stage.find(KUSTOMIZATIONS, "checkout")
        return str(((checkout or {}).get("status") or {}).get("lastAppliedRevision", "")).endswith(revision)

    await until(applied, patience=30, what="the note")
    assert await _versions(stage) == before


async def test_all_restarts_share_one_sealing_key(stage: Stage) -> None:
    keys = await stage.world.admin.list(SECRETS, SYSTEM, label_selector=SEALING_KEY)
    assert len(keys.items) == 1


def _of(commits: list[str], tag: str) -> int:
    """Commits that changed an image to this tag; their subject is "old -> new"."""
    return sum(subject.endswith(tag) for subject in commits)


async def _versions(stage: Stage) -> dict[str, str]:
    wanted = (
        (DEPLOYMENTS, "checkout"), (SECRETS, "checkout-database"), (EXTERNAL_SECRETS, "checkout-database"),
        (IMAGE_POLICIES, "checkout"),
    )  # fmt: skip
    found = {}
    for resource, name in wanted:
        item = await stage.world.admin.get(resource, name, PAYMENTS)
        found[f"{resource.kind} {name}"] = item["metadata"]["resourceVersion"]
    return found


async def _settled(stage: Stage) -> dict[str, str]:
    """The versions once they stand still: a Secret is written before the status that speaks of it."""
    last: dict[str, str] = {}

    async def same() -> bool:
        nonlocal last
        known, last = last, await _versions(stage)
        if steady := known == last:
            return steady
        await asyncio.sleep(1.5)
        return False

    await until(same, patience=30, what="nothing more to be written")
    return last


async def _until_secret(stage: Stage, password: str) -> None:
    async def same() -> bool:
        return await stage.story.secret_value("checkout-database", "password") == password.encode()

    await until(same, patience=40, what="Secret checkout-database")


async def _until_running(stage: Stage, tag: str) -> None:
    await until(lambda: stage.story.running(tag), patience=40, what=f"the rollout of {tag}")
