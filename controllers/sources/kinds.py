"""The kinds of sources that this process serves. A new kind is a module of its own and an entry here."""

from __future__ import annotations

from collections.abc import Mapping

from controllers.git.process import Git
from controllers.runtime.manager import Manager

from . import git_repository
from .settings import SourceSettings
from .source import Source

SETTINGS = (SourceSettings,)


def register(manager: Manager, *, git: Git | None = None) -> Mapping[str, Source]:
    """Registers the controllers of all kinds; each kind by its name. `git` is given by whoever composes the process."""
    found: tuple[Source, ...] = (git_repository.register(manager, git=git),)
    return {each.kind: each for each in found}
