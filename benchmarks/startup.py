"""A start over ExternalSecrets that are already right: seconds until ready, RSS, and every request that it costs.

    python -m benchmarks.startup [--count 2000]

The API server counts the requests; the controllers run in a process of their own. First they make everything right,
then they are ended and started again, and the second start is what is measured. Goal: one paged LIST and one WATCH per
kind, no PATCH, no read of single objects, no call of AWS.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import boto3
import httpx
from aiohttp import web

from controllers.api.core import CRDS, NAMESPACES, SECRETS
from controllers.api.crdgen import crds
from controllers.api.external_secrets import EXTERNAL_SECRETS, SECRET_STORES
from controllers.api.resource import Manifest
from controllers.runtime.kube import KubeClient, KubeConfig
from controllers.standin.apiserver import ApiServer
from controllers.standin.cloud.aws import AwsStandin
from controllers.standin.demo.tools import free_port, write_private

NAMESPACE = "bench"
_RESOURCE = re.compile(r"/(?:api/v1|apis/[^/]+/[^/]+)(?:/namespaces/[^/]+)?/([a-z]+)(/[^/]+)?")


class CountingServer(ApiServer):
    """The stand-in, with a count of what was asked: (verb, resource)."""

    requests: Counter[tuple[str, str]]

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        match = _RESOURCE.match(request.path)
        if match and request.method == "GET":
            watching = request.query.get("watch") in ("1", "true")
            more = "continue" in request.query
            verb = "WATCH" if watching else "GET" if match[2] else "LIST (further page)" if more else "LIST"
        else:
            verb = request.method
        self.requests[verb, match[1] if match else "discovery and health"] += 1
        return await super()._handle(request)


def external_secret(number: int) -> Manifest:
    return {
        "apiVersion": EXTERNAL_SECRETS.api_version,
        "kind": EXTERNAL_SECRETS.kind,
        "metadata": {"name": f"es-{number:05}", "namespace": NAMESPACE},
        "spec": {
            "refreshInterval": "1h",
            "secretStoreRef": {"name": "aws"},
            "data": [{"secretKey": "value", "remoteRef": {"key": f"bench/{number % 50}"}}],
        },
    }


class Bench:
    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.server = CountingServer(directory / "api")
        self.server.requests = Counter()
        self.aws = AwsStandin()
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    async def prepare(self, count: int) -> None:
        await asyncio.gather(self.server.start(), self.aws.start())
        kubeconfig = self.directory / "kubeconfig"
        write_private(kubeconfig, self.server.admin_kubeconfig())
        self.admin = KubeClient(KubeConfig.from_file(str(kubeconfig)))
        for crd in crds():
            await self.admin.apply(CRDS, crd, field_manager="bench")
        for name in (NAMESPACE, "inhaul-system"):
            body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
            await self.admin.apply(NAMESPACES, body, field_manager="bench")
        client = boto3.client("secretsmanager", **self.aws.client_arguments())
        for number in range(50):
            client.create_secret(Name=f"bench/{number}", SecretString=f"value {number}")
        store = {"aws": {"service": "SecretsManager", "region": self.aws.region}}
        body = {
            "apiVersion": SECRET_STORES.api_version,
            "kind": SECRET_STORES.kind,
            "metadata": {"name": "aws", "namespace": NAMESPACE},
            "spec": {"provider": store},
        }
        await self.admin.create(SECRET_STORES, body, NAMESPACE)
        for number in range(count):
            await self.admin.create(EXTERNAL_SECRETS, external_secret(number), NAMESPACE)

    def spawn(self) -> None:
        env = {
            **{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
            **self.aws.env(),
            "KUBECONFIG": str(self.directory / "kubeconfig"),
            "INHAUL_WEB_HOST": "127.0.0.1",
            "INHAUL_WEB_PORT": str(self.port),
        }
        argv = [sys.executable, "-m", "controllers.cli", "run", "--controllers=external-secrets"]
        with (self.directory / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [*argv, "--namespace=inhaul-system"], env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    async def end(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            await asyncio.to_thread(self.process.wait, 30)
            self.process = None

    async def until_ready(self) -> float:
        """Seconds until /readyz says so."""
        began = time.monotonic()
        async with httpx.AsyncClient() as http:
            while True:
                try:
                    if (await http.get(f"http://127.0.0.1:{self.port}/readyz")).status_code == 200:
                        return time.monotonic() - began
                except httpx.TransportError:
                    pass
                await asyncio.sleep(0.05)

    async def until_right(self, count: int) -> float:
        began = time.monotonic()
        while True:
            listed = await self.admin.list(EXTERNAL_SECRETS, NAMESPACE)
            if sum(_ready(item) for item in listed.items) == count:
                return time.monotonic() - began
            await asyncio.sleep(0.5)

    def rss(self) -> float:
        """MiB of the controllers' process."""
        assert self.process is not None
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024  # type: ignore[index]

    async def close(self) -> None:
        await self.end()
        if hasattr(self, "admin"):
            await self.admin.close()
        await self.aws.stop()
        await self.server.stop()


def _ready(item: Manifest) -> bool:
    conditions = (item.get("status") or {}).get("conditions") or []
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


async def versions(bench: Bench) -> dict[str, Any]:
    found = {}
    for resource in (EXTERNAL_SECRETS, SECRETS):
        for item in (await bench.admin.list(resource, NAMESPACE, metadata_only=True)).items:
            found[f"{resource.plural}/{item['metadata']['name']}"] = item["metadata"]["resourceVersion"]
    return found


async def measure(count: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        bench = Bench(Path(name))
        try:
            await bench.prepare(count)
            bench.spawn()
            await bench.until_ready()
            print(f"first start: {count} ExternalSecrets made right {await bench.until_right(count):.1f} s after ready")
            await asyncio.sleep(2)
            await bench.end()
            before = await versions(bench)
            await bench.aws.calls(reset=True)
            bench.server.requests.clear()
            bench.spawn()
            ready = await bench.until_ready()
            await asyncio.sleep(10)
            requests, calls = dict(bench.server.requests), await bench.aws.calls()
            rss = bench.rss()
            changed = [key for key, value in (await versions(bench)).items() if before.get(key) != value]
            print(f"second start: ready after {ready:.1f} s, RSS {rss:.0f} MiB, {len(changed)} objects changed")
            print(f"AWS calls: {calls or 'none'}")
            for (verb, resource), number in sorted(requests.items(), key=lambda item: (item[0][1], item[0][0])):
                print(f"  {resource:32} {verb:20} {number}")
        finally:
            await bench.close()


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.startup", description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--count", type=int, default=2000)
    asyncio.run(measure(parser.parse_args().count))


if __name__ == "__main__":
    main()
