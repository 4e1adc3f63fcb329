"""The Git host of an automation: as whom to read and as whom to push."""

from __future__ import annotations

from controllers.api.inhaul import PREFIX
from controllers.api.resource import Key, Manifest
from controllers.api.source import GitRepositorySpec
from controllers.git import GitError, Remote
from controllers.runtime.result import NotReady, Stalled
from controllers.sources.remotes import GitRemotes

PUSH_SECRET = f"{PREFIX}push-secret"
"""Annotation of an ImageUpdateAutomation: a Secret of its namespace that pushes, so that the GitRepository's own, which
everybody who reads may share, need not be allowed to write."""


async def reader_and_writer(
    remotes: GitRemotes, automation: Manifest, source: Key, spec: GitRepositorySpec
) -> tuple[Remote, Remote]:
    """`spec` is that of the GitRepository `source`; both remotes go through its proxy. The writer is the reader unless
    the automation names another Secret. Raises NotReady, Stalled with the reasons of image automation.
    """
    meta = automation["metadata"]
    name = str((meta.get("annotations") or {}).get(PUSH_SECRET) or "")
    where = f"GitRepository {source}: "
    try:
        reader = await remotes.remote(source.namespace, spec)
        if not name:
            return reader, reader
        where = ""
        return reader, await remotes.as_another(reader, meta["namespace"], name, f"annotation {PUSH_SECRET}")
    except GitError as error:
        raise NotReady("InvalidSourceConfiguration", f"{where}{error.message}") from None
    except Stalled as error:
        raise Stalled("InvalidSourceConfiguration", f"{where}{error.message}") from None
    except NotReady as error:
        raise NotReady("SourceManagerFailed", f"{where}{error.message}") from None
