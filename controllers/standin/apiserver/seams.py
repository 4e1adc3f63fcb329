"""What the parts of the API server promise each other.

The REST core (`server`, `rest`, `storage`, …) knows nothing of tokens, RBAC, printed tables, garbage collection or
the simulated workloads: each plugs in here. With no plug-in at all the server works and allows everything to
everyone, which is what the core's own tests use.

Everything but HTTP and waiting is synchronous: one request's read-check-write is one step of the event loop, so no
two writes interleave and no plug-in needs a lock. A plug-in must therefore be quick; what takes long belongs in a
`Controller`.

**Objects are shared and must never be changed in place.** What `Storage` returns or an event carries is the stored
object itself: `copy.deepcopy` (or rebuild the path you change) before you alter it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from aiohttp import web

from controllers.api.resource import Manifest

# --- who asks, and for what -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class User:
    """Who a request comes from, after authentication and impersonation."""

    name: str
    groups: tuple[str, ...] = ()
    uid: str = ""
    extra: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Attributes:
    """What is asked, as RBAC sees it. For paths that are no resource (`/version`) only `verb` and `path` are set.

    `verb` is get, list, watch, create, update, patch, delete or deletecollection for resources; the lower-case HTTP
    method for others.
    """

    verb: str
    group: str = ""
    version: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""

    @property
    def is_resource(self) -> bool:
        """Whether this is about a resource type, and not a bare path."""
        return bool(self.resource)


@dataclass(frozen=True, slots=True)
class Decision:
    """`reason` is said in `kubectl auth can-i` and in access reviews."""

    allowed: bool
    reason: str = ""


class Authenticator(Protocol):
    """Finds out who asks. Also the place of impersonation: what it returns is the effective user.

    `request.headers` and `request.transport` (client certificates) are there to look at; the body is not to be read.
    Raises status_errors.StatusError (401, or 403 for an impersonation that is not allowed).
    """

    def authenticate(self, request: web.BaseRequest) -> User: ...


class Authorizer(Protocol):
    """Says yes or no. A no becomes 403 with the usual wording; the core makes it."""

    def authorize(self, user: User, attributes: Attributes) -> Decision: ...


# --- resource types and stored objects --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PrinterColumn:
    """One of a CRD's `additionalPrinterColumns`."""

    name: str
    type: str
    json_path: str
    format: str = ""
    priority: int = 0
    description: str = ""


@dataclass(frozen=True, slots=True)
class KindInfo:
    """One resource type in one served version. What `Storage.kinds()` gives and every call takes.

    Two versions of one type share their objects. `verbs` is empty for types that hold no objects (access reviews).
    """

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool
    singular: str = ""
    list_kind: str = ""
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    subresources: tuple[str, ...] = ()
    verbs: tuple[str, ...] = ()
    columns: tuple[PrinterColumn, ...] = ()
    custom: bool = False
    """Defined by a CRD."""

    @property
    def api_version(self) -> str:
        """`v1` or `apps/v1`."""
        return f"{self.group}/{self.version}" if self.group else self.version


@dataclass(frozen=True, slots=True)
class StorageChange:
    """One event of `Storage.watch`. `object` is the new state (of DELETED: the last one); `old` the one before, if
    any.
    """

    type: Literal["ADDED", "MODIFIED", "DELETED"]
    kind: KindInfo
    object: Manifest
    old: Manifest | None


class Storage(Protocol):
    """The API server from inside: the same rules as over HTTP (validation, generation, finalizers, managedFields,
    admission), without authentication and authorization. Errors are status_errors.StatusError.
    """

    def kinds(self) -> Sequence[KindInfo]:
        """All types that hold objects, each once, in its preferred version."""
        ...

    def kind(self, group: str, plural: str, version: str = "") -> KindInfo | None:
        """One type by its plural; the preferred version unless one is named."""
        ...

    def kind_for(self, api_version: str, kind: str) -> KindInfo | None:
        """One type by apiVersion and kind, as ownerReferences name it."""
        ...

    def get(self, kind: KindInfo, name: str, namespace: str = "") -> Manifest:
        """Raises 404."""
        ...

    def find(self, kind: KindInfo, name: str, namespace: str = "") -> Manifest | None:
        """Like get, None where there is none."""
        ...

    def list(self, kind: KindInfo, namespace: str = "", *, label_selector: str = "") -> list[Manifest]:
        """Of one namespace, or of all."""
        ...

    def create(self, kind: KindInfo, body: Manifest, namespace: str = "", *, field_manager: str = "") -> Manifest: ...

    def update(self, kind: KindInfo, body: Manifest, *, subresource: str = "", field_manager: str = "") -> Manifest:
        """Like PUT: refused with 409 where metadata.resourceVersion is set and stale. `subresource`: status, scale,
        finalize (of namespaces) or "".
        """
        ...

    def delete(
        self,
        kind: KindInfo,
        name: str,
        namespace: str = "",
        *,
        uid: str = "",
        resource_version: str = "",
        propagation: Literal["Background", "Foreground", "Orphan", ""] = "",
    ) -> Manifest: ...

    def apply(self, kind: KindInfo, body: Manifest, namespace: str = "", *, field_manager: str) -> Manifest:
        """Server-side apply, forced."""
        ...

    def listen(self, listener: Callable[[StorageChange], None], *kinds: KindInfo) -> Callable[[], None]:
        """Calls `listener` within each write, before it is answered: it must not write. Returns what ends it."""
        ...

    def watch(self, *kinds: KindInfo) -> AsyncIterator[StorageChange]:
        """Every change of these types (of all types, those of later CRDs too, if none is named).

        Starts with ADDED for everything that is there, in the order of creation; ends when the server stops.
        """
        ...


# --- plug-ins ---------------------------------------------------------------------------------------------------------


class TableRenderer(Protocol):
    """Renders `meta.k8s.io/v1 Table` for kubectl."""

    def table(
        self, kind: KindInfo, objects: Sequence[Manifest], *, list_meta: Manifest, include_object: str
    ) -> Manifest:
        """`include_object` is None, Metadata or Object, as the query has it (default Metadata); `list_meta` is the
        list's metadata. Called for single objects and watch events too, with one object (watch events after the first
        carry no columnDefinitions: the core removes them).
        """
        ...


@dataclass(frozen=True, slots=True)
class Call:
    """What a subresource handler or a virtual type is given. `body` is parsed; `query` as in the URL."""

    user: User
    attributes: Attributes
    kind: KindInfo
    body: Manifest
    query: Mapping[str, str]
    storage: Storage
    dry_run: bool = False
    manager: str = ""
    """The field manager of the request."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A JSON answer."""

    body: Manifest
    code: int = 200


Handler = Callable[[Call], Answer]
"""Synchronous. Raises status_errors.StatusError."""

RawHandler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
"""A path that is no resource, e.g. `/openid/v1/jwks`."""


@dataclass(frozen=True, slots=True)
class Admission:
    """A write on its way in, after defaulting and before validation. `operation` is CREATE, UPDATE or DELETE."""

    operation: Literal["CREATE", "UPDATE", "DELETE"]
    user: User
    kind: KindInfo
    namespace: str
    name: str
    object: Manifest | None
    old: Manifest | None
    subresource: str = ""
    dry_run: bool = False


AdmissionHook = Callable[[Admission, Storage], Manifest | None]
"""Returns the object to go on with (a changed copy), or None to leave it. Raises StatusError to refuse."""

Controller = Callable[[Storage], Awaitable[None]]
"""A background task; started with the server, cancelled when it stops. If it raises, the server logs it with a
traceback.
"""


@dataclass(slots=True)
class Plugins:
    """All plug-ins of one server. `ApiServer(plugins=…)`; what is None or empty has the allow-all default.

    `subresources` is keyed by (method, group, plural, subresource): `("POST", "", "serviceaccounts", "token")`.
    `virtual` are types that hold no objects, only answer POST: access reviews, TokenReview; their handler gets the
    body. `raw` paths are served after authentication and authorization of the path, those in `anonymous` without
    either.
    """

    authenticator: Authenticator | None = None
    authorizer: Authorizer | None = None
    tables: TableRenderer | None = None
    admission: list[AdmissionHook] = field(default_factory=list)
    subresources: dict[tuple[str, str, str, str], Handler] = field(default_factory=dict)
    virtual: list[tuple[KindInfo, Handler]] = field(default_factory=list)
    raw: dict[str, RawHandler] = field(default_factory=dict)
    anonymous: set[str] = field(default_factory=set)
    controllers: list[Controller] = field(default_factory=list)


SYSTEM = User("system:apiserver", ("system:masters",))
"""The user of calls from inside."""


@dataclass(frozen=True, slots=True)
class ServerIdentity:
    """What plug-ins need to know of the server: made before them, handed to the function that makes `Plugins`.

    `directory` is 0700 and holds keys; `url` is what tokens name as issuer; `ca_pem` and `admin_token` are set up
    by the core (`admin_token` is a bearer token of user `kubernetes-admin`, group `system:masters`: the
    Authenticator must take it).
    """

    directory: Any
    url: str
    ca_pem: str
    admin_token: str


PluginFactory = Callable[[ServerIdentity], Plugins]
"""`ApiServer(directory, plugins=factory)`; `controllers/standin/apiserver/plugins.py: default_plugins` is the full
set.
"""
