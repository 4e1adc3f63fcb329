"""The steps of the story: what a person or a pipeline does, and how long the cluster takes to follow.

Everything is done from outside, with the rights that the actor has: an engineer commits to Git, CI pushes an image, the
operations team rotates a secret in AWS. Only looking is done with the cluster's admin credentials.
"""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
import time
from collections.abc import Awaitable, Callable
from typing import Any

from controllers.api.core import CONFIGMAPS, DEPLOYMENTS, SECRETS
from controllers.api.kustomize import KUSTOMIZATIONS
from controllers.api.resource import Manifest, Resource
from controllers.runtime.kube import NotFound

from .narrate import Narrator, StepFailed, Told, digest
from .world import ECR_REPOSITORY, PAYMENTS, REPOSITORY, World

_PATIENCE = 40.0
_CHECKOUT = "teams/payments/checkout"


class Story:
    """Team payments' day. Each step is a method that returns what happened, in one line."""

    def __init__(self, world: World, narrator: Narrator) -> None:
        self._world, self._tell = world, narrator
        self._database = secrets.token_urlsafe(24)

    async def run(self) -> None:
        step = self._tell.step
        await step("start", "The controllers start and follow Git", self.start)
        await step("pointer", "A pointer is committed, the Secret follows", self.pointer)
        await step("encrypted", "A SOPS file and a SealedSecret become Secrets", self.encrypted)
        await step("image", "CI pushes v1.43.0, a commit follows, the Deployment runs it", self.image)
        await step("rotate", "The password is rotated in AWS, the Secret follows", self.rotate)
        await step("prune", "A file is deleted in Git, its object is pruned", self.prune)
        await step("tenancy", "Payments writes into billing's namespace and is refused", self.tenancy)

    # --- looking

    async def _get(self, resource: Resource, name: str, namespace: str = PAYMENTS) -> Manifest | None:
        try:
            return await self._world.admin.get(resource, name, namespace)
        except NotFound:
            return None

    async def _until(self, what: str, look: Callable[[], Awaitable[Any]], patience: float = _PATIENCE) -> Any:
        """The first true answer of `look`. Raises StepFailed with what was waited for and the Kustomization's word."""
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            if found := await look():
                return found
            self._world.check_alive()
            await asyncio.sleep(0.05)
        checkout = await self._get(KUSTOMIZATIONS, "checkout")
        raise StepFailed(
            f"waited {patience:g} s for {what}; Kustomization checkout: {_ready(checkout)[2] or 'not there'}"
        )

    async def _secret_value(self, name: str, key: str) -> bytes | None:
        secret = await self._get(SECRETS, name)
        value = ((secret or {}).get("data") or {}).get(key)
        return None if value is None else base64.b64decode(value)

    async def _commit(self, message: str, files: dict[str, bytes | str | None]) -> str:
        revision = await self._world.git.commit(REPOSITORY, files, message=message)
        self._tell.say(f"git: {revision[:7]} {message}")
        return revision

    async def _applied(self, revision: str) -> Manifest | None:
        checkout = await self._get(KUSTOMIZATIONS, "checkout")
        applied = ((checkout or {}).get("status") or {}).get("lastAppliedRevision", "")
        return checkout if applied.endswith(revision) and _ready(checkout)[0] == "True" else None

    # --- the steps

    async def start(self, told: Told) -> str:
        await self._until("the tenant's Kustomization", lambda: self._get(KUSTOMIZATIONS, "checkout"))
        self._tell.say("the platform's Git repository made namespace payments, its identities and policies")
        return "one process, four controllers; payments' set-up applied from Git"

    async def pointer(self, told: Told) -> str:
        self._world.aws_create_secret("payments/checkout/database", json.dumps({"password": self._database}))
        self._tell.say(f"aws: secret payments/checkout/database holds {digest(self._database.encode())}")
        await self._commit(
            "payments: run checkout with a pointer to its password", self._world.render("teams/payments")
        )
        began = time.monotonic()

        async def same() -> bool:
            return await self._secret_value("checkout-database", "password") == self._database.encode()

        await self._until("Secret checkout-database", same)
        told.measured["commit_to_secret"] = round(time.monotonic() - began, 2)
        self._tell.say(f"cluster: Secret checkout-database holds {digest(self._database.encode())}")
        await self._until("Deployment checkout", lambda: self._running("v1.42.0"))
        return f"no secret in Git; Secret written {told.measured['commit_to_secret']:.1f} s after the commit"

    async def encrypted(self, told: Told) -> str:
        signing, webhook = secrets.token_urlsafe(24), secrets.token_urlsafe(24)
        files: dict[str, bytes | str | None] = {
            f"{_CHECKOUT}/signing.sops.yaml": await self._world.sops_secret("checkout-signing", {"key": signing}),
            f"{_CHECKOUT}/webhook.yaml": await self._world.sealed_secret("checkout-webhook", {"token": webhook}),
            f"{_CHECKOUT}/kustomization.yaml": _resources("deployment", "database", "signing.sops", "webhook"),
        }
        await self._commit("payments: add the signing key (SOPS) and the webhook token (SealedSecret)", files)

        async def both() -> bool:
            return (
                await self._secret_value("checkout-signing", "key") == signing.encode()
                and await self._secret_value("checkout-webhook", "token") == webhook.encode()
            )

        await self._until("both Secrets", both)
        self._tell.say(f"cluster: checkout-signing holds {digest(signing.encode())}, by SOPS with an age key")
        self._tell.say(f"cluster: checkout-webhook holds {digest(webhook.encode())}, by a SealedSecret")
        return "both Secrets hold what was encrypted; Git holds ciphertext only"

    async def image(self, told: Told) -> str:
        before = await self._world.git.head(REPOSITORY)
        found = await self._world.ci_push("v1.43.0")
        began = time.monotonic()
        self._tell.say(f"ci: pushed {ECR_REPOSITORY}:v1.43.0 ({found[:19]}…); it holds no cluster credential")

        async def committed() -> str:
            head = await self._world.git.head(REPOSITORY)
            return head if head != before else ""

        head = await self._until("the bot's commit", committed)
        told.measured["push_to_commit"] = round(time.monotonic() - began, 2)
        self._tell.say(await self._world.git.git(REPOSITORY, "log", "-1", "--format=git: %h %s (by %an)", head))
        diff = await self._world.git.git(REPOSITORY, "diff", "-U0", before, head)
        changed = [line for line in diff.splitlines() if line[:1] in "+-" and line[:3] not in ("+++", "---")]
        self._tell.say("\n".join(changed))
        if len(changed) != 2:
            raise StepFailed(f"expected one changed line, found {len(changed)}")
        await self._until("the rollout of v1.43.0", lambda: self._running("v1.43.0"))
        told.measured["push_to_running"] = round(time.monotonic() - began, 2)
        return (
            f"committed {told.measured['push_to_commit']:.1f} s after the push (one scalar changed), "
            f"running after {told.measured['push_to_running']:.1f} s"
        )

    async def _running(self, tag: str) -> bool:
        deployment = await self._get(DEPLOYMENTS, "checkout")
        if deployment is None:
            return False
        image = deployment["spec"]["template"]["spec"]["containers"][0]["image"]
        status = deployment.get("status") or {}
        current = status.get("observedGeneration") == deployment["metadata"]["generation"]
        ready = status.get("updatedReplicas") == status.get("availableReplicas") == deployment["spec"]["replicas"]
        return bool(image.endswith(f":{tag}") and current and ready)

    async def rotate(self, told: Told) -> str:
        rotated = secrets.token_urlsafe(24)
        self._world.aws_put_secret("payments/checkout/database", json.dumps({"password": rotated}))
        began = time.monotonic()
        self._tell.say(f"aws: secret payments/checkout/database now holds {digest(rotated.encode())}")

        async def same() -> bool:
            return await self._secret_value("checkout-database", "password") == rotated.encode()

        await self._until("the rotated value", same)
        told.measured["rotate_to_secret"] = round(time.monotonic() - began, 2)
        self._tell.say(f"cluster: Secret checkout-database holds {digest(rotated.encode())}")
        return f"Secret rewritten {told.measured['rotate_to_secret']:.1f} s after the rotation, by the event"

    async def prune(self, told: Told) -> str:
        files: dict[str, bytes | str | None] = {
            f"{_CHECKOUT}/webhook.yaml": None,
            f"{_CHECKOUT}/kustomization.yaml": _resources("deployment", "database", "signing.sops"),
        }
        revision = await self._commit("payments: the webhook is gone", files)

        async def gone() -> bool:
            return await self._get(SECRETS, "checkout-webhook") is None and bool(await self._applied(revision))

        # a real garbage collector learns of new kinds each 30 s
        await self._until("the SealedSecret and its Secret to go", gone, patience=75)
        return "SealedSecret pruned, its Secret collected with it; the rest untouched"

    async def tenancy(self, told: Told) -> str:
        files: dict[str, bytes | str | None] = {
            f"{_CHECKOUT}/kustomization.yaml": _resources("deployment", "database", "signing.sops"),
            "teams/payments/elsewhere/reach.yaml": _REACH,
        }
        await self._commit("payments: try to write into billing", files)
        await self._world.admin.apply(KUSTOMIZATIONS, _elsewhere(), field_manager="inhaul-demo")

        async def refused() -> str:
            return _refusal(await self._get(KUSTOMIZATIONS, "elsewhere"))

        message = await self._until("the refusal", refused)
        if await self._get(CONFIGMAPS, "reach", "billing") is not None:
            raise StepFailed("the object exists in billing")
        self._tell.say(f"cluster: Kustomization elsewhere: {message}")
        healthy = _ready(await self._get(KUSTOMIZATIONS, "checkout"))
        if healthy[0] != "True":
            raise StepFailed(f"checkout suffered from its neighbour: {healthy[2]}")
        return "the API server refused payments-reconciler; nothing written, checkout unaffected"


_REACH = """apiVersion: v1
kind: ConfigMap
metadata:
  name: reach
  namespace: billing
data:
  owner: payments
"""


def _elsewhere() -> Manifest:
    return {
        "apiVersion": KUSTOMIZATIONS.api_version,
        "kind": KUSTOMIZATIONS.kind,
        "metadata": {"name": "elsewhere", "namespace": PAYMENTS},
        "spec": {
            "interval": "10m",
            "retryInterval": "10m",
            "path": "./teams/payments/elsewhere",
            "prune": True,
            "serviceAccountName": "payments-reconciler",
            "sourceRef": {"kind": "GitRepository", "name": "platform"},
        },
    }


def _resources(*names: str) -> str:
    lines = "".join(f"  - {name}.yaml\n" for name in names)
    return f"apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n{lines}"


def _ready(manifest: Manifest | None) -> tuple[str, str, str]:
    """Status, reason and message of Ready."""
    for condition in ((manifest or {}).get("status") or {}).get("conditions") or []:
        if condition["type"] == "Ready":
            return condition["status"], condition["reason"], condition["message"]
    return "", "", ""


def _refusal(manifest: Manifest | None) -> str:
    """The API server's words, where it refused."""
    status, _, message = _ready(manifest)
    return message if status == "False" and "forbidden" in message and "payments-reconciler" in message else ""
