"""What the attacks through image automation share: a repository with markers, and visits to it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from controllers.api.resource import Key
from controllers.api.source import GitRef
from controllers.git import (
    Mirrors,
    Person,
    Remote,
)
from controllers.git.process import Git
from controllers.image_automation.commit.job import Job, Outcome
from controllers.image_automation.commit.push_config import PushConfig
from controllers.image_automation.commit.visit import update_branch
from controllers.image_automation.tags.reference import Ref
from tests.attacks.gitting import plain, repository

MARKED = 'image: r.io/web:1.0.0 # {"$imagepolicy": "team-a:web"}\n'
BOT = Person("bot", "bot@example.com")
KEY = Key("team-a", "bot")
CONFIG = PushConfig(GitRef(branch="main"), "main", False, None, {}, 20)
NOW = datetime(2024, 1, 1, tzinfo=UTC)


@dataclass
class Host:
    """A repository on this machine, and visits to it."""

    tmp: Path
    work: Path

    @property
    def remote(self) -> Remote:
        return Remote(f"file://{self.work}", timeout=20)

    def mirrors(self, name: str = "m") -> Mirrors:
        return Mirrors(self.tmp / name, git=Git(protocols=frozenset({"file"}), confined=False))

    def commit(self) -> str:
        """What stands in the worktree, links as links."""
        plain("add", "-A", "-f", cwd=self.work)
        assert plain("commit", "-q", "-m", "x", cwd=self.work).returncode == 0
        plain("config", "receive.denyCurrentBranch", "ignore", cwd=self.work)
        return plain("rev-parse", "HEAD", cwd=self.work).stdout.strip()

    def visit(self, job: Job, config: PushConfig = CONFIG) -> Outcome:
        return update_branch(self.mirrors(), self.remote, config, [job], now=lambda: NOW)[job.key]

    def read(self, path: str) -> str:
        return plain("show", f"main:{path}", cwd=self.work).stdout

    def mirror(self) -> Any:
        return self.mirrors("objects").use(self.remote)


def fleet(directory: Path) -> Host:
    """A repository with a marked file of ours and one of somebody else."""
    made = Host(directory, repository(directory / "fleet", {"apps/a.yaml": MARKED, "other/secret.yaml": MARKED}))
    plain("config", "receive.denyCurrentBranch", "ignore", cwd=made.work)
    return made


def job(path: str = ".", *, allow: Any = None, **more: Any) -> Job:
    base = Job(KEY, path, {"team-a:web": Ref("r.io/web", "2.0.0")}, {}, BOT, "", {}, allow or (lambda paths: {}))
    return replace(base, **more)
