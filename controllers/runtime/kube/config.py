"""Where the API server is and how we prove who we are: from a kubeconfig file, or from inside a Pod.

What can go wrong: a kubeconfig that asks for something we do not do (auth providers, proxies) is refused with
the field's name, never half-used. Exec plugins (`aws eks get-token`) are run as kubectl runs them. A projected token is
replaced under us about hourly, so its file is asked for its mtime at each request and re-read when that moved.
"""

from __future__ import annotations

import base64
import binascii
import os
import ssl
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from ..sensitive import Sensitive

_IN_CLUSTER = Path("/var/run/secrets/kubernetes.io/serviceaccount")


class ConfigError(Exception):
    """A kubeconfig that cannot be used: which file, which field, what was expected."""


@dataclass(frozen=True, slots=True)
class ExecPlugin:
    """A client-go credential plugin: `env` is added to our own environment."""

    command: str
    arguments: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    api_version: str = "client.authentication.k8s.io/v1"


@dataclass(frozen=True, slots=True)
class KubeConfig:
    """`server` is a URL without a trailing slash; certificates are PEM. `namespace` is our own (or the context's)."""

    server: str
    ca: str = ""
    insecure: bool = False
    server_name: str = ""
    token: Sensitive | None = None
    token_file: str = ""
    certificate: str = ""
    private_key: Sensitive | None = None
    exec_plugin: ExecPlugin | None = None
    namespace: str = "default"
    in_cluster: bool = field(default=False)

    @classmethod
    def load(cls, path: str = "", context: str = "") -> KubeConfig:
        """A given file, else $KUBECONFIG, else the Pod's, else ~/.kube/config. Raises ConfigError."""
        chosen = path or os.environ.get("KUBECONFIG", "").split(os.pathsep)[0]
        if chosen:
            return cls.from_file(chosen, context)
        if os.environ.get("KUBERNETES_SERVICE_HOST"):
            return cls.from_pod()
        return cls.from_file(str(Path("~/.kube/config").expanduser()), context)

    @classmethod
    def from_pod(cls, root: Path = _IN_CLUSTER, environ: Mapping[str, str] = os.environ) -> KubeConfig:
        host, port = environ.get("KUBERNETES_SERVICE_HOST", ""), environ.get("KUBERNETES_SERVICE_PORT", "443")
        if not host:
            raise ConfigError("KUBERNETES_SERVICE_HOST is not set: not running in a Pod")
        try:
            ca = (root / "ca.crt").read_text()
            namespace = (root / "namespace").read_text().strip()
        except OSError as error:
            raise ConfigError(f"{error.filename}: {error.strerror}; expected a mounted service account") from None
        host = f"[{host}]" if ":" in host else host
        return cls(
            f"https://{host}:{port}", ca=ca, token_file=str(root / "token"), namespace=namespace, in_cluster=True
        )

    @classmethod
    def from_file(cls, path: str, context: str = "") -> KubeConfig:
        file = Path(path).expanduser()
        try:
            document = yaml.safe_load(file.read_text())
        except OSError as error:
            raise ConfigError(f"kubeconfig {file}: {error.strerror}") from None
        except (yaml.YAMLError, UnicodeDecodeError):
            raise ConfigError(f"kubeconfig {file}: not YAML") from None
        if not isinstance(document, dict):
            raise ConfigError(f"kubeconfig {file}: found no object, expected a v1 Config")
        return _Reader(file, document).read(context)

    def ssl_context(self) -> ssl.SSLContext | None:
        """None for plain http. Raises ConfigError for certificates that do not parse."""
        if not self.server.startswith("https://"):
            return None
        try:
            context = ssl.create_default_context(cadata=self.ca or None)
        except (ssl.SSLError, ValueError):
            raise ConfigError("certificate-authority: not a PEM certificate") from None
        # Kubernetes CAs made by older tools lack the key usage that 3.13 asks of them; Go's verifier doesn't either.
        context.verify_flags &= ~getattr(ssl, "VERIFY_X509_STRICT", 0)
        if self.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if self.certificate and self.private_key is not None:
            _load_pair(context, self.certificate, self.private_key)
        return context


def _load_pair(context: ssl.SSLContext, certificate: str, key: Sensitive) -> None:
    """Python's ssl takes files alone: they live for the length of this call, readable by us only."""
    with tempfile.TemporaryDirectory() as directory:
        cert_file, key_file = Path(directory, "crt"), Path(directory, "key")
        cert_file.write_text(certificate)
        key_file.touch(mode=0o600)
        key_file.write_bytes(key.reveal())
        try:
            context.load_cert_chain(cert_file, key_file)
        except (ssl.SSLError, ValueError):
            raise ConfigError("client-certificate and client-key: not a matching PEM certificate and key") from None


class _Reader:
    """Walks one kubeconfig document, so that each complaint can name file and field."""

    def __init__(self, file: Path, document: Mapping[str, Any]) -> None:
        self._file, self._document = file, document

    def read(self, context_name: str) -> KubeConfig:
        name = context_name or self._document.get("current-context") or ""
        if not name:
            raise self._error("current-context", "found nothing, expected a context's name")
        context = self._named("contexts", "context", name)
        cluster = self._named("clusters", "cluster", context.get("cluster") or "")
        user = self._named("users", "user", context["user"]) if context.get("user") else {}
        server = cluster.get("server")
        if not isinstance(server, str) or not server.startswith(("https://", "http://")):
            raise self._error("cluster.server", "expected an http(s) URL")
        for key in ("proxy-url",):
            if cluster.get(key):
                raise self._error(f"cluster.{key}", "is not supported")
        for key in ("auth-provider", "username"):
            if user.get(key):
                raise self._error(f"user.{key}", "is not supported; expected a token, a client certificate or exec")
        token = user.get("token")
        key = self._pem(user, "client-key", "user")
        return KubeConfig(
            server.rstrip("/"),
            ca=self._pem(cluster, "certificate-authority", "cluster"),
            insecure=bool(cluster.get("insecure-skip-tls-verify")),
            server_name=str(cluster.get("tls-server-name") or ""),
            token=Sensitive(token) if isinstance(token, str) and token else None,
            token_file=str(self._beside(user["tokenFile"])) if user.get("tokenFile") else "",
            certificate=self._pem(user, "client-certificate", "user"),
            private_key=Sensitive(key) if key else None,
            exec_plugin=self._exec(user.get("exec")),
            namespace=str(context.get("namespace") or "default"),
        )

    def _error(self, field_name: str, text: str) -> ConfigError:
        return ConfigError(f"kubeconfig {self._file}: {field_name}: {text}")

    def _named(self, section: str, kind: str, name: str) -> Mapping[str, Any]:
        for item in self._document.get(section) or ():
            if isinstance(item, dict) and item.get("name") == name and isinstance(item.get(kind), dict):
                found: Mapping[str, Any] = item[kind]
                return found
        raise self._error(section, f"has no entry named {name!r}")

    def _beside(self, path: str) -> Path:
        return self._file.parent / Path(path).expanduser()

    def _pem(self, section: Mapping[str, Any], name: str, owner: str) -> str:
        if data := section.get(f"{name}-data"):
            try:
                return base64.b64decode(data, validate=True).decode()
            except (binascii.Error, UnicodeDecodeError, TypeError, ValueError):
                raise self._error(f"{owner}.{name}-data", "expected base64 of PEM") from None
        if path := section.get(name):
            try:
                return self._beside(path).read_text()
            except (OSError, UnicodeDecodeError):
                raise self._error(f"{owner}.{name}", f"cannot read {path}") from None
        return ""

    def _exec(self, section: Any) -> ExecPlugin | None:
        if not isinstance(section, dict):
            return None
        command = section.get("command")
        if not isinstance(command, str) or not command:
            raise self._error("user.exec.command", "expected a program")
        pairs = [(str(item["name"]), str(item["value"])) for item in section.get("env") or ()]
        arguments = tuple(str(item) for item in section.get("args") or ())
        version = str(section.get("apiVersion") or "client.authentication.k8s.io/v1")
        return ExecPlugin(command, arguments, tuple(pairs), version)
