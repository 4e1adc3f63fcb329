"""The demo's steps about images, after the first one was committed: what is not taken, what is pinned, and a bot that
works beside people: it survives their commits, honours their reverts, and signs its own."""

from __future__ import annotations

import asyncio
import time

from controllers.api.core import DEPLOYMENTS
from controllers.api.image import IMAGE_POLICIES, IMAGE_REPOSITORIES, IMAGE_UPDATE_AUTOMATIONS

from ..cloud.git_store import GitError
from .actor import Actor, ready, sync
from .engineer import Engineer, ssh_key
from .narrate import Narrator, StepFailedError, Told
from .world import ECR_HOST, ECR_REPOSITORY, PAYMENTS, REPOSITORY, World

_BOT = "inhaul@example.com"
_HELD = "image.inhaul.dev/held"
_SETUP = "clusters/demo/payments.yaml"
_WORKER = "teams/payments/worker/deployment.yaml"


class ImageSteps(Actor):
    """Told when v1.43.0 runs."""

    def __init__(self, world: World, narrator: Narrator) -> None:
        super().__init__(world, narrator)
        self._engineer = Engineer(world)
        self._asked = ""

    async def run(self) -> None:
        step = self.tell.step
        await step("prerelease", "CI pushes v1.44.0-rc.1, which the policy rejects", self.prerelease)
        await step("pinned", "A mutable tag is pinned by its digest, and moves", self.pinned)
        await step("concurrent", "v1.44.0 arrives while people commit", self.concurrent)
        await step("reverted", "The bot's commit is reverted: held, until released", self.reverted)
        await step("signed", "The bot signs its commits", self.signed)

    async def prerelease(self, told: Told) -> str:
        before = await self._head()
        await self.world.ci_push("v1.44.0-rc.1")
        self.tell.say(f"ci: pushed {ECR_REPOSITORY}:v1.44.0-rc.1")
        await self.until("the tag to be seen", lambda: self._sees("v1.44.0-rc.1"))
        said = await self._engineer.inhaul("image", "explain", "checkout")
        self.tell.say(f"engineer: inhaul image explain checkout\n{said.rstrip()}")
        lines = said.splitlines()
        if not lines or lines[0] != "picked   v1.43.0":
            raise StepFailedError(f"expected v1.43.0 to be picked, found {lines[:1]}")
        if not any(line.startswith("rejected v1.44.0-rc.1: ") for line in lines):
            raise StepFailedError("the prerelease is not said to be rejected")
        if await self._head() != before:
            raise StepFailedError("something was committed")
        return "the range 1.x admits no prerelease; nothing was committed, and the command says why"

    async def pinned(self, told: Told) -> str:
        first = await self.world.ci_push("stable")
        image = f"{ECR_HOST}/checkout:stable"
        files: dict[str, bytes | str | None] = {
            "clusters/demo/payments-worker.yaml": _WORKER_SETUP,
            _WORKER: _WORKER_MANIFEST.replace("IMAGE", image),
        }
        await self.commit("payments: add a worker that follows the tag stable", files)
        await self._until_committed(_WORKER, f"{image}@{first} ")
        self.tell.say(f"git: the bot wrote {first[:19]}… behind checkout:stable")
        began = time.monotonic()
        second = await self.world.ci_push("stable")
        self.tell.say(f"ci: moved checkout:stable to {second[:19]}…")
        await self._until_committed(_WORKER, f"{image}@{second} ")
        told.measured["move_to_commit"] = round(time.monotonic() - began, 2)

        async def deployed() -> bool:
            found = await self.get(DEPLOYMENTS, "worker")
            return bool(
                found and found["spec"]["template"]["spec"]["containers"][0]["image"] == f"{image}@{second}"
            )  # fmt: skip

        await self.until("the worker to have the new digest", deployed)
        return f"what runs is what was pushed: tag and digest in Git, {told.measured['move_to_commit']:.1f} s after"

    async def concurrent(self, told: Told) -> str:
        before = await self._head()
        await self.world.ci_push("v1.44.0")
        began = time.monotonic()
        self.tell.say(f"ci: pushed {ECR_REPOSITORY}:v1.44.0")
        ours: list[str] = []
        while not (bot := await self._bot_commits(before)):
            if time.monotonic() - began > 40:
                raise StepFailedError(f"no commit of the bot beside {len(ours)} commits of people")
            note = {"teams/payments/notes.md": f"Note {len(ours)}.\n"}
            try:
                ours.append(await self.world.git.commit(REPOSITORY, note, message=f"payments: note {len(ours)}"))
            except GitError:  # the bot was there first: she pulls and tries again
                continue
            await asyncio.sleep(0.1 + 0.05 * len(ours))  # people, not a machine that never lets anybody in
        told.measured["push_to_commit"] = round(time.monotonic() - began, 2)
        self.tell.say(await self.world.git.git(REPOSITORY, "log", "-1", "--format=git: %h %s (by %an)", bot[0]))
        kept = (await self.world.git.git(REPOSITORY, "rev-list", f"{before}..main")).split()
        if lost := [revision for revision in ours if revision not in kept]:
            raise StepFailedError(f"{len(lost)} commits of people are gone from main")
        if len(kept) != len(ours) + 1 or len(bot) != 1:
            raise StepFailedError(f"expected {len(ours)} commits of people and one of the bot, found {len(kept)}")
        await self.until("the rollout of v1.44.0", lambda: self.running("v1.44.0"))
        return f"{len(ours)} commits of people in {told.measured['push_to_commit']:.1f} s, all kept; one of the bot"

    async def reverted(self, told: Told) -> str:
        bot = (await self._bot_commits())[0]
        revert = await self._engineer.revert(bot)
        self.tell.say(f"engineer: git revert {bot[:7]} → {revert[:7]}, pushed")
        await self._ask()

        async def held() -> str:
            note = await self._annotation()
            message = ready(await self.get(IMAGE_UPDATE_AUTOMATIONS, "checkout"))[2]
            return message if note == "v1.44.0" and "on hold" in message.lower() else ""

        message = await self.until("the hold", held)
        self.tell.say(f"cluster: ImageUpdateAutomation checkout: {message}")
        await self.until("v1.43.0 to be back", lambda: self.running("v1.43.0"))
        await self._ask()
        await self.until("the automation to look again", self._settled)
        if await self._head() != revert:
            raise StepFailedError("the bot committed over a human's revert")
        await self.world.admin.patch(
            IMAGE_POLICIES, "checkout", PAYMENTS, body={"metadata": {"annotations": {_HELD: None}}}
        )
        self.tell.say(f"operator: kubectl annotate imagepolicy checkout {_HELD}-")
        await self.until("v1.44.0 to be committed again", lambda: self._bot_commits(revert))
        await self.until("the rollout of v1.44.0", lambda: self.running("v1.44.0"))
        return "the image that a human took back is not written again, and named; released, it is"

    async def signed(self, told: Told) -> str:
        private, public = ssh_key()
        await self.world.keep_secret("git-signing", {"identity": private})
        setup = (await self.world.git.read(REPOSITORY, _SETUP)).decode()
        marked = setup.replace("      messageTemplate: |-\n", f"{_SIGNING}      messageTemplate: |-\n")
        if marked == setup:
            raise StepFailedError(f"{_SETUP} has no messageTemplate to put the signing key before")
        await self.commit("platform: the bot signs what it commits", {_SETUP: marked})

        async def told_to_sign() -> bool:
            found = await self.get(IMAGE_UPDATE_AUTOMATIONS, "checkout") or {}
            return "signingKey" in found["spec"]["git"]["commit"] and ready(found)[0] == "True"

        await self.until("the automation to be told", told_to_sign)
        before = await self._head()
        await self.world.ci_push("v1.45.0")
        self.tell.say(f"ci: pushed {ECR_REPOSITORY}:v1.45.0")
        bot = (await self.until("the bot's commit", lambda: self._bot_commits(before)))[0]
        said = await self._engineer.verify(bot, _BOT, public)
        if not said:
            return "committed; ssh-keygen is not installed here, so the signature was not verified"
        self.tell.say(f"engineer: git verify-commit {bot[:7]}: {said.strip()}")
        if "Good" not in said or _BOT not in said:
            raise StepFailedError(f"git does not hold the signature for good: {said.strip()}")
        trailers = await self.world.git.git(REPOSITORY, "log", "-1", "--format=%(trailers)", bot)
        self.tell.say(trailers.strip())
        await self.until("the rollout of v1.45.0", lambda: self.running("v1.45.0"))
        return "git verifies the signature with the bot's public key; its trailers name policy, image and source"

    # --- looks

    async def _head(self) -> str:
        return await self.world.git.head(REPOSITORY)

    async def _bot_commits(self, since: str = "") -> list[str]:
        """The bot's commits on main after a revision, newest first."""
        span = f"{since}..main" if since else "main"
        return (await self.world.git.git(REPOSITORY, "rev-list", f"--author={_BOT}", span)).split()

    async def _sees(self, tag: str) -> bool:
        repository = await self.get(IMAGE_REPOSITORIES, "checkout") or {}
        return tag in ((repository.get("status") or {}).get("lastScanResult") or {}).get("latestTags", [])

    async def _until_committed(self, path: str, text: str) -> None:
        async def there() -> bool:
            return text in (await self.world.git.read(REPOSITORY, path)).decode()

        await self.until(f"the bot to write {text.strip().rpartition('/')[2][:40]}…", there)

    async def _annotation(self) -> str:
        policy = await self.get(IMAGE_POLICIES, "checkout") or {}
        return str((policy["metadata"].get("annotations") or {}).get(_HELD, ""))

    async def _ask(self) -> None:
        """`inhaul reconcile`, for the automation: look now, not in ten minutes."""
        self._asked = str(time.time_ns())
        stamp = {"reconcile.fluxcd.io/requestedAt": self._asked}
        await self.world.admin.patch(
            IMAGE_UPDATE_AUTOMATIONS, "checkout", PAYMENTS, body={"metadata": {"annotations": stamp}}
        )

    async def _settled(self) -> bool:
        found = await self.get(IMAGE_UPDATE_AUTOMATIONS, "checkout") or {}
        return bool((found.get("status") or {}).get("lastHandledReconcileAt") == self._asked)


_SIGNING = """      signingKey:
        type: ssh
        secretRef:
          name: git-signing
"""

_WORKER_SETUP = (
    sync("worker")
    + """---
# Follows one mutable tag: what is written is the digest that it stands for.
apiVersion: image.toolkit.fluxcd.io/v1
kind: ImagePolicy
metadata:
  name: checkout-stable
  namespace: payments
spec:
  imageRepositoryRef:
    name: checkout
  filterTags:
    pattern: ^stable$
  policy:
    alphabetical:
      order: asc
  digestReflectionPolicy: Always
  interval: 10m
"""
)

_WORKER_MANIFEST = """apiVersion: apps/v1
kind: Deployment
metadata:
  name: worker
  namespace: payments
spec:
  replicas: 1
  selector:
    matchLabels:
      app: worker
  template:
    metadata:
      labels:
        app: worker
    spec:
      containers:
        - name: worker
          image: IMAGE # {"$imagepolicy": "payments:checkout-stable"}
"""
