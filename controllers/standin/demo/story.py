"""The steps of the story: what a person or a pipeline does, and how long the cluster takes to follow.

Everything is done from outside, with the rights that the actor has: an engineer commits to Git, CI pushes an image, the
operations team rotates a secret in AWS. Only looking is done with the cluster's admin credentials.
"""

from __future__ import annotations

import json
import secrets
import time

from controllers.api.core import CONFIGMAPS, SECRETS
from controllers.api.kustomize import KUSTOMIZATIONS
from controllers.api.resource import Manifest

from .actor import CHECKOUT, Actor, ready, resources
from .engineer import Engineer
from .hand import Hand
from .narrate import Narrator, StepFailedError, Told, digest
from .steps_decryption import DecryptionSteps
from .steps_image import ImageSteps
from .steps_secrets import SecretSteps
from .world import ECR_REPOSITORY, PAYMENTS, REPOSITORY, World


class Story(Actor):
    """Team payments' day. Each step is a method that returns what happened, in one line."""

    def __init__(self, world: World, narrator: Narrator) -> None:
        super().__init__(world, narrator)
        self._database = secrets.token_urlsafe(24)
        self._hand = Hand(world, narrator)

    async def run(self) -> None:
        step = self.tell.step
        await step("start", "The controllers start and follow Git", self.start)
        await step("pointer", "A pointer is committed, the Secret follows", self.pointer)
        await step("encrypted", "A SOPS file and a SealedSecret become Secrets", self.encrypted)
        await DecryptionSteps(self.world, self.tell).run()
        await step("image", "CI pushes v1.43.0, a commit follows, the Deployment runs it", self.image)
        await ImageSteps(self.world, self.tell).run()
        await step("rotate", "The password is rotated in AWS, the Secret follows", self.rotate)
        await SecretSteps(self.world, self.tell).run()
        await step("drift", "Somebody edits by hand: undone in dev's mode, held and named in prod's", self._hand.drift)
        await step("prune", "A file is deleted in Git, its object is pruned", self.prune)
        await step("tenancy", "Payments writes into billing's namespace and is refused", self.tenancy)

    # --- the steps

    async def start(self, told: Told) -> str:
        await self.until("the tenant's Kustomization", lambda: self.get(KUSTOMIZATIONS, "checkout"))
        self.tell.say("the platform's Git repository made namespace payments, its identities and policies")
        return "one process, four controllers; payments' set-up applied from Git"

    async def pointer(self, told: Told) -> str:
        self.world.aws_create_secret("payments/checkout/database", json.dumps({"password": self._database}))
        self.tell.say(f"aws: secret payments/checkout/database holds {digest(self._database.encode())}")
        await self.commit("payments: run checkout with a pointer to its password", self.world.render("teams/payments"))
        began = time.monotonic()

        async def same() -> bool:
            return await self.secret_value("checkout-database", "password") == self._database.encode()

        await self.until("Secret checkout-database", same)
        told.measured["commit_to_secret"] = round(time.monotonic() - began, 2)
        self.tell.say(f"cluster: Secret checkout-database holds {digest(self._database.encode())}")
        await self.until("Deployment checkout", lambda: self.running("v1.42.0"))
        return f"no secret in Git; Secret written {told.measured['commit_to_secret']:.1f} s after the commit"

    async def encrypted(self, told: Told) -> str:
        signing, webhook = secrets.token_urlsafe(24), secrets.token_urlsafe(24)
        files: dict[str, bytes | str | None] = {
            f"{CHECKOUT}/signing.sops.yaml": await self.world.sops_secret("checkout-signing", {"key": signing}),
            f"{CHECKOUT}/webhook.yaml": await self.world.sealed_secret("checkout-webhook", {"token": webhook}),
            f"{CHECKOUT}/kustomization.yaml": resources("deployment", "database", "signing.sops", "webhook"),
        }
        await self.commit("payments: add the signing key (SOPS) and the webhook token (SealedSecret)", files)

        async def both() -> bool:
            return (
                await self.secret_value("checkout-signing", "key") == signing.encode()
                and await self.secret_value("checkout-webhook", "token") == webhook.encode()
            )

        await self.until("both Secrets", both)
        self.tell.say(f"cluster: checkout-signing holds {digest(signing.encode())}, by SOPS with an age key")
        self.tell.say(f"cluster: checkout-webhook holds {digest(webhook.encode())}, by a SealedSecret")
        return "both Secrets hold what was encrypted; Git holds ciphertext only"

    async def image(self, told: Told) -> str:
        before = await self.world.git.head(REPOSITORY)
        found = await self.world.ci_push("v1.43.0")
        began = time.monotonic()
        self.tell.say(f"ci: pushed {ECR_REPOSITORY}:v1.43.0 ({found[:19]}…); it holds no cluster credential")

        async def committed() -> str:
            head = await self.world.git.head(REPOSITORY)
            return head if head != before else ""

        head = await self.until("the bot's commit", committed)
        told.measured["push_to_commit"] = round(time.monotonic() - began, 2)
        self.tell.say(await self.world.git.git(REPOSITORY, "log", "-1", "--format=git: %h %s (by %an)", head))
        diff = await self.world.git.git(REPOSITORY, "diff", "-U0", before, head)
        changed = [line for line in diff.splitlines() if line[:1] in "+-" and line[:3] not in ("+++", "---")]
        self.tell.say("\n".join(changed))
        if len(changed) != 2:
            raise StepFailedError(f"expected one changed line, found {len(changed)}")
        await self.until("the rollout of v1.43.0", lambda: self.running("v1.43.0"))
        told.measured["push_to_running"] = round(time.monotonic() - began, 2)
        return (
            f"committed {told.measured['push_to_commit']:.1f} s after the push (one scalar changed), "
            f"running after {told.measured['push_to_running']:.1f} s"
        )

    async def rotate(self, told: Told) -> str:
        rotated = secrets.token_urlsafe(24)
        self.world.aws_put_secret("payments/checkout/database", json.dumps({"password": rotated}))
        began = time.monotonic()
        self.tell.say(f"aws: secret payments/checkout/database now holds {digest(rotated.encode())}")

        async def same() -> bool:
            return await self.secret_value("checkout-database", "password") == rotated.encode()

        await self.until("the rotated value", same)
        told.measured["rotate_to_secret"] = round(time.monotonic() - began, 2)
        self.tell.say(f"cluster: Secret checkout-database holds {digest(rotated.encode())}")
        return f"Secret rewritten {told.measured['rotate_to_secret']:.1f} s after the rotation, by the event"

    async def prune(self, told: Told) -> str:
        files: dict[str, bytes | str | None] = {
            f"{CHECKOUT}/webhook.yaml": None,
            f"{CHECKOUT}/kustomization.yaml": resources("deployment", "database", "signing.sops"),
        }
        revision = await self.commit("payments: the webhook is gone", files)

        async def gone() -> bool:
            return await self.get(SECRETS, "checkout-webhook") is None and bool(await self.applied(revision))

        # a real garbage collector learns of new kinds each 30 s
        await self.until("the SealedSecret and its Secret to go", gone, patience=75)
        return "SealedSecret pruned, its Secret collected with it; the rest untouched"

    async def tenancy(self, told: Told) -> str:
        files: dict[str, bytes | str | None] = {
            f"{CHECKOUT}/kustomization.yaml": resources("deployment", "database", "signing.sops"),
            "teams/payments/elsewhere/reach.yaml": _REACH,
        }
        await self.commit("payments: try to write into billing", files)
        await self.world.admin.apply(KUSTOMIZATIONS, _elsewhere(), field_manager="inhaul-demo")

        async def refused() -> str:
            return _refusal(await self.get(KUSTOMIZATIONS, "elsewhere"))

        message = await self.until("the refusal", refused)
        if await self.get(CONFIGMAPS, "reach", "billing") is not None:
            raise StepFailedError("the object exists in billing")
        self.tell.say(f"cluster: Kustomization elsewhere: {message}")
        said = await Engineer(self.world).inhaul("why", "kustomization/elsewhere", ends=1)
        self.tell.say(f"engineer: inhaul why kustomization/elsewhere\n{said.rstrip()}")
        if "forbidden" not in said:
            raise StepFailedError("inhaul why does not say the cause")
        healthy = ready(await self.get(KUSTOMIZATIONS, "checkout"))
        if healthy[0] != "True":
            raise StepFailedError(f"checkout suffered from its neighbour: {healthy[2]}")
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


def _refusal(manifest: Manifest | None) -> str:
    """The API server's words, where it refused."""
    status, _, message = ready(manifest)
    return message if status == "False" and "forbidden" in message and "payments-reconciler" in message else ""
