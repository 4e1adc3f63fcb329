"""Edge: from a GitRepository to the remote that git talks to. The only place that builds one, for fetch and for push.

A remote is a URL, the login for it, the proxy in front of it and the addresses that git may connect to. The login is a
Secret's: basic, bearer, ssh, or a GitHub App, whether or not `spec.provider` says github. Addresses are those that the
egress rules allow; behind a proxy the proxy's are checked instead, for it looks the host up.

Who may use which repository is not decided here; see `access.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol
from urllib.parse import quote, urlsplit

from controllers.api.core import SECRETS, secret_data
from controllers.api.duration import parse_duration
from controllers.api.source import GitRepositorySpec
from controllers.git.auth import ANONYMOUS, GitAuth
from controllers.git.errors import RefusedError
from controllers.git.github_app import GithubApps, is_app
from controllers.git.process import Remote
from controllers.runtime.egress import EgressDeniedError, is_address
from controllers.runtime.kube import ApiError, KubeClient, NotFound
from controllers.runtime.result import NotReady, Stalled
from controllers.runtime.sensitive import Sensitive

SECRET_REF, PROXY_REF = "spec.secretRef", "spec.proxySecretRef"


class Egress(Protocol):
    async def addresses(self, url: str, *, schemes: tuple[str, ...] = ...) -> tuple[str, ...]: ...


@dataclass(frozen=True, slots=True)
class SecretSource:
    """A Secret that was read, and the field that names it, for messages."""

    data: Mapping[str, bytes]
    where: str
    """`spec.secretRef: Secret team-a/git`."""


class GitRemotes:
    """Raises GitError for a Secret that is not well formed, NotReady and Stalled for what its user has to mend."""

    def __init__(self, kube: KubeClient, *, egress: Egress | None = None, apps: GithubApps | None = None) -> None:
        self._kube, self._egress, self._apps = kube, egress, apps or GithubApps()

    async def identity(self, namespace: str, spec: GitRepositorySpec) -> Remote:
        """Who logs in where, without asking anybody but the API server.

        Enough to know whose mirror it is, so what was fetched before can be read while the host, the resolver or GitHub
        does not answer. A GitHub App has no token here.
        """
        remote = Remote(spec.url, timeout=parse_duration(spec.timeout))
        if spec.proxy_secret_ref is not None:
            proxy = await self.secret(namespace, spec.proxy_secret_ref.name, PROXY_REF)
            remote = replace(remote, proxy=proxy_of(proxy.data, spec.url))
        secret = await self._login_secret(namespace, spec)
        return replace(remote, auth=_identity(secret, spec.url))

    async def remote(self, namespace: str, spec: GitRepositorySpec) -> Remote:
        """The same, ready to connect: addresses checked, a GitHub App's token asked for."""
        remote = await self.identity(namespace, spec)
        if is_proxied := remote.proxy is not None:
            await self.addresses(remote.proxy.reveal_text(), PROXY_REF, ("http", "https"))
        addresses = () if is_proxied and not is_address(spec.url) else await self.addresses(spec.url, "spec.url")
        remote = replace(remote, addresses=addresses)
        return await self._with_login(remote, await self._login_secret(namespace, spec))

    async def as_another(self, remote: Remote, namespace: str, name: str, field: str) -> Remote:
        """The same host, proxy and addresses, logged in with another Secret; `field` names it in messages."""
        return await self._with_login(remote, await self.secret(namespace, name, field))

    async def submodule(self, parent: Remote, url: str, *, login: bool) -> Remote:
        """A repository that another one names. `login`: may the parent's login be shown there?"""
        addresses = () if parent.proxy and not is_address(url) else await self.addresses(url, "submodule")
        return replace(parent, url=url, auth=parent.auth if login else ANONYMOUS, addresses=addresses)

    async def addresses(self, url: str, field: str, schemes: tuple[str, ...] = ("https", "ssh")) -> tuple[str, ...]:
        """The addresses of a URL's host that egress allows. Raises NotReady."""
        if self._egress is None:
            return ()
        try:
            return await self._egress.addresses(url, schemes=schemes)
        except EgressDeniedError as error:  # a name that does not resolve may do so later
            raise NotReady("URLInvalid", f"{field}: {error}") from None

    async def secret(self, namespace: str, name: str, field: str) -> SecretSource:
        """Raises NotReady."""
        where = f"{field}: Secret {namespace}/{name}"
        try:
            return SecretSource(secret_data(await self._kube.get(SECRETS, name, namespace)), where)
        except NotFound:
            raise NotReady("AuthenticationFailed", f"{where} not found") from None
        except ApiError as error:
            raise NotReady("AuthenticationFailed", f"{where}: {error.message}") from None
        except ValueError as error:
            raise NotReady("AuthenticationFailed", f"{where}: {error}") from None

    async def _login_secret(self, namespace: str, spec: GitRepositorySpec) -> SecretSource | None:
        secret = await self.secret(namespace, spec.secret_ref.name, SECRET_REF) if spec.secret_ref else None
        if spec.provider == "github" and (secret is None or not is_app(secret.data)):
            found = "no Secret" if secret is None else f"keys {', '.join(sorted(secret.data)) or 'none'}"
            where = secret.where if secret else SECRET_REF
            text = f"{where}: found {found}, expected GitHub App data for provider github"
            raise Stalled("InvalidProviderConfiguration", text)
        return secret

    async def _with_login(self, remote: Remote, secret: SecretSource | None) -> Remote:
        if secret is None or not is_app(secret.data):
            return replace(remote, auth=_identity(secret, remote.url))
        try:
            return replace(remote, auth=await self._apps.auth(secret.data, remote.url, proxy=remote.proxy))
        except RefusedError as error:
            raise RefusedError(f"{secret.where}: {error.message}") from None


def _identity(secret: SecretSource | None, url: str) -> GitAuth:
    if secret is None:
        return ANONYMOUS
    try:
        return GithubApps.identity(secret.data) if is_app(secret.data) else GitAuth.from_secret(secret.data, url)
    except RefusedError as error:
        raise RefusedError(f"{secret.where}: {error.message}") from None


def proxy_of(secret: Mapping[str, bytes], url: str) -> Sensitive:
    """The proxy's URL, with its login, out of a Secret: `address`, `username`, `password`. Raises RefusedError."""
    where = f"{PROXY_REF}: Secret key"
    if urlsplit(url).scheme != "https":
        raise RefusedError(f"{PROXY_REF}: a proxy is supported for https only, expected an https URL in spec.url")
    address = secret.get("address", b"").decode("utf-8", "replace").strip()
    try:
        parts = urlsplit(address)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        parts, host, port = urlsplit(""), "", None
    plain = not (parts.username or parts.password or parts.query or parts.fragment) and parts.path in ("", "/")
    if parts.scheme not in ("http", "https") or not host or not plain or not address.isascii() or " " in address:
        raise RefusedError(f"{where} address: expected http://HOST:PORT or https://HOST:PORT")
    login = ""
    if secret.get("username") or secret.get("password"):
        login = ":".join(quote(secret.get(name, b""), safe="") for name in ("username", "password")) + "@"
    name = f"[{host}]" if ":" in host else host
    return Sensitive(f"{parts.scheme}://{login}{name}{f':{port}' if port else ''}".encode())
