"""The embedded API server: a Kubernetes API over TLS in this process, for trying and for tests, never for
production.

    server = ApiServer(directory)
    await server.start()
    …  server.url, server.ca_pem, server.admin_kubeconfig(), server.storage
    await server.stop()

What can go wrong: a port that is taken (OSError), a directory that cannot be written (OSError). A fault inside a
request is logged with its traceback and answered with 500; it never ends the server.
"""

from __future__ import annotations

import asyncio
import datetime
import json
import logging
import secrets
from collections.abc import Callable
from pathlib import Path

from aiohttp import web

from . import tls
from .inside import Inside
from .plugins import default_plugins
from .seams import Attributes, PluginFactory, Plugins, ServerIdentity, Storage, User
from .serve import http
from .serve.http import answer
from .serve.resources import Resources
from .status_errors import NothingHereError, StatusError, forbidden, internal, unauthorized
from .storage import MemoryStorage, dump
from .types import builtin
from .types.discovery import Discovery
from .types.openapi import OpenApi
from .types.registry import Registry
from .write.crd import Definitions
from .write.rest import Rest
from .write.target import Options, RequestTarget

log = logging.getLogger(__name__)
VERSION = {
    "major": "1",
    "minor": "36",
    "gitVersion": "v1.36.0+standin",
    "gitCommit": "",
    "gitTreeState": "clean",
    "buildDate": "2025-01-01T00:00:00Z",
    "goVersion": "",
    "compiler": "python",
    "platform": "linux/amd64",
    "emulationMajor": "1",
    "emulationMinor": "36",
    "minCompatibilityMajor": "1",
    "minCompatibilityMinor": "35",
}
HEALTH = ("/healthz", "/livez", "/readyz")
FIRST_NAMESPACES = ("default", "kube-node-lease", "kube-public", "kube-system")
ADMIN = User("kubernetes-admin", ("system:masters", "system:authenticated"))
Clock = Callable[[], datetime.datetime]


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def allow_all(identity: ServerIdentity) -> Plugins:
    """No plug-in at all."""
    return Plugins()


class ApiServer:
    """One server. `plugins` makes the plug-ins once the URL and keys are known: the full set unless another is given;
    `allow_all` makes none, and everyone may do everything.
    """

    def __init__(
        self,
        directory: Path,
        *,
        plugins: PluginFactory | None = None,
        host: str = "127.0.0.1",
        history: int = 20_000,
        clock: Clock = _now,
    ) -> None:
        self._directory = Path(directory)
        self._factory = plugins or default_plugins
        self._host = host
        self._clock = clock
        self.memory = MemoryStorage(history=history)
        self.registry = Registry()
        self._plugins = Plugins()
        self._certificates: tls.Certificates | None = None
        self._token = ""
        self._runner: web.ServerRunner | None = None
        self._closing = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._inside: Inside | None = None
        self.url = ""

    @property
    def storage(self) -> Storage:
        """The server from inside. Only after start."""
        if self._inside is None:
            raise RuntimeError("the API server has not been started")
        return self._inside

    @property
    def ca_pem(self) -> str:
        """The certificate of the authority that signed the server's certificate."""
        if self._certificates is None:
            raise RuntimeError("the API server has not been started")
        return self._certificates.ca_pem

    # --- life ---

    async def start(self, port: int = 0) -> None:
        """Listens (port 0: any free one), makes the first namespaces, starts the plug-ins' controllers."""
        self._certificates = tls.ensure(self._directory)
        self._token = self._admin_token()
        self._closing = asyncio.Event()
        self._runner = web.ServerRunner(web.Server(self._handle, access_log=None), shutdown_timeout=0.5)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host, port, ssl_context=self._certificates.server_context(), backlog=512)
        await site.start()
        bound = self._runner.addresses[0][1]
        self.url = f"https://{self._host}:{bound}"
        identity = ServerIdentity(self._directory, self.url, self.ca_pem, self._token)
        self._plugins = self._factory(identity)
        self._assemble()
        for controller in self._plugins.controllers:
            self._tasks.append(asyncio.create_task(self._run(controller), name=f"standin:{controller!r:.80}"))

    def _assemble(self) -> None:
        builtin.install(self.registry, self._plugins)
        rest = Rest(self.memory, self.registry, self._plugins, clock=self._clock)
        self._inside = Inside(rest)
        rest.storage = self._inside
        Definitions(rest)
        self._discovery = Discovery(self.registry, self.url.removeprefix("https://"))
        self._openapi = OpenApi(self.registry)
        self._resources = Resources(rest, self.registry, self._plugins, self._closing)
        entry = self.registry.get("", "namespaces")
        if entry is None:
            raise RuntimeError("the built-in types lack namespaces")
        target = RequestTarget(entry, entry.preferred)
        for name in FIRST_NAMESPACES:
            if self.memory.get(("", "namespaces"), name) is None:
                rest.create(target, {"metadata": {"name": name}}, Options(manager="kube-apiserver"))

    async def _run(self, controller: Callable[[Storage], object]) -> None:
        try:
            await controller(self.storage)  # type: ignore[misc]
        except asyncio.CancelledError:
            raise
        except Exception:
            log.exception("a controller of the embedded API server failed")

    async def stop(self) -> None:
        """Ends watches and controllers, closes the listener. May be called twice."""
        self._closing.set()
        if self._inside is not None:
            self._inside.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def _admin_token(self) -> str:
        path = self._directory / "admin.token"
        if not path.exists():
            tls.write_private(path, secrets.token_urlsafe(32).encode())
        return path.read_text(encoding="ascii").strip()

    def admin_kubeconfig(self) -> str:
        """A kubeconfig (JSON is YAML) of a user who may do everything. Holds a credential."""
        import base64

        cluster = {
            "server": self.url,
            "certificate-authority-data": base64.b64encode(self.ca_pem.encode()).decode(),
        }
        context = {"cluster": "standin", "user": "admin", "namespace": "default"}
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "standin", "cluster": cluster}],
            "users": [{"name": "admin", "user": {"token": self._token}}],
            "contexts": [{"name": "standin", "context": context}],
            "current-context": "standin",
        }
        return json.dumps(document, indent=2) + "\n"

    # --- requests ---

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            return await self._route(request)
        except NothingHereError:
            return web.Response(text="404 page not found\n", status=404)
        except StatusError as error:
            response = answer(dump(error.body()), error.code)
            if error.retry_after:
                response.headers["Retry-After"] = str(error.retry_after)
            return response
        except (ConnectionError, asyncio.CancelledError):
            raise
        except Exception:
            log.exception("the embedded API server failed at %s %s", request.method, request.path)
            return answer(dump(internal("see the server's log").body()), 500)

    async def _route(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.path
        if path.startswith(HEALTH):
            return web.Response(text="ok")
        if path == "/version":
            return answer(dump(VERSION))
        raw = self._plugins.raw.get(path)
        if raw is not None and path in self._plugins.anonymous:
            return await raw(request)
        user = self._user(request)
        resource = http.parse_path(path)
        if resource is not None:
            return await self._resources.handle(
                request, resource, user, lambda attributes: self._authorize(user, attributes)
            )
        self._authorize(user, Attributes(request.method.lower(), path=path))
        if raw is not None:
            return await raw(request)
        return self._document(request, path)

    def _document(self, request: web.BaseRequest, path: str) -> web.Response:
        if request.method not in ("GET", "HEAD"):
            raise NothingHereError
        if path.startswith("/openapi/"):
            document = self._openapi.answer(path)
            if document is not None:
                return answer(document)
        found = self._discovery.answer(path, request.headers.get("Accept", ""))
        if found is None:
            raise NothingHereError
        data, media = found
        return web.Response(body=data, headers={"Content-Type": media, "Vary": "Accept"})

    def _user(self, request: web.BaseRequest) -> User:
        if self._plugins.authenticator is not None:
            return self._plugins.authenticator.authenticate(request)
        header = request.headers.get("Authorization", "")
        if header and not secrets.compare_digest(header.encode(), f"Bearer {self._token}".encode()):
            raise unauthorized()
        return ADMIN

    def _authorize(self, user: User, attributes: Attributes) -> None:
        """Raises StatusError 403."""
        if self._plugins.authorizer is None:
            return
        decision = self._plugins.authorizer.authorize(user, attributes)
        if decision.allowed:
            return
        tail = f": {decision.reason}" if decision.reason else ""
        if not attributes.is_resource:
            message = f'forbidden: User "{user.name}" cannot {attributes.verb} path "{attributes.path}"{tail}'
            raise StatusError(403, "Forbidden", message)
        resource = attributes.resource + (f"/{attributes.subresource}" if attributes.subresource else "")
        where = f'in the namespace "{attributes.namespace}"' if attributes.namespace else "at the cluster scope"
        why = (
            f'User "{user.name}" cannot {attributes.verb} resource "{resource}" '
            f'in API group "{attributes.group}" {where}{tail}'
        )
        raise forbidden(attributes.group, attributes.resource, attributes.name, why)
