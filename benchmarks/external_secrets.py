"""External Secrets' figures: `python -m benchmarks.external_secrets [--only NAME …] [--quick]`, one JSON object.

1,000 ExternalSecrets × 3 keys of one store behind an AWS with 20 ms latency and AWS's own quotas (`_fake_aws`). The API
server is the stand-in in this process, AWS and the controllers have a process each; all share the machine, whose load
is printed beside the figures.

- `sync_sm`, `sync_ssm`: process start → all Secrets right; then AWS calls per 1,000 refreshes by the timer, STS calls.
- `new`: a new ExternalSecret while 10,000 are due, in the worst case: Parameter Store, at 40 calls a second.
- `events`: message visible in SQS → Secret written, rotations at a steady pace; and all of them at once.
- `sweep`: calls of a version sweep per 1,000 secrets, and how long a change whose event was lost takes.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import json
import logging
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx

from controllers.api.core import CRDS, NAMESPACES, SECRETS
from controllers.api.crdgen import crds
from controllers.api.external_secrets import EXTERNAL_SECRETS, SECRET_STORES
from controllers.api.resource import Manifest
from controllers.external_secrets.target.hashing import synced_resource_version
from controllers.runtime.kube import KubeClient, KubeConfig
from controllers.standin.apiserver import ApiServer
from controllers.standin.demo.tools import free_port, write_private

NAMESPACE, KEYS, REGION = "bench", 3, "eu-west-1"
PREFIX = "/bench/"
PATIENCE = 180.0


def external_secret(number: int, *, interval: str = "1h", keys: int = KEYS, **target: str) -> Manifest:
    data = [{"secretKey": f"k{at}", "remoteRef": {"key": f"{PREFIX}{number * keys + at:05}"}} for at in range(keys)]
    spec = {"refreshInterval": interval, "secretStoreRef": {"name": "aws"}, "data": data, "target": target}
    return {
        "apiVersion": EXTERNAL_SECRETS.api_version,
        "kind": EXTERNAL_SECRETS.kind,
        "metadata": {"name": f"es-{number:05}", "namespace": NAMESPACE},
        "spec": {key: value for key, value in spec.items() if value},
    }


class Bench:
    """One cluster, one AWS, one process of the controllers."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.server = ApiServer(directory / "api")
        self.port = free_port()
        self.aws: subprocess.Popen[bytes] | None = None
        self.controllers: subprocess.Popen[bytes] | None = None
        self.http = httpx.AsyncClient(timeout=60)
        self.written: dict[str, tuple[float, dict[str, str]]] = {}  # Secret → when it came, its data
        self.watching: asyncio.Task[None] | None = None

    async def start(self, service: str, secrets: int, **annotations: str) -> None:
        await self.server.start()
        command = [sys.executable, "-m", "benchmarks._fake_aws"]
        self.aws = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # noqa: ASYNC220
        assert self.aws.stdout is not None
        self.url = f"http://127.0.0.1:{int(self.aws.stdout.readline())}"
        kubeconfig = self.directory / "kubeconfig"
        write_private(kubeconfig, self.server.admin_kubeconfig())
        self.admin = KubeClient(KubeConfig.from_file(str(kubeconfig)))
        for crd in crds():
            await self.admin.apply(CRDS, crd, field_manager="bench")
        for name in (NAMESPACE, "inhaul-system"):
            body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
            await self.admin.apply(NAMESPACES, body, field_manager="bench")
        await self.http.post(f"{self.url}/_bench/secrets", json={"prefix": PREFIX, "count": secrets})
        role = "arn:aws:iam::123456789012:role/bench"
        store = {
            "apiVersion": SECRET_STORES.api_version,
            "kind": SECRET_STORES.kind,
            "metadata": {"name": "aws", "namespace": NAMESPACE, "annotations": annotations},
            "spec": {"provider": {"aws": {"service": service, "region": REGION, "role": role}}},
        }
        await self.admin.create(SECRET_STORES, store, NAMESPACE)
        self.service = service
        self.watching = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        version = (await self.admin.list(SECRETS, NAMESPACE)).resource_version
        while True:
            async for event in self.admin.watch(SECRETS, NAMESPACE, resource_version=version):
                meta = event.object["metadata"]
                version = meta["resourceVersion"]
                if event.type in ("ADDED", "MODIFIED"):
                    self.written[meta["name"]] = (time.time(), event.object.get("data") or {})

    def spawn(self, **settings: str) -> None:
        env = {
            **{name: os.environ[name] for name in ("PATH", "HOME", "PYTHONPATH") if name in os.environ},
            "AWS_ENDPOINT_URL": self.url,
            "AWS_REGION": REGION,
            "AWS_ACCESS_KEY_ID": "AKIABENCH",
            "AWS_SECRET_ACCESS_KEY": "s",
            "AWS_EC2_METADATA_DISABLED": "true",
            "KUBECONFIG": str(self.directory / "kubeconfig"),
            "INHAUL_WEB_HOST": "127.0.0.1",
            "INHAUL_WEB_PORT": str(self.port),
            "INHAUL_EGRESS_ALLOW_LOOPBACK": "true",
            **{f"INHAUL_{name.upper()}": value for name, value in settings.items()},
        }
        argv = [sys.executable, "-m", "controllers.cli", "run", "--controllers=external-secrets"]
        if profile := os.environ.get("BENCH_PROFILE"):
            argv[1:1] = ["-m", "cProfile", "-o", profile]
        with (self.directory / "log").open("ab") as log:
            self.controllers = subprocess.Popen(
                [*argv, "--namespace=inhaul-system"], env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    async def create(self, count: int, **options: Any) -> None:
        gate = asyncio.Semaphore(16)

        async def one(number: int) -> None:
            async with gate:
                await self.admin.create(EXTERNAL_SECRETS, external_secret(number, **options), NAMESPACE)

        await asyncio.gather(*(one(number) for number in range(count)))

    async def calls(self, *, reset: bool = False) -> tuple[dict[str, int], dict[str, int]]:
        """(calls, of them throttled) since the last reset."""
        found = (await self.http.request("DELETE" if reset else "GET", f"{self.url}/_bench/calls")).json()
        return found["calls"], found["throttled"]

    async def metric(self, name: str) -> float:
        text = (await self.http.get(f"http://127.0.0.1:{self.port}/metrics")).text
        return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if re.match(rf"{name}[ {{]", line))

    async def until(
        self, look: Callable[[], Awaitable[bool]], patience: float = PATIENCE, pause: float = 0.05
    ) -> float:
        began = time.monotonic()
        while not await look():
            if time.monotonic() > began + patience:
                print((self.directory / "log").read_text()[-4000:], file=sys.stderr)
                raise TimeoutError(f"nothing came of it in {patience:g} s")
            await asyncio.sleep(pause)
        return time.monotonic() - began

    async def until_synced(self, count: int) -> float:
        """Seconds until so many Secrets exist."""

        async def reached() -> bool:
            return len(self.written) >= count

        return await self.until(reached)

    def rss(self) -> float:
        """MiB of the controllers' process."""
        assert self.controllers is not None
        status = Path(f"/proc/{self.controllers.pid}/status").read_text()
        return round(int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024)  # type: ignore[index]

    def cpu(self) -> dict[str, float]:
        """Seconds of CPU so far: of this process (the API server and the watch that measures), of the controllers."""
        assert self.controllers is not None
        fields = Path(f"/proc/{self.controllers.pid}/stat").read_text().rpartition(")")[2].split()
        ticks = int(fields[11]) + int(fields[12])
        return {"api_server": sum(os.times()[:2]), "controllers": ticks / os.sysconf("SC_CLK_TCK")}

    async def rotate(self, numbers: range | list[int], *, lost: bool = False) -> dict[str, float]:
        """Key name → when its message became visible."""
        names = [f"{PREFIX}{number:05}" for number in numbers]
        body = {"names": names, "service": self.service, "lost": lost}
        return dict((await self.http.post(f"{self.url}/_bench/rotate", json=body)).json())

    async def close(self) -> None:
        if self.watching is not None:
            self.watching.cancel()
        if self.controllers is not None:
            self.controllers.send_signal(signal.SIGTERM)
            await asyncio.to_thread(self.controllers.wait, 30)
        if hasattr(self, "admin"):
            await self.admin.close()
        await self.http.aclose()
        if self.aws is not None:
            self.aws.kill()
            self.aws.wait()
        await self.server.stop()


@contextlib.asynccontextmanager
async def bench(service: str, secrets: int, **annotations: str) -> AsyncIterator[Bench]:
    with tempfile.TemporaryDirectory() as name:
        found = Bench(Path(name))
        try:
            await found.start(service, secrets, **annotations)
            yield found
        finally:
            await found.close()


async def sync(service: str, count: int, interval: int) -> dict[str, Any]:
    """First sync, then whole intervals by the timer."""
    async with bench(service, count * KEYS) as here:
        await here.create(count, interval=f"{interval}s")
        began = time.monotonic()
        here.spawn()
        await here.until_synced(count)
        first = time.monotonic() - began
        await asyncio.sleep(2)  # the last status, the last call
        first_calls, first_throttled = await here.calls(reset=True)
        before = await here.metric("inhaul_external_secret_syncs_total")
        idle = 0.8 * interval - (time.monotonic() - began)
        await asyncio.sleep(max(0.0, idle))
        early, _ = await here.calls()

        async def once() -> bool:
            return await here.metric("inhaul_external_secret_syncs_total") - before >= count

        await here.until(once, patience=3.0 * interval, pause=0.2)
        refreshes = await here.metric("inhaul_external_secret_syncs_total") - before
        calls, throttled = await here.calls()
        return {
            "first_sync_s": round(first, 1),
            "first_sync_calls": first_calls,
            "first_sync_throttled": first_throttled,
            "calls_before_any_was_due": early,
            "refreshes": refreshes,
            "refresh_calls": calls,
            "refresh_throttled": throttled,
            "refresh_calls_per_1000": round(sum(v for k, v in calls.items() if "Assume" not in k) * 1000 / refreshes),
            "sts_calls": sum(number for name, number in calls.items() if "Assume" in name),
            "rss_mib": here.rss(),
        }


async def new(due: int) -> dict[str, Any]:
    """One new ExternalSecret while all others are due by the timer, right after a start."""
    async with bench("ParameterStore", due * KEYS + 10) as here:
        synced = {"refreshTime": "2020-01-01T00:00:00Z", "syncedResourceVersion": synced_resource_version(1, {}, {})}
        synced["conditions"] = [  # type: ignore[assignment]
            {"type": "Ready", "status": "True", "reason": "SecretSynced", "message": "secret synced",
             "lastTransitionTime": "2020-01-01T00:00:00Z"}
        ]  # fmt: skip
        gate = asyncio.Semaphore(16)

        async def one(number: int) -> None:
            async with gate:
                body = external_secret(number, creationPolicy="Orphan")
                await admin.create(EXTERNAL_SECRETS, body, NAMESPACE)
                name = body["metadata"]["name"]
                await admin.patch(EXTERNAL_SECRETS, name, NAMESPACE, body={"status": synced}, subresource="status")

        admin = here.admin
        await asyncio.gather(*(one(number) for number in range(due)))
        valid = {"type": "Ready", "status": "True", "reason": "Valid", "message": "store validated"}
        body = {"status": {"conditions": [{**valid, "lastTransitionTime": "2020-01-01T00:00:00Z"}]}}
        await here.admin.patch(SECRET_STORES, "aws", NAMESPACE, body=body, subresource="status")
        here.spawn()
        await here.until_synced(min(100, due // 10))  # the mass is under way
        times = []
        for number in range(5):
            fresh = external_secret(due + number, keys=1)
            fresh["spec"]["data"][0]["remoteRef"]["key"] = f"{PREFIX}{due * KEYS + number:05}"
            began = time.time()
            await here.admin.create(EXTERNAL_SECRETS, fresh, NAMESPACE)
            name = str(fresh["metadata"]["name"])

            async def there(name: str = name) -> bool:
                return name in here.written

            await here.until(there, pause=0.01)
            times.append(here.written[name][0] - began)
            await asyncio.sleep(1)
        return {
            "due": due,
            "still_due": due - len(here.written) + len(times),
            "new_s": [round(each, 2) for each in times],
            "rss_mib": here.rss(),
        }


async def events(count: int, rotations: int, pace: float) -> dict[str, Any]:
    """Visible → written, `pace` rotations a second; then all at once."""
    async with bench("SecretsManager", count * KEYS) as here:
        await here.create(count)
        here.spawn(external_secrets_queue_url=f"{here.url}/queue", external_secrets_queue_region=REGION)
        await here.until_synced(count)
        await asyncio.sleep(3)
        found: dict[str, Any] = {"rotations": rotations, "pace_per_s": pace}
        numbers = [number * KEYS * (count // rotations) for number in range(rotations)]
        visible: dict[str, float] = {}
        for number in numbers:
            visible |= await here.rotate([number])
            await asyncio.sleep(1 / pace)
        found["paced"] = await _latencies(here, visible, 2)
        await asyncio.sleep(2)
        before = here.cpu()
        found["at_once"] = await _latencies(here, await here.rotate(numbers), 3)
        used = {name: round(after - before[name], 2) for name, after in here.cpu().items()}
        return {**found, "at_once_cpu_s": used, "rss_mib": here.rss()}


async def _latencies(here: Bench, visible: dict[str, float], version: int) -> dict[str, float]:
    """Seconds until each Secret has this version of its first key."""

    def arrived(name: str) -> bool:
        secret = f"es-{int(name.removeprefix(PREFIX)) // KEYS:05}"
        return base64.b64decode(here.written[secret][1]["k0"]).decode() == f"{name}#{version}"

    async def all_there() -> bool:
        return all(arrived(name) for name in visible)

    await here.until(all_there, patience=60)
    took = sorted(
        here.written[f"es-{int(name.removeprefix(PREFIX)) // KEYS:05}"][0] - moment for name, moment in visible.items()
    )
    at = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
    return {name: round(took[min(len(took) - 1, int(len(took) * share))], 3) for name, share in at.items()}


async def sweep(service: str, count: int) -> dict[str, Any]:
    """One sweep over all keys; then changes of which no event tells."""
    async with bench(service, count * KEYS, **{"secrets.inhaul.dev/sweep": "10s"}) as here:
        await here.create(count)
        here.spawn(external_secrets_sweep_floor="1")
        await here.until_synced(count)
        await asyncio.sleep(3)
        call = "ListSecrets" if service == "SecretsManager" else "DescribeParameters"
        name = "inhaul_external_secret_sweeps_total"
        for _ in range(2):  # the second is measured whole
            await here.calls(reset=True)
            swept = await here.metric(name)

            async def done(swept: float = swept) -> bool:
                return await here.metric(name) > swept

            await here.until(done, patience=60, pause=0.1)
        calls, _ = await here.calls()
        moment = time.time()
        changed = [number * KEYS for number in range(20)]
        await here.rotate(changed, lost=True)
        visible = {f"{PREFIX}{number:05}": moment for number in changed}
        latencies = await _latencies(here, visible, 2)
        later, _ = await here.calls()
        return {
            "every_s": 10,
            "calls_per_1000_secrets": round(calls.get(call, 0) / (count * KEYS) * 1000, 1),
            "other_calls": {name: number for name, number in calls.items() if name != call},
            "lost_event_found_s": latencies,
            "calls_for_20_changes": {name: later[name] - calls.get(name, 0) for name in later if name != call},
        }


async def measure(only: list[str], quick: bool) -> dict[str, Any]:
    count, due, rotations = (200, 1000, 50) if quick else (1000, 10_000, 200)
    runs: dict[str, Callable[[], Awaitable[dict[str, Any]]]] = {
        "sync_sm": lambda: sync("SecretsManager", count, 100),
        "sync_ssm": lambda: sync("ParameterStore", count, 100),
        "new": lambda: new(due),
        "events": lambda: events(count, rotations, 20),
        "sweep_sm": lambda: sweep("SecretsManager", count),
        "sweep_ssm": lambda: sweep("ParameterStore", count),
    }
    found: dict[str, Any] = {}
    for name in only or list(runs):
        load = os.getloadavg()[0]
        began = time.monotonic()
        figures = await runs[name]()
        found[name] = {**figures, "load_before": round(load, 1), "load_after": round(os.getloadavg()[0], 1)}
        found[name]["run_s"] = round(time.monotonic() - began)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.external_secrets")
    parser.add_argument("--only", nargs="*", default=[], help="sync_sm, sync_ssm, new, events, sweep_sm, sweep_ssm")
    parser.add_argument("--quick", action="store_true", help="200 ExternalSecrets, 1,000 due, 50 rotations")
    given = parser.parse_args()
    logging.disable(logging.WARNING)
    print(json.dumps(asyncio.run(measure(given.only, given.quick)), indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
