"""The Git host of an automation: its addresses, and as whom to read and to write.

The GitRepository's Secret reads. Where an ImageUpdateAutomation is annotated `image.inhaul.dev/push-secret: NAME`, that
Secret of the automation's own namespace writes, and it alone: then the one that everybody who reads may share need not
be allowed to write. Basic, bearer, ssh and GitHub App data are taken for both.
"""

from __future__ import annotations

from dataclasses import replace

from controllers.api.core import SECRETS, secret_data
from controllers.api.inhaul import PREFIX
from controllers.api.resource import Key, Manifest
from controllers.api.source import GitRepositorySpec
from controllers.git import GitAuth, GitError, Remote
from controllers.git.auth import is_app
from controllers.git.github_app import GithubApps
from controllers.runtime.egress import Egress, EgressDeniedError
from controllers.runtime.kube import KubeClient, NotFound
from controllers.runtime.result import NotReady

PUSH_SECRET = f"{PREFIX}push-secret"


class Remotes:
    def __init__(self, kube: KubeClient, egress: Egress) -> None:
        self._kube, self._egress, self._apps = kube, egress, GithubApps(egress)

    async def reader(self, source_key: Key, source: GitRepositorySpec, timeout: float) -> Remote:
        """`timeout` in seconds, of one Git operation. Raises NotReady."""
        try:
            addresses = await self._egress.addresses(source.url)
        except EgressDeniedError as error:
            raise NotReady("SourceManagerFailed", f"spec.url of GitRepository {source_key}: {error}") from None
        remote = Remote(source.url, timeout=timeout, addresses=addresses)
        if source.secret_ref is None:
            return remote
        where = f"Secret {source_key.namespace}/{source.secret_ref.name} of GitRepository {source_key}"
        auth = await self._auth(Key(source_key.namespace, source.secret_ref.name), where, source.url)
        return replace(remote, auth=auth)

    async def writer(self, manifest: Manifest, reader: Remote) -> Remote:
        """As whom an automation pushes: the reader, unless it names another. Raises NotReady."""
        meta = manifest["metadata"]
        name = str((meta.get("annotations") or {}).get(PUSH_SECRET) or "")
        if not name:
            return reader
        where = f"annotation {PUSH_SECRET}: Secret {meta['namespace']}/{name}"
        return replace(reader, auth=await self._auth(Key(meta["namespace"], name), where, reader.url))

    async def _auth(self, secret: Key, where: str, url: str) -> GitAuth:
        try:
            data = secret_data(await self._kube.get(SECRETS, secret.name, secret.namespace))
            return await self._apps.auth(data, url) if is_app(data) else GitAuth.from_secret(data, url)
        except NotFound:
            raise NotReady("SourceManagerFailed", f"{where} not found") from None
        except ValueError:
            raise NotReady("SourceManagerFailed", f"{where}: found data that is not base64") from None
        except GitError as error:
            raise NotReady("InvalidSourceConfiguration", f"{where}: {error.message}") from None
