"""A real kube-apiserver, kube-controller-manager and etcd as processes, with the face of the stand-in's ApiServer.

The binaries come from KUBEBUILDER_ASSETS or from `.ci/apiserver/build`'s cache. Pods are marked running by a few
lines of kubelet over HTTP, for there is no node. For tests only: no encryption at rest, one replica, keys in a
temporary folder.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import secrets
import ssl
import subprocess
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from controllers.api.core import PODS
from controllers.api.resource import Manifest
from controllers.api.timestamps import timestamp
from controllers.runtime.kube import ApiError, Gone, KubeClient, KubeConfig
from controllers.standin.apiserver.workloads.objects import Faults, pod_status
from controllers.standin.cloud.tls import Authority
from controllers.standin.demo.tools import free_port

FINDER = Path(__file__).parents[1] / ".ci" / "apiserver" / "build"


def binaries() -> tuple[Path | None, str]:
    """The folder of the binaries, or None and why there is none."""
    said = subprocess.run([str(FINDER), "--find"], capture_output=True, text=True, check=False).stdout.strip()
    folder = Path(said.splitlines()[-1]) if said else Path("/nowhere")
    if said.startswith("NOT RUN") or not (folder / "kube-apiserver").exists():
        return None, said or "no kube-apiserver found"
    return folder, ""


class Envtest:
    """`await start()`, then `url`, `ca_pem`, `admin_kubeconfig()`. Raises RuntimeError where a process does not
    come up.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = Path(directory)
        self._authority = Authority.create("envtest CA")
        self._token = secrets.token_urlsafe(32)
        self._processes: list[subprocess.Popen[bytes]] = []
        self._kubelet: asyncio.Task[None] | None = None
        self._port = free_port()
        self.url = f"https://127.0.0.1:{self._port}"

    @property
    def ca_pem(self) -> str:
        return self._authority.pem.decode()

    def admin_kubeconfig(self) -> str:
        cluster = {"server": self.url, "certificate-authority-data": base64.b64encode(self._authority.pem).decode()}
        return json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": "envtest", "cluster": cluster}],
                "users": [{"name": "admin", "user": {"token": self._token}}],
                "contexts": [{"name": "envtest", "context": {"cluster": "envtest", "user": "admin"}}],
                "current-context": "envtest",
            }
        )

    async def start(self, port: int = 0) -> None:
        folder, why = binaries()
        if folder is None:
            raise RuntimeError(why)
        self._directory.mkdir(parents=True, exist_ok=True)
        self._write_keys()
        client, peer = free_port(), free_port()
        etcd = f"http://127.0.0.1:{client}"
        self._spawn(
            folder / "etcd", f"--data-dir={self._directory / 'etcd'}", f"--listen-client-urls={etcd}",
            f"--advertise-client-urls={etcd}", f"--listen-peer-urls=http://127.0.0.1:{peer}", "--unsafe-no-fsync",
        )  # fmt: skip
        at = self._directory
        self._spawn(
            folder / "kube-apiserver", f"--etcd-servers={etcd}", f"--secure-port={self._port}",
            "--bind-address=127.0.0.1", f"--tls-cert-file={at / 'server.crt'}",
            f"--tls-private-key-file={at / 'server.key'}", f"--token-auth-file={at / 'tokens.csv'}",
            "--authorization-mode=RBAC", f"--service-account-issuer={self.url}",
            f"--service-account-signing-key-file={at / 'sa.key'}", f"--service-account-key-file={at / 'sa.pub'}",
            f"--api-audiences={self.url}", "--service-cluster-ip-range=10.0.0.0/16", "--allow-privileged=true",
            "--disable-admission-plugins=ServiceAccount", "--max-requests-inflight=0", "--v=0",
        )  # fmt: skip
        await self._until_ready()
        self._spawn(
            folder / "kube-controller-manager", f"--kubeconfig={at / 'admin.kubeconfig'}", "--leader-elect=false",
            f"--service-account-private-key-file={at / 'sa.key'}", f"--root-ca-file={at / 'ca.crt'}",
            "--secure-port=0", "--concurrent-gc-syncs=4", "--v=0", "--kube-api-qps=300", "--kube-api-burst=600",
        )  # fmt: skip
        self._kubelet = asyncio.create_task(self._run_pods())

    async def stop(self) -> None:
        if self._kubelet is not None:
            self._kubelet.cancel()
            await asyncio.gather(self._kubelet, return_exceptions=True)
        for process in reversed(self._processes):
            process.kill()
        for process in self._processes:
            await asyncio.to_thread(process.wait)
        self._processes.clear()

    def _spawn(self, binary: Path, *arguments: str) -> None:
        with (self._directory / f"{binary.name}.log").open("wb") as log:
            argv = [str(binary), *arguments]
            self._processes.append(subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log))

    def _write_keys(self) -> None:
        certificate, key = self._authority.issue(("127.0.0.1", "localhost"))
        signing = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        private = signing.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )
        public = signing.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        files = {
            "server.crt": certificate, "server.key": key, "ca.crt": self._authority.pem,
            "sa.key": private, "sa.pub": public,
            "tokens.csv": f"{self._token},kubernetes-admin,admin,system:masters\n".encode(),
            "admin.kubeconfig": self.admin_kubeconfig().encode(),
        }  # fmt: skip
        for name, content in files.items():
            path = self._directory / name
            path.touch(mode=0o600)
            path.write_bytes(content)

    async def _until_ready(self) -> None:
        context = ssl.create_default_context(cadata=self.ca_pem)
        for _ in range(600):
            if any(process.poll() is not None for process in self._processes):
                break
            with contextlib.suppress(OSError, asyncio.TimeoutError):
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port, ssl=context)
                writer.write(b"GET /readyz HTTP/1.0\r\nAuthorization: Bearer " + self._token.encode() + b"\r\n\r\n")
                head = await asyncio.wait_for(reader.readline(), 5)
                writer.close()
                if b" 200 " in head:
                    return
            await asyncio.sleep(0.1)
        tail = "\n".join(path.read_text(errors="replace")[-1500:] for path in self._directory.glob("*.log"))
        raise RuntimeError(f"the real API server did not become ready:\n{tail}")

    async def _run_pods(self) -> None:
        """The kubelet: every pod runs at once."""
        async with KubeClient(KubeConfig.from_file(str(self._directory / "admin.kubeconfig"))) as kube:
            while True:
                with contextlib.suppress(ApiError, Gone):
                    listed = await kube.list(PODS)
                    for pod in listed.items:
                        await self._run_pod(kube, pod)
                    async for event in kube.watch(PODS, resource_version=listed.resource_version):
                        if event.type in ("ADDED", "MODIFIED"):
                            await self._run_pod(kube, event.object)
                await asyncio.sleep(0.2)

    @staticmethod
    async def _run_pod(kube: KubeClient, pod: Manifest) -> None:
        meta = pod["metadata"]
        if meta.get("deletionTimestamp"):
            with contextlib.suppress(ApiError):
                await kube.request("DELETE", PODS.path(meta["namespace"], meta["name"]), body={"gracePeriodSeconds": 0})
            return
        if (pod.get("status") or {}).get("containerStatuses"):
            return
        now = timestamp(datetime.now(UTC))
        finished = any(item.get("kind") == "Job" for item in meta.get("ownerReferences") or ())
        status = pod_status(pod, Faults(), now, finished=finished)
        with contextlib.suppress(ApiError):
            await kube.patch(
                PODS, meta["name"], meta["namespace"], body={"status": status}, subresource="status",
                field_manager="kubelet",
            )  # fmt: skip
