"""Encrypted files in a Kustomization: what was tampered with is refused, and the rest goes on."""

from __future__ import annotations

import asyncio
import os
import subprocess
from functools import partial
from pathlib import Path

import pyrage
import pytest

from controllers.api.core import NAMESPACES, SECRETS
from controllers.api.kustomize import KUSTOMIZATIONS
from controllers.decryption.guard import PLAINTEXT_ANNOTATION
from controllers.decryption.tool import find_sops
from controllers.kustomization.yamldump import dump
from controllers.runtime.conditions import find

from .conftest import World, configmap, running
from .test_apply import message, start


@pytest.fixture
def identity() -> pyrage.x25519.Identity:
    return pyrage.x25519.Identity.generate()


async def secret(identity: pyrage.x25519.Identity, directory: Path, name: str, password: str) -> str:
    meta = {"name": name, "namespace": "team-a"}
    plain = dump({"apiVersion": "v1", "kind": "Secret", "metadata": meta, "stringData": {"password": password}})
    argv = [find_sops(), "encrypt", "--age", str(identity.to_public()), "--encrypted-regex", "^(data|stringData)$"]
    argv += ["--input-type", "yaml", "--output-type", "yaml", "--filename-override", "a.yaml"]
    env = {"PATH": os.defpath, "HOME": str(directory)}
    run = partial(subprocess.run, argv, input=plain.encode(), capture_output=True, check=True, env=env)
    return (await asyncio.to_thread(run)).stdout.decode()


async def test_a_tampered_file_is_refused_while_the_rest_is_applied_and_nothing_is_pruned(
    world: World, tmp_path: Path, identity: pyrage.x25519.Identity
) -> None:
    first = await secret(identity, tmp_path, "db", "one")
    await start(
        world, {"app/db.yaml": first, "app/api.yaml": await secret(identity, tmp_path, "api", "x"),
                "app/settings.yaml": configmap("settings", "team-a", a="1")},
    )  # fmt: skip
    await world.secret("sops-keys", "team-a", **{"age.agekey": str(identity)})
    decryption = {"provider": "sops", "secretRef": {"name": "sops-keys"}}
    await world.kube.patch(KUSTOMIZATIONS, "app", "team-a", body={"spec": {"decryption": decryption}})
    async with running(world.manager()) as manager:
        await world.condition("app", "team-a", "True")
        tampered = first.replace("name: db", "name: da")
        assert tampered != first
        await world.push(
            {"app/db.yaml": tampered, "app/settings.yaml": configmap("settings", "team-a", a="2")}, "team-a"
        )
        held = await world.condition("app", "team-a", "False", "BuildFailed")
        assert "app/db.yaml: the MAC is not that of the values" in message(held)
        assert "the other 2 objects are applied" in message(held)
        assert await world.data("settings", "team-a") == {"a": "2"}
        assert (await world.kube.get(SECRETS, "db", "team-a"))["data"] == {"password": "b25l"}
        assert await world.get(SECRETS, "da", "team-a") is None
        assert len(held["status"]["inventory"]["entries"]) == 3
        assert 'result="MacMismatch"' in manager.metrics.render().decode()
        commit = await world.push({"app/db.yaml": await secret(identity, tmp_path, "db", "two")}, "team-a")
        await world.applied("app", "team-a", commit)
        assert (await world.kube.get(SECRETS, "db", "team-a"))["data"] == {"password": "dHdv"}


async def test_a_namespace_may_refuse_plaintext_secrets(world: World) -> None:
    plain = dump({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db", "namespace": "team-a"},
                  "stringData": {"password": "hunter2"}})  # fmt: skip
    await start(world, {"app/db.yaml": plain, "app/settings.yaml": configmap("settings", "team-a", a="1")})
    await world.kube.patch(
        NAMESPACES, "team-a", body={"metadata": {"annotations": {PLAINTEXT_ANNOTATION: "refuse"}}}
    )  # fmt: skip
    async with running(world.manager()):
        held = await world.condition("app", "team-a", "False", "BuildFailed")
        text = str((find(held["status"], "Ready") or {}).get("message"))
        assert "Secret db is in plaintext: stringData.password" in text and "hunter2" not in text
        assert await world.get(SECRETS, "db", "team-a") is None
        assert await world.data("settings", "team-a") == {"a": "1"}
