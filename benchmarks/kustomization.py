"""How long a thousand Kustomizations take, and what they cost when nothing happens.

`python -m benchmarks.kustomization [--count 1000] [--kustomize] [--cluster envtest]`: every Kustomization has a path of
its own with four objects (ServiceAccount, ConfigMap, Service, Deployment scaled to 0), `wait: true`, in one of 20
namespaces, as the shape that flux-benchmark publishes. The API server and the Git host run in a process of their own,
so their CPU is told apart from the controller's.

Then: a commit to one of the paths (how many are applied, how many only note the revision), hand edits until the
condition tells (p50, p95), and a quiet while (API requests per minute, watches open).
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import logging
import multiprocessing
import os
import resource
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from controllers.api.core import CONFIGMAPS, CRDS, NAMESPACES, ROLE_BINDINGS, ROLES, SECRETS
from controllers.api.crdgen import crds
from controllers.api.kustomize import KUSTOMIZATIONS
from controllers.api.resource import Key, Manifest, Resource
from controllers.api.source import GIT_REPOSITORIES
from controllers.kustomization import handlers
from controllers.runtime.conditions import find
from controllers.runtime.kube import KubeClient, KubeConfig
from controllers.runtime.manager import Manager
from controllers.runtime.settings import Settings

TENANTS = 20
EDITS = 40
QUIET_SECONDS = 20.0


def files(count: int, *, kustomize: bool, changed: int = -1) -> dict[str, str | bytes | None]:
    """A folder per Kustomization; `changed` has another value in it."""
    found: dict[str, str | bytes | None] = {}
    for number in range(count):
        value = "2" if number == changed else "1"
        found[f"apps/{number}/all.yaml"] = _objects(f"app-{number}", f"team-{number % TENANTS}", value)
        if kustomize:
            found[f"apps/{number}/kustomization.yaml"] = "resources: [all.yaml]\n"
    return found


def _objects(name: str, namespace: str, value: str) -> str:
    meta = f"{{name: {name}, namespace: {namespace}}}"
    return f"""apiVersion: v1
kind: ServiceAccount
metadata: {meta}
---
apiVersion: v1
kind: ConfigMap
metadata: {meta}
data: {{value: "{value}"}}
---
apiVersion: v1
kind: Service
metadata: {meta}
spec: {{selector: {{app: {name}}}, ports: [{{port: 80}}]}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {meta}
spec:
  replicas: 0
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec: {{containers: [{{name: app, image: "app:1"}}]}}
"""


def serve(pipe: Connection, directory: str, cluster: str) -> None:
    """The other process: an API server that runs Deployments, and a Git host. Answers commits until told to end, or
    until the benchmark is gone: the real API server's processes are its children and end with it.
    """
    from controllers.standin.apiserver import ApiServer
    from controllers.standin.apiserver.plugins import default_plugins
    from controllers.standin.cloud.git_server import GitServer, GitUser
    from tests.envtest import Envtest

    def answer() -> dict[str, str | bytes | None] | None:
        try:
            wanted: dict[str, str | bytes | None] | None = pipe.recv()
        except EOFError:
            return None
        return wanted

    async def run() -> None:
        place = Path(directory)
        (place / "api").mkdir()
        real = cluster == "envtest"
        server = Envtest(place / "api") if real else ApiServer(place / "api", plugins=default_plugins)
        git = GitServer(place / "git", users=(GitUser("reader", "r-pass", read=("*",)),))
        await asyncio.gather(server.start(), git.start())
        pipe.send((server.admin_kubeconfig(), git.https_url("fleet"), git.ca_pem))
        loop, made = asyncio.get_running_loop(), False
        while (wanted := await loop.run_in_executor(None, answer)) is not None:
            if made:
                pipe.send(await git.commit("fleet", wanted))
            else:
                await git.create_repo("fleet", wanted)
                made = True
                pipe.send(await git.head("fleet"))
        await asyncio.gather(server.stop(), git.stop())

    asyncio.run(run())


def cpu(pid: int) -> float:
    """Seconds of CPU of a process and of all below it, of children that ended too."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    mine = sum(int(each) for each in fields[11:15]) / os.sysconf("SC_CLK_TCK")
    below = (each for task in Path(f"/proc/{pid}/task").iterdir() for each in (task / "children").read_text().split())
    return mine + sum(cpu(int(each)) for each in below)


async def prepare(kube: KubeClient, url: str, authority: bytes, count: int) -> None:
    for definition in crds():
        await kube.apply(CRDS, definition, field_manager="benchmark")
    secret = {"username": "reader", "password": "r-pass", "ca.crt": authority.decode()}
    data = {name: base64.b64encode(value.encode()).decode() for name, value in secret.items()}
    await _create(kube, NAMESPACES, {"metadata": {"name": "flux-system"}})
    await _create(kube, SECRETS, {"metadata": {"name": "git", "namespace": "flux-system"}, "data": data})
    for number in range(TENANTS):
        await _tenant(kube, f"team-{number}")
    spec = {"url": url, "interval": "10m", "ref": {"branch": "main"}, "secretRef": {"name": "git"}}
    meta = {"name": "fleet", "namespace": "flux-system"}
    await _create(kube, GIT_REPOSITORIES, {"metadata": meta, "spec": spec})
    slots = asyncio.Semaphore(16)

    async def one(number: int) -> None:
        source = {"kind": "GitRepository", "name": "fleet", "namespace": "flux-system"}
        meta = {"name": f"app-{number}", "namespace": f"team-{number % TENANTS}"}
        if number < EDITS:
            meta = {**meta, "annotations": {"drift.inhaul.dev/mode": "Alert"}}  # type: ignore[dict-item]
        spec = {"sourceRef": source, "path": f"apps/{number}", "interval": "1h", "prune": True, "wait": True}
        async with slots:
            await _create(kube, KUSTOMIZATIONS, {"metadata": meta, "spec": spec})

    await asyncio.gather(*(one(number) for number in range(count)))


async def _create(kube: KubeClient, kind: Resource, body: Manifest) -> None:
    body = {"apiVersion": kind.api_version, "kind": kind.kind, **body}
    await kube.create(kind, body, body["metadata"].get("namespace") or "")


async def _tenant(kube: KubeClient, name: str) -> None:
    await _create(kube, NAMESPACES, {"metadata": {"name": name}})
    meta = {"name": "all", "namespace": name}
    await _create(kube, ROLES, {"metadata": meta, "rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]})
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "all"}
    subject = {"kind": "ServiceAccount", "name": "default", "namespace": name}
    await _create(kube, ROLE_BINDINGS, {"metadata": meta, "roleRef": reference, "subjects": [subject]})


class Bench:
    def __init__(self, manager: Manager, kube: KubeClient, count: int, child: int) -> None:
        self.manager, self.kube, self.count, self.child = manager, kube, count, child
        self.store = manager.store(KUSTOMIZATIONS)
        self.rows: list[tuple[str, str]] = []

    def ready(self, revision: str) -> int:
        return sum(
            str((each.get("status") or {}).get("lastAppliedRevision", "")).endswith(revision)
            and (find(each.get("status"), "Ready") or {}).get("status") == "True"
            for each in self.store.list()
        )

    async def all_ready(self, revision: str) -> None:
        began, mine, theirs = time.monotonic(), time.process_time(), cpu(self.child)
        await until(lambda: _true(self.ready(revision) >= self.count), 900)
        self.row("all Ready", f"{time.monotonic() - began:.1f} s")
        self.row("CPU of the controller", f"{time.process_time() - mine:.1f} s")
        self.row("CPU of API server and Git host", f"{cpu(self.child) - theirs:.1f} s")
        self.row("peak RSS of the controller", f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")

    def requests(self) -> Counter[tuple[str, str]]:
        found: Counter[tuple[str, str]] = Counter()
        for sample in next(iter(self.manager.metrics.requests.collect())).samples:
            if sample.name.endswith("_total"):
                found[sample.labels["method"], sample.labels["resource"]] += int(sample.value)
        return found

    async def commit(self, push: Callable[[], Awaitable[str]]) -> None:
        before, began = self.requests(), time.monotonic()
        revision = await push()
        stamp = {"metadata": {"annotations": {"reconcile.fluxcd.io/requestedAt": str(began)}}}
        await self.kube.patch(GIT_REPOSITORIES, "fleet", "flux-system", body=stamp)
        number = self.count - 1
        key = Key(f"team-{number % TENANTS}", f"app-{number}")

        async def applied() -> bool:
            status = (self.store.get(key) or {}).get("status") or {}
            return bool(str(status.get("lastAppliedRevision")).endswith(revision))

        await until(applied, 300)
        self.row("commit to one path: that one Ready", f"{time.monotonic() - began:.1f} s")
        self.row("… Kustomizations written until then", str((self.requests() - before)["PATCH", "kustomizations"]))
        await until(lambda: _true(self.ready(revision) >= self.count), 300)
        self.row("… and all others name the revision", f"{time.monotonic() - began:.1f} s")
        done = self.requests() - before
        kinds = ("serviceaccounts", "configmaps", "services", "deployments")
        self.row("… objects read or written for it", str(sum(n for (_, kind), n in done.items() if kind in kinds)))
        self.row("… status writes, paced", str(done["PATCH", "kustomizations"]))
        self.row("… all requests", str(sum(done.values())))

    async def edits(self) -> None:
        taken = []
        for number in range(min(EDITS, self.count)):
            key = Key(f"team-{number % TENANTS}", f"app-{number}")
            began = time.monotonic()
            await self.kube.patch(CONFIGMAPS, key.name, key.namespace, body={"data": {"value": "hand"}},
                                  field_manager="kubectl-edit")  # fmt: skip

            async def told(key: Key = key) -> bool:
                ready = find((self.store.get(key) or {}).get("status"), "Ready") or {}
                return ready.get("reason") == "DriftDetected"

            await until(told, 60)
            taken.append(time.monotonic() - began)
        taken.sort()
        at = taken[max(0, int(len(taken) * 0.95) - 1)]
        self.row("hand edit to condition", f"p50 {statistics.median(taken):.2f} s, p95 {at:.2f} s")

    async def idle(self) -> None:
        before = self.requests()
        await asyncio.sleep(QUIET_SECONDS)
        number = sum((self.requests() - before).values()) * 60 / QUIET_SECONDS
        self.row("API requests a minute when idle", f"{number:.0f}")
        watches = sum(task.get_name().startswith("watch ") for task in asyncio.all_tasks())
        self.row("watches open, beside those of our kinds", str(watches))

    def row(self, name: str, value: str) -> None:
        self.rows.append((name, value))
        print(f"{name:45} {value}", flush=True)


async def _true(value: bool) -> bool:
    return value


async def until(question: Callable[[], Awaitable[bool]], seconds: float) -> None:
    async with asyncio.timeout(seconds):
        while not await question():  # noqa: ASYNC110 - the store has no event for "all of them"
            await asyncio.sleep(0.1)


async def measure(pipe: Connection, child: int, directory: Path, given: argparse.Namespace) -> None:
    count, kustomize = given.count, given.kustomize
    loop = asyncio.get_running_loop()
    kubeconfig, url, authority = await loop.run_in_executor(None, pipe.recv)

    async def push(content: dict[str, Any]) -> str:
        pipe.send(content)
        answer: str = await loop.run_in_executor(None, pipe.recv)
        return answer

    (directory / "kubeconfig").write_text(kubeconfig)
    config = KubeConfig.from_file(str(directory / "kubeconfig"))
    async with KubeClient(config) as kube:
        head = await push(files(count, kustomize=kustomize))
        await prepare(kube, url, authority, count)
        flags = ("--web-port=0", "--web-host=127.0.0.1", "--lease-enabled=false", "--egress-allow-loopback=true",
                 "--namespace=inhaul-system")  # fmt: skip
        environ = {"INHAUL_KUSTOMIZATION_MIRRORS": str(directory / "mirrors")}
        manager = Manager(Settings.from_args(flags, environ=environ), config=config)
        handlers.register(manager)
        bench = Bench(manager, kube, count, child)
        path = "kustomize" if kustomize else "plain"
        print(f"{count} Kustomizations x 4 objects, {path} path, API server: {given.cluster}")
        task = asyncio.create_task(manager.run())
        try:
            await bench.all_ready(head)
            changed: Manifest = {f"apps/{count - 1}/all.yaml": files(count, kustomize=False, changed=count - 1)[
                f"apps/{count - 1}/all.yaml"]}  # fmt: skip
            await bench.commit(lambda: push(changed))
            await bench.edits()
            await bench.idle()
        finally:
            manager.stop()
            await asyncio.wait_for(task, 30)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--kustomize", action="store_true", help="build by kustomize instead of in process")
    real = "envtest: a real kube-apiserver, etcd and kube-controller-manager (.ci/apiserver/build)"
    parser.add_argument("--cluster", choices=("standin", "envtest"), default="standin", help=real)
    given = parser.parse_args()
    logging.basicConfig(level=logging.ERROR)
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    with tempfile.TemporaryDirectory(prefix="inhaul-bench-") as name:
        child = context.Process(target=serve, args=(theirs, name, given.cluster))
        child.start()
        theirs.close()  # so that a child that dies ends the wait for its answer
        try:
            asyncio.run(measure(ours, child.pid or 0, Path(name), given))
        finally:
            with contextlib.suppress(OSError):
                ours.send(None)
            child.join(30)
            child.kill()


if __name__ == "__main__":
    main()
