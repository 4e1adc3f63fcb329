"""The demo's steps about what an ExternalSecret makes of values: a PKCS#12 bundle as kubernetes.io/tls, all secrets of
a tag, and a rotation that rolls the Deployment once."""

from __future__ import annotations

import base64
import json
import secrets
import time
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import pkcs12

from controllers.api.core import DEPLOYMENTS, SECRETS
from controllers.api.external_secrets import EXTERNAL_SECRETS

from .actor import CHECKOUT, Actor, ready, sync
from .narrate import StepFailedError, Told, digest
from .world import REPOSITORY

_EDGE = "teams/payments/edge"
_DATABASE = "payments/checkout/database"
_RELOAD = "secret.reloader.stakater.com/reload"
_SEEN, _AT = "restart.inhaul.dev/seen", "restart.inhaul.dev/restarted-at"
_HOST = "checkout.example.com"


class SecretSteps(Actor):
    """Told when checkout runs with its password."""

    async def run(self) -> None:
        step = self.tell.step
        await step("tls", "A PKCS#12 bundle in AWS becomes a kubernetes.io/tls Secret", self.tls)
        await step("tagged", "All secrets with a tag become one Secret", self.tagged)
        await step("restarted", "A rotation restarts the Deployment that asks for it, once", self.restarted)

    async def tls(self, told: Told) -> str:
        password, serial = secrets.token_urlsafe(12), x509.random_serial_number()
        bundle = base64.b64encode(_bundle(password.encode(), serial)).decode()
        self.world.aws_create_secret("payments/edge/bundle", json.dumps({"bundle": bundle, "password": password}))
        self.tell.say("aws: secret payments/edge/bundle holds a PKCS#12 file and its password")
        files: dict[str, bytes | str | None] = {
            "clusters/demo/payments-edge.yaml": sync("edge"),
            f"{_EDGE}/certificate.yaml": _CERTIFICATE,
        }
        await self.commit("payments: serve TLS with the certificate in AWS", files)
        await self.until("Secret edge-tls", lambda: self.secret_value("edge-tls", "tls.key"))
        found = await self.get(SECRETS, "edge-tls") or {}
        if found["type"] != "kubernetes.io/tls" or set(found["data"]) != {"tls.crt", "tls.key"}:
            raise StepFailedError(f"found type {found['type']} with {sorted(found['data'])}")
        chain = x509.load_pem_x509_certificates(base64.b64decode(found["data"]["tls.crt"]))
        key = serialization.load_pem_private_key(base64.b64decode(found["data"]["tls.key"]), None)
        if len(chain) != 2 or chain[0].serial_number != serial or chain[0].public_key() != key.public_key():
            raise StepFailedError("certificate and key are not those of the bundle")
        self.tell.say(
            f"cluster: Secret edge-tls holds the key of {chain[0].subject.rfc4514_string()}, {len(chain)} certificates"
        )
        return "a template took the bundle apart: leaf first, then its issuer; type kubernetes.io/tls"

    async def tagged(self, told: Told) -> str:
        values = {name: secrets.token_urlsafe(24) for name in ("acme", "globex", "initech")}
        for name in ("acme", "globex"):
            self.world.aws_create_secret(f"payments/partners/{name}", values[name], consumer="checkout")
        self.world.aws_create_secret("payments/partners/other", secrets.token_urlsafe(24), consumer="billing")
        self.tell.say("aws: payments/partners/acme and …/globex have the tag consumer=checkout, …/other has not")
        await self.commit("payments: know all partners", {f"{_EDGE}/partners.yaml": _PARTNERS})
        third = values.pop("initech")
        await self.until("Secret partners", lambda: self._partners(values))
        self.world.aws_create_secret("payments/partners/initech", third, consumer="checkout")
        self.tell.say(f"aws: payments/partners/initech is made with the tag, {digest(third.encode())}")
        await self.until("the third partner", lambda: self._partners({**values, "initech": third}))
        return "found by the tag alone; a third one made in AWS came by its event, and what is tagged otherwise did not"

    async def restarted(self, told: Told) -> str:
        path = f"{CHECKOUT}/deployment.yaml"
        text = (await self.world.git.read(REPOSITORY, path)).decode()
        marked = text.replace("  labels:\n", f"  annotations:\n    {_RELOAD}: checkout-database\n  labels:\n", 1)
        await self.commit("payments: restart checkout when its password changes", {path: marked})
        await self.until("the Deployment's use of the Secret to be seen", self._seen)
        value = json.dumps({"password": secrets.token_urlsafe(24)})
        self.world.aws_put_secret(_DATABASE, value)
        began = time.monotonic()
        stamp = await self.until("the restart", self._restart)
        told.measured["rotate_to_restart"] = round(time.monotonic() - began, 2)
        self.tell.say(f"cluster: the Pods of Deployment checkout are replaced: {_AT}: {stamp}")
        tag = marked.partition("/checkout:")[2].split()[0]
        await self.until("the rollout", lambda: self.running(tag))
        version = self.world.aws_put_secret(_DATABASE, value)
        self.tell.say(f"aws: the same value is put again, as version {version[:8]}…")
        await self.until("the new version to be synced", lambda: self._synced(version))
        if await self._restart() != stamp:
            raise StepFailedError("restarted again, though the value is the same")
        return f"one rollout {told.measured['rotate_to_restart']:.1f} s after the rotation; an equal value makes none"

    async def _seen(self) -> bool:
        found = await self.get(DEPLOYMENTS, "checkout") or {}
        return _SEEN in (found["metadata"].get("annotations") or {})

    async def _restart(self) -> str:
        """When checkout's Pods were last ordered to be replaced."""
        found = await self.get(DEPLOYMENTS, "checkout") or {}
        return str((found["spec"]["template"]["metadata"].get("annotations") or {}).get(_AT, ""))

    async def _synced(self, version: str) -> bool:
        """Has the event of this version been taken up, and the Secret been written after it?"""
        found = await self.get(EXTERNAL_SECRETS, "checkout-database") or {}
        if version not in (found["metadata"].get("annotations") or {}).get("force-sync", ""):
            return False
        secret = await self.get(SECRETS, "checkout-database") or {}
        return ready(found)[0] == "True" and version in json.dumps(secret["metadata"].get("annotations") or {})

    async def _partners(self, wanted: dict[str, str]) -> bool:
        data = (await self.get(SECRETS, "partners") or {}).get("data") or {}
        return {key: base64.b64decode(value).decode() for key, value in data.items()} == wanted


def _bundle(password: bytes, serial: int) -> bytes:
    """A key, its certificate and the issuer's, as a CA's portal hands them out."""
    issuer_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Demo CA")])
    root = _certificate(issuer, issuer, issuer_key, issuer_key, x509.random_serial_number())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, _HOST)])
    leaf = _certificate(subject, issuer, key, issuer_key, serial)
    encryption = serialization.BestAvailableEncryption(password)
    return pkcs12.serialize_key_and_certificates(b"edge", key, leaf, [root], encryption)


def _certificate(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    issuer_key: ec.EllipticCurvePrivateKey,
    serial: int,
) -> x509.Certificate:
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(issuer, subject, key.public_key(), serial)
    builder = builder.not_valid_before(now - timedelta(minutes=5)).not_valid_after(now + timedelta(days=30))
    return builder.sign(issuer_key, hashes.SHA256())


_CERTIFICATE = """apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata:
  name: edge-tls
  namespace: payments
spec:
  refreshInterval: 1h
  secretStoreRef:
    name: secrets-manager
  target:
    template:
      type: kubernetes.io/tls
      data:
        tls.crt: "{{ .bundle | b64dec | pkcs12certPass .password }}"
        tls.key: "{{ .bundle | b64dec | pkcs12keyPass .password }}"
  data:
    - secretKey: bundle
      remoteRef:
        key: payments/edge/bundle
        property: bundle
    - secretKey: password
      remoteRef:
        key: payments/edge/bundle
        property: password
"""

_PARTNERS = """apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata:
  name: partners
  namespace: payments
spec:
  refreshInterval: 1h
  secretStoreRef:
    name: secrets-manager
  dataFrom:
    - find:
        tags:
          consumer: checkout
      rewrite:
        - regexp:
            source: payments/partners/(.*)
            target: $1
"""
