"""The demo's steps about encrypted files: a KMS key, a tampered file, a renewed sealing key."""

from __future__ import annotations

import re
import secrets
from typing import Any

import yaml

from controllers.api.bitnami import SEALED_SECRETS
from controllers.api.core import CONFIGMAPS
from controllers.api.kustomize import KUSTOMIZATIONS

from .actor import CHECKOUT, Actor, ready, sync
from .narrate import StepFailedError, Told, digest
from .world import PAYMENTS, REPOSITORY

_KEYS = "teams/payments/keys"


class DecryptionSteps(Actor):
    """Told after the first encrypted files are in Git."""

    async def run(self) -> None:
        step = self.tell.step
        await step("kms", "A file encrypted with KMS opens as payments' own identity", self.kms)
        await step("tampered", "A tampered file is refused, the rest is applied", self.tampered)
        await step("reseal", "The sealing key is renewed, a commit re-encrypts", self.reseal)

    async def kms(self, told: Told) -> str:
        value = secrets.token_urlsafe(24)
        key = self.world.aws_create_key()
        files: dict[str, bytes | str | None] = {
            "clusters/demo/payments-keys.yaml": _KEYS_SYNC,
            f"{_KEYS}/ledger.yaml": await self.world.sops_secret("ledger", {"key": value}, kms=key),
            f"{_KEYS}/flags.yaml": _flags("one"),
        }
        await self.commit("payments: add the ledger key, encrypted with KMS", files)

        async def same() -> bool:
            return await self.secret_value("ledger", "key") == value.encode()

        await self.until("Secret ledger", same)
        self.tell.say(f"cluster: Secret ledger holds {digest(value.encode())}, by KMS as the role payments-sops")
        return "opened by the role that trusts payments' service account; the controller's own role may not"

    async def tampered(self, told: Told) -> str:
        sealed = (await self.world.git.read(REPOSITORY, f"{_KEYS}/ledger.yaml")).decode()
        name = re.search(r"^    name: ledger$|^  name: ledger$", sealed, re.M)
        if name is None:
            raise StepFailedError("the file in Git has no name to tamper with")
        broken = sealed.replace(name[0], name[0].replace("ledger", "ledger-2"))
        files: dict[str, bytes | str | None] = {f"{_KEYS}/ledger.yaml": broken, f"{_KEYS}/flags.yaml": _flags("two")}
        await self.commit("payments: somebody renames an encrypted Secret by hand", files)

        async def refused() -> str:
            status, _, message = ready(await self.get(KUSTOMIZATIONS, "keys"))
            return message if status == "False" and "MAC" in message and "ledger.yaml" in message else ""

        message = await self.until("the refusal", refused)
        self.tell.say(f"cluster: Kustomization keys: {message}")

        async def applied() -> bool:
            flags = await self.world.admin.get(CONFIGMAPS, "flags", PAYMENTS)
            return bool(flags["data"]["release"] == "two")

        await self.until("the other file to be applied", applied)
        await self.commit("payments: take the file back", {f"{_KEYS}/ledger.yaml": sealed})

        async def mended() -> bool:
            return ready(await self.get(KUSTOMIZATIONS, "keys"))[0] == "True"

        await self.until("the Kustomization to be ready again", mended)
        return "the MAC over the file in Git did not hold; the file beside it was applied, nothing was pruned"

    async def reseal(self, told: Told) -> str:
        await self.world.renew_sealing_key()
        self.tell.say("cluster: the controllers made a new sealing key; the old one still opens what it sealed")

        async def outdated() -> str:
            return _condition(await self.get(SEALED_SECRETS, "checkout-webhook"), "KeyOutdated")

        await self.until("the SealedSecret to be told as sealed with an older key", outdated)
        path = f"{CHECKOUT}/webhook.yaml"
        before = (await self.world.git.read(REPOSITORY, path)).decode()
        after = await self.world.reseal(before)
        if yaml.safe_load(after)["spec"]["encryptedData"] == yaml.safe_load(before)["spec"]["encryptedData"]:
            raise StepFailedError("inhaul reseal changed nothing")
        await self.commit("payments: seal the webhook token with the new key", {path: after})

        async def current() -> bool:
            return not await outdated()

        await self.until("the SealedSecret to be current", current)
        return "inhaul reseal rewrote the one item, template and all else as they were; the Secret did not change"


def _condition(manifest: Any, kind: str) -> str:
    """The message of a condition that is True."""
    for item in ((manifest or {}).get("status") or {}).get("conditions") or []:
        if item["type"] == kind and item["status"] == "True":
            return str(item["message"] or kind)
    return ""


def _flags(release: str) -> str:
    head = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: flags\n  namespace: payments\n"
    return f"{head}data:\n  release: {release}\n"


_KEYS_SYNC = (
    sync("keys")
    + """  decryption:
    provider: sops
    serviceAccountName: payments-sops
"""
)
