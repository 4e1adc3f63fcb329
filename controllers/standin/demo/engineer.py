"""What an engineer has on a laptop: a clone of the platform repository, keys to check signatures with, and `inhaul`.

Git runs over https with the engineer's own login, as a colleague's would, and never asks for anything. What can go
wrong: a push that lost a race (it is retried on top of the others), a missing ssh-keygen (said, not passed over).
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from .narrate import StepFailedError
from .world import PAYMENTS, REPOSITORY, World

_SECONDS = 60.0
_PUSHES = 10


class Engineer:
    """Ada, at her desk."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._home = world.directory / "engineer"
        self._clone = self._home / REPOSITORY

    async def revert(self, revision: str) -> str:
        """`git revert` of a commit, pushed to main. The new commit's id."""
        await self._fresh()
        await self._git("revert", "--no-edit", revision)
        for _ in range(_PUSHES):
            try:
                await self._git("push", "--quiet", "origin", "HEAD:main")
                return (await self._git("rev-parse", "HEAD")).strip()
            except StepFailedError:
                await self._git("pull", "--quiet", "--rebase", "origin", "main")
        raise StepFailedError(f"the engineer's push lost {_PUSHES} races")

    async def verify(self, revision: str, email: str, public_key: str) -> str:
        """What git says of a commit's ssh signature, which must be by this key; "" where there is no ssh-keygen."""
        if shutil.which("ssh-keygen") is None:
            return ""
        await self._fresh()
        signers = self._home / "allowed-signers"
        signers.write_text(f'{email} namespaces="git" {public_key}\n')
        return await self._git("-c", f"gpg.ssh.allowedSignersFile={signers}", "verify-commit", revision, errors=True)

    async def inhaul(self, *words: str, ends: int = 0) -> str:
        """What `inhaul …` prints, with the engineer's kubeconfig and AWS login. It must end with the code `ends`."""
        env = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(self._home),
            "KUBECONFIG": str(self._world.directory / "admin.kubeconfig"),
            "INHAUL_EGRESS_ALLOW_LOOPBACK": "true",
            **self._world.aws.env(),
        }
        self._home.mkdir(mode=0o700, exist_ok=True)
        argv = [sys.executable, "-m", "controllers.cli", *words, "-n", PAYMENTS]
        return await asyncio.to_thread(_run, argv, self._home, env, ends=ends)

    async def _fresh(self) -> None:
        """The clone, at the tip of main."""
        self._home.mkdir(mode=0o700, exist_ok=True)
        if not self._clone.exists():
            await self._git("clone", "--quiet", self._world.engineer_url(REPOSITORY), str(self._clone), at=self._home)
            return
        await self._git("fetch", "--quiet", "origin", "main")
        await self._git("reset", "--quiet", "--hard", "origin/main")

    async def _git(self, *words: str, at: Path | None = None, errors: bool = False) -> str:
        env = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(self._home),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_SSL_CAINFO": str(self._world.directory / "git-ca.pem"),
            **{f"GIT_{who}_NAME": "Ada Demo" for who in ("AUTHOR", "COMMITTER")},
            **{f"GIT_{who}_EMAIL": "ada@example.com" for who in ("AUTHOR", "COMMITTER")},
        }
        return await asyncio.to_thread(_run, ["git", *words], at or self._clone, env, errors=errors)


def ssh_key() -> tuple[str, str]:
    """A new ed25519 key as OpenSSH writes it: private, public."""
    key = ed25519.Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return private.decode(), public.decode()


def _run(argv: list[str], at: Path, env: Mapping[str, str], *, errors: bool = False, ends: int = 0) -> str:
    """Standard output (or standard error) of a command that must end with this code."""
    done = subprocess.run(argv, cwd=at, env=env, capture_output=True, text=True, timeout=_SECONDS, check=False)
    if done.returncode != ends:
        words = " ".join(word for word in argv[:4] if "@" not in word)  # a URL may hold a login
        raise StepFailedError(f"{words} ended with code {done.returncode}: {done.stderr.strip()[-500:]}")
    return done.stderr if errors else done.stdout
