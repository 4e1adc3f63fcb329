"""Marks of Secret data that tell nothing about it to who may read a workload and not the Secret.

Why not a plain hash: many more people (and dashboards, and Git diffs) see a Deployment's annotations than its Secrets,
and a hash of a PIN or a weak password is found by trying. Why not uid and resourceVersion: they move with metadata and
with writes of equal data. So: HMAC-SHA-256 under a random key that lives in a Secret of our own namespace, over the
workload's and the Secret's name too: equal values in two places have unequal marks, and a mark of one workload proves
nothing about another. In memory stand digests alone, never a value.

A lost key loses no more than this: marks of the old one are recognised as foreign (`tag`) and recorded anew without a
restart.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from controllers.api.core import SECRETS, secret_data
from controllers.api.resource import Key, Manifest
from controllers.runtime.kube import AlreadyExists, KubeClient, NotFound
from controllers.runtime.sensitive import Sensitive

from .decide import ABSENT, Marks
from .uses import Use

KEY_SECRET, KEY_FIELD = "inhaul-restart-key", "key"
WHOLE = "*"
"""Stands for all data of a Secret; no key of a Secret can be called so."""
_KEY_BYTES = 32
_MARK_BYTES = 12


class InvalidMarkKeyError(Exception):
    """The Secret with our key holds none; the text says what was found."""


@dataclass(frozen=True, slots=True)
class Digests:
    """Digests of one Secret's data, by key and as a whole."""

    version: str
    by_key: Mapping[str, bytes] = field(repr=False)


class Marker:
    """Makes marks under one key."""

    def __init__(self, key: Sensitive) -> None:
        self._key = key

    def digests(self, secret: Manifest) -> Digests:
        """Of a whole Secret."""
        meta, data = secret["metadata"], secret_data(secret)
        place = (b"data", meta["namespace"].encode(), meta["name"].encode())
        found = {name: self._hmac(*place, name.encode(), value) for name, value in data.items()}
        parts = [part for name in sorted(data) for part in (name.encode(), data[name])]
        found[WHOLE] = self._hmac(*place, WHOLE.encode(), *parts)
        return Digests(str(meta.get("resourceVersion") or ""), found)

    def marks(self, kind: str, workload: Key, secret: str, use: Use, digests: Digests | None) -> Marks:
        """The marks of one use. `digests` None: there is no such Secret."""
        names: Iterable[str] = (WHOLE,) if use.keys is None else sorted(use.keys)
        found = digests.by_key if digests is not None else {}
        place = (b"mark", kind.encode(), *(part.encode() for part in workload), secret.encode())
        return {
            name: _short(self._hmac(*place, name.encode(), found[name])) if name in found else ABSENT for name in names
        }

    def tag(self, kind: str, workload: Key) -> str:
        """Names key and workload; a record with another tag is not ours to compare with."""
        return _short(self._hmac(b"tag", kind.encode(), *(part.encode() for part in workload)))[:8]

    def _hmac(self, *parts: bytes) -> bytes:
        """Each part with its length before it, so that no two lists of parts are one text."""
        mac = hmac.new(self._key.reveal(), digestmod=hashlib.sha256)
        for part in parts:
            mac.update(len(part).to_bytes(8, "big"))
            mac.update(part)
        return mac.digest()


def _short(digest: bytes) -> str:
    return base64.urlsafe_b64encode(digest[:_MARK_BYTES]).decode()


async def load_key(kube: KubeClient, namespace: str, random: Callable[[int], bytes]) -> Sensitive:
    """The key of this installation, made at the first start. Raises BadKey, ApiError."""
    try:
        found = await kube.get(SECRETS, KEY_SECRET, namespace)
    except NotFound:
        body = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": KEY_SECRET, "labels": {"app.kubernetes.io/part-of": "inhaul"}},
            "type": "Opaque",
            "data": {KEY_FIELD: base64.b64encode(random(_KEY_BYTES)).decode()},
        }
        try:
            found = await kube.create(SECRETS, body, namespace)
        except AlreadyExists:  # another process was first
            found = await kube.get(SECRETS, KEY_SECRET, namespace)
    key = secret_data(found).get(KEY_FIELD, b"")
    if len(key) < _KEY_BYTES:
        raise InvalidMarkKeyError(
            f"Secret {namespace}/{KEY_SECRET}: data.{KEY_FIELD}: found {len(key)} bytes, expected {_KEY_BYTES} random"
            " ones; delete the Secret and it is recreated"
        )
    return Sensitive(key)
