"""An OCI registry in process, after the distribution specification: what real clients pull from and push to.

Content is kept in memory, digests are computed, uploads may be monolithic, chunked or mounted. `on_push` is told each
accepted manifest; the ECR flavour (`ecr.py`) hangs on it. `Faults` makes it lie and fail on purpose, for tests of
clients. For trying and testing only.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from aiohttp import web

from .registry_auth import Authenticator, RegistryUser
from .registry_client import push_image
from .registry_store import DIGEST, MAX_MANIFEST, NAME, RegistryError, Repository, StoredManifest, digest_of
from .tls import Authority

__all__ = ["Authenticator", "Faults", "Pushed", "RegistryServer", "RegistryUser", "push_image"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Pushed:
    """A manifest that was accepted. `tag` is empty when it was pushed by digest."""

    repository: str
    tag: str
    manifest: StoredManifest


@dataclass(frozen=True, slots=True)
class Faults:
    """What goes wrong on purpose, for requests whose path contains `match`.

    `statuses` are answered one by one to the first requests (429 carries Retry-After), then all is well. `link`
    replaces the Link header of tags pages. `redirect` sends blob and manifest reads there. `latency` is in seconds.
    """

    match: str = ""
    statuses: tuple[int, ...] = ()
    retry_after: str = "1"
    link: str = ""
    redirect: str = ""
    latency: float = 0


OnPush = Callable[[Pushed], Awaitable[None]]


class RegistryServer:
    """`await start()`, then `url` (with scheme) and `host` (host:port, as in image references)."""

    def __init__(
        self,
        *,
        auth: Authenticator | None = None,
        authority: Authority | None = None,
        on_push: OnPush | None = None,
        faults: Faults | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        page: int = 1000,
        max_blob: int = 256 << 20,
        max_uploads: int = 100,
    ) -> None:
        self.auth = auth or Authenticator()
        self.authority = authority
        self.on_push = on_push
        self.faults = faults or Faults()
        self.requests: Counter[str] = Counter()  # "GET tags", "HEAD manifests" …: what clients asked
        self.repositories: dict[str, Repository] = {}
        self._host, self._port, self._page = host, port, page
        self._max_blob, self._max_uploads = max_blob, max_uploads
        self._failed = 0
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        app = web.Application(client_max_size=self._max_blob)
        app.router.add_route("*", "/{tail:.*}", self._entry)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        context = None
        if self.authority is not None:
            context = self.authority.server_context(tuple(dict.fromkeys((self._host, "localhost", "127.0.0.1"))))
        await web.TCPSite(self._runner, self._host, self._port, ssl_context=context).start()
        self._port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    @property
    def host(self) -> str:
        return f"{self._host}:{self._port}"

    @property
    def url(self) -> str:
        return f"{'https' if self.authority else 'http'}://{self.host}"

    @property
    def ca_pem(self) -> bytes | None:
        """The certificate that clients trust; None over plain HTTP."""
        return self.authority.pem if self.authority else None

    def set_faults(self, faults: Faults) -> None:
        self.faults, self._failed = faults, 0

    # --- one request

    async def _entry(self, request: web.Request) -> web.StreamResponse:
        try:
            return await self._fault(request) or await self._route(request)
        except RegistryError as error:
            body = {"errors": [{"code": error.code, "message": error.message}]}
            return web.json_response(body, status=error.status)

    async def _fault(self, request: web.Request) -> web.Response | None:
        faults = self.faults
        if faults.match not in request.path:
            return None
        if faults.latency:
            await asyncio.sleep(faults.latency)
        if self._failed < len(faults.statuses):
            status = faults.statuses[self._failed]
            self._failed += 1
            headers = {"Retry-After": faults.retry_after} if status == 429 else {}
            return web.Response(status=status, text="injected\n", headers=headers)
        if faults.redirect and request.method in ("GET", "HEAD") and request.path.startswith("/v2/"):
            return web.Response(status=307, headers={"Location": faults.redirect})
        return None

    async def _route(self, request: web.Request) -> web.StreamResponse:
        path = request.path
        if path == "/token" and self.auth.mode == "bearer":
            return self._token(request)
        if path in ("/v2", "/v2/"):
            return self._denied(request, "", "") or web.json_response({}, headers=_VERSION)
        name, kind, rest = _split(path)
        method = request.method
        self.requests[f"{method} {kind}"] += 1
        if denied := self._denied(request, name, _action(method)):
            return denied
        handler = {
            "tags": self._tags,
            "manifests": self._manifest,
            "blobs": self._blob,
            "uploads": self._upload,
            "referrers": self._referrers,
        }[kind]
        return await handler(request, name, rest)

    def _denied(self, request: web.Request, name: str, action: str) -> web.Response | None:
        header = request.headers.get("Authorization", "")
        if self.auth.allowed(header, name, action):
            return None
        if self.auth.mode == "bearer":
            challenge = f'Bearer realm="{self.url}/token",service="{self.host}"'
            if name:
                actions = "pull" if action == "pull" else "delete" if action == "delete" else "pull,push"
                challenge += f',scope="repository:{name}:{actions}"'
        else:
            challenge = f'Basic realm="{self.url}/",service="registry"'
            if self.auth.login(header) is not None:
                return _problem(403, "DENIED", "no right to do this")
        return _problem(401, "UNAUTHORIZED", "authentication required", {"WWW-Authenticate": challenge, **_VERSION})

    def _token(self, request: web.Request) -> web.Response:
        self.requests["GET token"] += 1
        scopes = [scope for value in request.query.getall("scope", []) for scope in value.split(" ")]
        token = self.auth.grant(request.headers.get("Authorization", ""), scopes)
        if token is None:
            return _problem(401, "UNAUTHORIZED", "wrong credentials")
        return web.json_response({"token": token, "access_token": token, "expires_in": int(self.auth.token_seconds)})

    # --- reading

    def _known(self, name: str) -> Repository:
        if name not in self.repositories:
            raise RegistryError(404, "NAME_UNKNOWN", f"repository {name} unknown")
        return self.repositories[name]

    async def _tags(self, request: web.Request, name: str, rest: str) -> web.Response:
        if rest != "list" or request.method != "GET":
            raise RegistryError(404, "UNSUPPORTED", "not served")
        wanted = request.query.get("n", "")
        if wanted and not wanted.isdigit():
            raise RegistryError(400, "PAGINATION_NUMBER_INVALID", "n: expected a whole number")
        limit = min(int(wanted), self._page) if wanted else self._page
        tags, more = self._known(name).tag_page(request.query.get("last", ""), limit)
        headers = {}
        if more and tags:
            headers["Link"] = f'</v2/{name}/tags/list?n={limit}&last={quote(tags[-1])}>; rel="next"'
        if self.faults.link and self.faults.match in request.path:
            headers["Link"] = self.faults.link
        return web.json_response({"name": name, "tags": tags}, headers=headers)

    async def _referrers(self, request: web.Request, name: str, rest: str) -> web.Response:
        wanted = request.query.get("artifactType", "")
        found = self._known(name).referrers(rest, wanted)
        headers = {"OCI-Filters-Applied": "artifactType"} if wanted else {}
        kind = "application/vnd.oci.image.index.v1+json"
        body = {"schemaVersion": 2, "mediaType": kind, "manifests": found}
        return web.json_response(body, headers=headers, content_type=kind)

    async def _blob(self, request: web.Request, name: str, rest: str) -> web.Response:
        repository = self._known(name)
        if rest not in repository.blobs:
            raise RegistryError(404, "BLOB_UNKNOWN", f"blob {rest} unknown")
        if request.method == "DELETE":
            del repository.blobs[rest]
            return web.Response(status=202)
        return _content(request, repository.blobs[rest], "application/octet-stream", rest)

    async def _manifest(self, request: web.Request, name: str, rest: str) -> web.Response:
        if request.method == "PUT":
            return await self._put_manifest(request, name, rest)
        repository = self._known(name)
        if request.method == "DELETE":
            repository.delete_manifest(rest)
            return web.Response(status=202)
        manifest = repository.manifest(rest)
        return _content(request, manifest.content, manifest.media_type, manifest.digest)

    # --- writing

    async def _put_manifest(self, request: web.Request, name: str, reference: str) -> web.Response:
        content = await request.content.read(MAX_MANIFEST + 1)
        while len(content) <= MAX_MANIFEST and (more := await request.content.read(MAX_MANIFEST + 1)):
            content += more
        if len(content) > MAX_MANIFEST:
            raise RegistryError(413, "SIZE_INVALID", f"a manifest is at most {MAX_MANIFEST} bytes")
        kind = request.headers.get("Content-Type", "").partition(";")[0]
        manifest = self.repositories.setdefault(name, Repository()).put_manifest(reference, content, kind)
        await self._announce(Pushed(name, "" if DIGEST.fullmatch(reference) else reference, manifest))
        headers = {"Location": f"/v2/{name}/manifests/{manifest.digest}", "Docker-Content-Digest": manifest.digest}
        if manifest.subject:
            headers["OCI-Subject"] = manifest.subject
        return web.Response(status=201, headers=headers)

    async def _announce(self, pushed: Pushed) -> None:
        if self.on_push is None:
            return
        try:
            await self.on_push(pushed)
        except Exception:
            log.exception("push callback failed for %s", pushed.repository)

    async def _upload(self, request: web.Request, name: str, rest: str) -> web.Response:
        repository = self.repositories.setdefault(name, Repository())
        if request.method == "POST":
            return await self._begin(request, name, repository)
        if rest not in repository.uploads:
            raise RegistryError(404, "BLOB_UPLOAD_UNKNOWN", "no such upload")
        if request.method == "DELETE":
            del repository.uploads[rest]
            return web.Response(status=204)
        upload = repository.uploads[rest]
        if request.method in ("PATCH", "PUT"):
            start = request.headers.get("Content-Range", "").partition("-")[0]
            if start and start != str(len(upload)):
                headers = {"Location": f"/v2/{name}/blobs/uploads/{rest}", "Range": f"0-{max(len(upload) - 1, 0)}"}
                return web.Response(status=416, headers=headers)
            await self._append(request, upload)
        if request.method == "PUT":
            del repository.uploads[rest]
            return _finish(repository, name, request.query.get("digest", ""), bytes(upload))
        location = {"Location": f"/v2/{name}/blobs/uploads/{rest}", "Range": f"0-{max(len(upload) - 1, 0)}"}
        return web.Response(status=202 if request.method == "PATCH" else 204, headers=location)

    async def _begin(self, request: web.Request, name: str, repository: Repository) -> web.Response:
        mount, source = request.query.get("mount", ""), request.query.get("from", "")
        header = request.headers.get("Authorization", "")
        if mount and source in self.repositories and self.auth.allowed(header, source, "pull"):
            content = self.repositories[source].blobs.get(mount)
            if content is not None:
                repository.blobs[mount] = content
                headers = {"Location": f"/v2/{name}/blobs/{mount}", "Docker-Content-Digest": mount}
                return web.Response(status=201, headers=headers)
        upload = bytearray()
        if digest := request.query.get("digest", ""):
            await self._append(request, upload)
            return _finish(repository, name, digest, bytes(upload))
        if len(repository.uploads) >= self._max_uploads:
            raise RegistryError(429, "TOOMANYREQUESTS", "too many open uploads")
        identifier = uuid.uuid4().hex
        repository.uploads[identifier] = upload
        headers = {"Location": f"/v2/{name}/blobs/uploads/{identifier}", "Range": "0-0"}
        return web.Response(status=202, headers=headers)

    async def _append(self, request: web.Request, upload: bytearray) -> None:
        async for chunk in request.content.iter_chunked(1 << 20):
            if len(upload) + len(chunk) > self._max_blob:
                raise RegistryError(413, "SIZE_INVALID", f"a blob is at most {self._max_blob} bytes")
            upload += chunk


_VERSION = {"Docker-Distribution-Api-Version": "registry/2.0"}


def _split(path: str) -> tuple[str, str, str]:
    """(repository, "tags" | "manifests" | "blobs" | "uploads" | "referrers", rest). Raises RegistryError."""
    body = path.removeprefix("/v2/") if path.startswith("/v2/") else ""
    head, _, rest = body.rpartition("/")
    for kind in ("blobs/uploads", "tags", "manifests", "blobs", "referrers"):
        if head.endswith(f"/{kind}"):
            name = head.removesuffix(f"/{kind}")
            if len(name) > 255 or not NAME.fullmatch(name):
                raise RegistryError(400, "NAME_INVALID", "invalid repository name")
            return name, kind.removeprefix("blobs/"), rest
    raise RegistryError(404, "UNSUPPORTED", "not served")


def _action(method: str) -> str:
    return "pull" if method in ("GET", "HEAD") else "delete" if method == "DELETE" else "push"


def _finish(repository: Repository, name: str, digest: str, content: bytes) -> web.Response:
    if not DIGEST.fullmatch(digest) or digest_of(content) != digest:
        raise RegistryError(400, "DIGEST_INVALID", "the digest is not that of the content")
    repository.blobs[digest] = content
    headers = {"Location": f"/v2/{name}/blobs/{digest}", "Docker-Content-Digest": digest}
    return web.Response(status=201, headers=headers)


def _content(request: web.Request, content: bytes, media_type: str, digest: str) -> web.Response:
    headers = {"Content-Type": media_type, "Docker-Content-Digest": digest, "ETag": f'"{digest}"'}
    if request.method == "HEAD":
        return web.Response(headers={**headers, "Content-Length": str(len(content))})
    return web.Response(body=content, headers=headers)


def _problem(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> web.Response:
    body: dict[str, Any] = {"errors": [{"code": code, "message": message}]}
    return web.json_response(body, status=status, headers=headers)
