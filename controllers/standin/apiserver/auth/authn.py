"""Who asks: the admin's token, service accounts' tokens, nobody; and whom they impersonate, where RBAC lets them."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import unquote

from aiohttp import web

from ..seams import Attributes, Authorizer, Storage, User
from ..status_errors import StatusError, forbidden, unauthorized
from .rbac import MASTERS
from .tokens import TokenRefusedError, Tokens

ANONYMOUS = User("system:anonymous", ("system:unauthenticated",))
ADMIN = User("kubernetes-admin", (MASTERS, "system:authenticated"))
_ACCOUNT = "system:serviceaccount:"


class Authentication:
    """seams.Authenticator. `bind` gives it the storage before the first request."""

    def __init__(self, tokens: Tokens, authorizer: Authorizer, admin_token: str) -> None:
        self._tokens, self._authorizer, self._admin = tokens, authorizer, admin_token
        self._storage: Storage | None = None

    async def bind(self, storage: Storage) -> None:
        """A seams.Controller: takes the storage."""
        self._storage = storage

    def authenticate(self, request: web.BaseRequest) -> User:
        user = self._bearer(request.headers.get("Authorization", ""))
        if "Impersonate-User" in request.headers:
            return self._impersonated(user, request)
        if any(name.lower().startswith("impersonate-") for name in request.headers):
            raise StatusError(500, "InternalError", "requested groups, uid or extra without impersonating a user")
        return user

    def _bearer(self, header: str) -> User:
        if not header:
            return ANONYMOUS
        scheme, _, token = header.partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise unauthorized()
        if hmac.compare_digest(token.encode(), self._admin.encode()):
            return ADMIN
        if self._storage is None:
            raise unauthorized()
        try:
            return self._tokens.verify(token, self._storage).user()
        except TokenRefusedError:
            raise unauthorized() from None

    def _impersonated(self, user: User, request: web.BaseRequest) -> User:
        name = request.headers["Impersonate-User"]
        groups = tuple(request.headers.getall("Impersonate-Group", []))
        uid = request.headers.get("Impersonate-Uid", "")
        extra = _extra(request.headers)
        self._check_user(user, name)
        for group in groups:
            self._check(user, "groups", group)
        if uid:
            self._check(user, "uids", uid, group="authentication.k8s.io")
        for key, values in extra.items():
            for value in values:
                self._check(user, "userextras", value, group="authentication.k8s.io", subresource=key)
        if name.startswith(_ACCOUNT) and not groups:
            namespace = name.removeprefix(_ACCOUNT).partition(":")[0]
            groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}")
        if name == ANONYMOUS.name:
            groups = groups or ANONYMOUS.groups
        elif "system:authenticated" not in groups:
            groups = (*groups, "system:authenticated")
        return replace(User(name, groups, uid), extra=extra)

    def _check_user(self, user: User, name: str) -> None:
        namespace, colon, account = name.removeprefix(_ACCOUNT).partition(":")
        if name.startswith(_ACCOUNT) and colon:
            self._check(user, "serviceaccounts", account, namespace=namespace)
        else:
            self._check(user, "users", name)

    def _check(
        self, user: User, resource: str, name: str, *, group: str = "", namespace: str = "", subresource: str = ""
    ) -> None:
        asked = Attributes("impersonate", group, "v1", resource, subresource, namespace, name)
        if self._authorizer.authorize(user, asked).allowed:
            return
        what = f"{resource}/{subresource}" if subresource else resource
        where = f'in the namespace "{namespace}"' if namespace else "at the cluster scope"
        why = f'User "{user.name}" cannot impersonate resource "{what}" in API group "{group}" {where}'
        raise forbidden(group, resource, name, why)


def _extra(headers: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for name, value in headers.items():
        if name.lower().startswith("impersonate-extra-"):
            key = unquote(name[len("impersonate-extra-") :]).lower()
            found[key] = (*found.get(key, ()), value)
    return found
