"""A random value goes through everything that External Secrets does and gets wrong, with logs at DEBUG; then it is
looked for: it may stand in the data of target Secrets and nowhere else.

The values are what leaks best: text that is no JSON, no base64, no label, no date, so that each error has a reason to
quote it.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest
import pytest_asyncio

from controllers.api.core import CONFIGMAPS, CRDS, EVENTS, NAMESPACES, SECRETS
from controllers.api.crdgen import crds
from controllers.api.external_secrets import EXTERNAL_SECRETS, SECRET_STORES
from controllers.api.resource import Manifest
from controllers.runtime.kube import Invalid, KubeClient, KubeConfig, NotFound
from controllers.standin.apiserver import ApiServer
from controllers.standin.apiserver.plugins import default_plugins
from controllers.standin.cloud.aws import AwsStandin
from controllers.standin.demo import tools
from tests.cluster import condition, until
from tests.e2e.conftest import cluster

pytestmark = pytest.mark.asyncio(loop_scope="module")
NAMESPACE, PREFIX = "canary", "team/"


class World:
    """A cluster, an AWS, and the external-secrets controller in a process with a home and a temporary folder."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.api = cluster(directory) or ApiServer(directory / "apiserver", plugins=default_plugins)
        self.aws = AwsStandin()
        self.port = tools.free_port()
        self.canary = f"canary {secrets.token_hex(16)}: {{[(!"
        self.process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        await self.api.start()
        await self.aws.start()
        kubeconfig = self.directory / "kubeconfig"
        tools.write_private(kubeconfig, self.api.admin_kubeconfig())
        self.admin = KubeClient(KubeConfig.from_file(str(kubeconfig)))
        for crd in crds():
            await self.admin.apply(CRDS, crd, field_manager="test")
        for name in (NAMESPACE, "inhaul-system"):
            body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
            await self.admin.apply(NAMESPACES, body, field_manager="test")
        sqs = self.client("sqs")
        self.queue = sqs.create_queue(QueueName="canary")["QueueUrl"]

    def client(self, service: str) -> Any:
        return boto3.client(service, **self.aws.client_arguments())  # type: ignore[call-overload]

    def spawn(self) -> None:
        for folder in ("home", "tmp"):
            (self.directory / folder).mkdir(exist_ok=True)
        env = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(self.directory / "home"),
            "TMPDIR": str(self.directory / "tmp"),
            "KUBECONFIG": str(self.directory / "kubeconfig"),
            **self.aws.env(),
            "INHAUL_LOG_LEVEL": "debug",
            "INHAUL_WEB_HOST": "127.0.0.1",
            "INHAUL_WEB_PORT": str(self.port),
            "INHAUL_EGRESS_ALLOW_LOOPBACK": "true",
            "INHAUL_EXTERNAL_SECRETS_QUEUE_URL": self.queue,
            "INHAUL_EXTERNAL_SECRETS_QUEUE_REGION": self.aws.region,
            "INHAUL_EXTERNAL_SECRETS_QUEUE_WAIT": "1",
            "INHAUL_EXTERNAL_SECRETS_SWEEP_FLOOR": "1",
        }
        argv = [sys.executable, "-m", "controllers.cli", "run", "--controllers=external-secrets"]
        with (self.directory / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [*argv, "--namespace=inhaul-system"], env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def stop_controllers(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(30)
            self.process = None

    async def close(self) -> None:
        self.stop_controllers()
        if hasattr(self, "admin"):
            await self.admin.close()
        for part in (self.aws, self.api):
            with contextlib.suppress(Exception):
                await part.stop()

    @property
    def log(self) -> str:
        return (self.directory / "log").read_text(errors="replace")

    async def metrics(self) -> str:
        async with httpx.AsyncClient() as http:
            return (await http.get(f"http://127.0.0.1:{self.port}/metrics")).text

    async def apply(self, manifest: Manifest) -> None:
        resource = await self.admin.resource_for(manifest["apiVersion"], manifest["kind"])
        await self.admin.apply(resource, manifest, field_manager="test")

    async def until_ready(self, name: str, status: str) -> str:
        seen = ("", "", "")

        async def reached() -> bool:
            nonlocal seen
            seen = condition(await self.admin.get(EXTERNAL_SECRETS, name, NAMESPACE))
            return seen[0] == status

        try:
            await until(reached, patience=60)
        except AssertionError:
            raise AssertionError(f"{name} is {seen}, wanted {status}\n{self.log[-3000:]}") from None
        return seen[2]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    found = World(tmp_path_factory.mktemp("canary"))
    try:
        await found.start()
        yield found
    finally:
        await found.close()


def entry(key: str, **remote: Any) -> dict[str, Any]:
    return {"data": [{"secretKey": "v", "remoteRef": {"key": PREFIX + key, **remote}}]}


def templated(text: str, **template: Any) -> dict[str, Any]:
    return {**entry("text"), "target": {"template": {"data": {"made": text}, **template}}}


def literal(text: str, target: str = "Data") -> dict[str, Any]:
    template = {"templateFrom": [{"literal": text, "target": target}]}
    return {**entry("text"), "target": {"template": template}}


def find(*rewrite: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"dataFrom": [{"find": {"path": PREFIX, "name": {"regexp": "."}, **more}, "rewrite": list(rewrite)}]}


def extract(key: str, *rewrite: dict[str, Any], **more: Any) -> dict[str, Any]:
    body = {"extract": {"key": PREFIX + key, **more}}
    return {"dataFrom": [{**body, "rewrite": list(rewrite)} if rewrite else body]}


GOOD: dict[str, dict[str, Any]] = {
    "plain": entry("text"),
    "property": entry("json", property="v"),
    "members": extract("json"),
    "template": templated("{{ .v | quote }} {{ .v | b64enc }} {{ .v | b64dec }}"),
    "parameter": {**entry("parameter"), "secretStoreRef": {"name": "ssm"}},
    "found": find(),
    "drifting": entry("text"),
}
BAD: dict[str, dict[str, Any]] = {
    "no-property": entry("json", property="absent"),
    "no-json": entry("text", property="absent"),
    "no-base64": entry("text", decodingStrategy="Base64"),
    "no-base64url": entry("text", decodingStrategy="Base64URL"),
    "no-object": extract("text"),
    "null-byte": entry("null", nullBytePolicy="Fail"),
    "merge": extract("json", {"merge": {"strategy": "Extract"}}),
    "transform": extract("json", {"transform": {"template": "{{ .value | fail }}"}}),
    "missing-in-template": templated("{{ .absent }}"),
    "fail": templated("{{ fail .v }}"),
    "json": templated("{{ mustFromJson .v }}"),
    "date": templated("{{ mustToDate `2006` .v }}"),
    "regex": templated("{{ mustRegexMatch .v `x` }}"),
    "index": templated("{{ index (list 1) .v }}"),
    "pem": templated('{{ filterPEM "CERTIFICATE" .v }}{{ certSANs .v }}'),
    "pkcs12": templated("{{ pkcs12key .v }}"),
    "field": templated("{{ .v.field }}"),
    "no-map": literal("{{ .v }}"),
    "no-yaml": literal("{{ .v }}\n{{ .v }}: ]"),
    "no-text": literal('"{{ .v }}": [1]'),
    "bad-key": literal('"{{ .v }}": "x"'),
    "label": templated("x", metadata={"labels": {"bad": "{{ .v }}"}}),
    "label-name": literal('"{{ .v }}": "x"', "Labels"),
    "annotation-name": literal('"{{ .v }}": "x"', "Annotations"),
    "docker": templated("{{ .v }}", type="kubernetes.io/dockerconfigjson"),
    "foreign": {**entry("text"), "target": {"name": "foreign"}},
}
"""Each of them must fail; what is left unrefused by the one or the other API server stands in `EITHER`."""
EITHER = ("json", "regex", "docker", "pem")


@pytest.mark.timeout(300)
async def test_a_value_is_nowhere_but_in_the_data_of_target_secrets(world: World) -> None:
    await _prepare(world)
    world.spawn()
    for name in GOOD:
        await world.until_ready(name, "True")
    for name in BAD:
        if name not in EITHER:
            await world.until_ready(name, "False")
    await _disturb(world)
    world.stop_controllers()
    leaks = [found async for found in _leaks(world)]
    assert not leaks, "\n".join(leaks)
    kept = await world.admin.get(SECRETS, "plain", NAMESPACE)
    assert base64.b64decode(kept["data"]["v"]).decode().startswith(world.canary)


async def _prepare(world: World) -> None:
    manager, ssm = world.client("secretsmanager"), world.client("ssm")
    canary = world.canary
    manager.create_secret(Name=f"{PREFIX}text", SecretString=canary)
    nested = {"v": canary, "other": {"deep": canary}, "list": [canary]}
    manager.create_secret(Name=f"{PREFIX}json", SecretString=json.dumps(nested))
    manager.create_secret(Name=f"{PREFIX}null", SecretBinary=canary.encode() + b"\0")
    ssm.put_parameter(Name=f"/{PREFIX}parameter", Value=canary, Type="SecureString")
    for name, service in (("aws", "SecretsManager"), ("ssm", "ParameterStore")):
        aws = {"service": service, "region": world.aws.region, **({"prefix": "/"} if name == "ssm" else {})}
        body = {"apiVersion": SECRET_STORES.api_version, "kind": "SecretStore", "spec": {"provider": {"aws": aws}}}
        marks = {"secrets.inhaul.dev/sweep": "2s"}
        await world.apply({**body, "metadata": {"name": name, "namespace": NAMESPACE, "annotations": marks}})
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "owner", "namespace": NAMESPACE}}
    created = await world.admin.create(CONFIGMAPS, owner, NAMESPACE)
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": created["metadata"]["uid"]}
    foreign = {"name": "foreign", "namespace": NAMESPACE, "ownerReferences": [{**reference, "controller": True}]}
    await world.apply({"apiVersion": "v1", "kind": "Secret", "metadata": foreign})
    for name, spec in {**GOOD, **BAD}.items():
        body = {"secretStoreRef": {"name": "aws"}, "refreshInterval": "1h", **spec}
        meta = {"name": name, "namespace": NAMESPACE}
        try:
            await world.apply(
                {"apiVersion": EXTERNAL_SECRETS.api_version, "kind": "ExternalSecret", "metadata": meta, "spec": body}
            )
        except Invalid as error:
            raise AssertionError(f"{name}: {error.message}") from None


async def _disturb(world: World) -> None:
    """Rotations by event and by sweep, drift, conflicting writers, throttling, an AWS that fails."""
    await world.aws.throttle("secretsmanager:*", rate=3)
    await world.aws.fail("secretsmanager:BatchGetSecretValue", code="AccessDeniedException", status=400, count=2)
    rotated = f"{world.canary} rotated"
    world.client("secretsmanager").put_secret_value(SecretId=f"{PREFIX}text", SecretString=rotated)
    world.client("sqs").send_message(QueueUrl=world.queue, MessageBody=f"no event, with {world.canary} in it")
    for number in range(10):
        body = {"data": {"v": base64.b64encode(f"by hand {number}".encode()).decode()}}
        with contextlib.suppress(NotFound):
            await world.admin.patch(SECRETS, "drifting", NAMESPACE, body=body, field_manager="somebody")

    async def settled() -> bool:
        for name in ("plain", "drifting"):
            found = await world.admin.get(SECRETS, name, NAMESPACE)
            if base64.b64decode(found["data"]["v"]).decode() != rotated:
                return False
        return "expected a JSON object" in world.log

    await until(settled, patience=90, what="the rotation, the drift's repair and the poison's warning")
    await world.aws.throttle("secretsmanager:*", rate=0)
    text = await world.metrics()
    assert "inhaul_external_secret_sweeps_total" in text
    (world.directory / "metrics").write_text(text)


def _forms(canary: str) -> Iterator[bytes]:
    """As it is, as base64 at each of the three offsets, as JSON and Go write it; and its random part alone."""
    raw = canary.encode()
    yield canary.split()[1].rstrip(":").encode()
    for pad in range(3):
        coded = base64.b64encode(b"\0" * pad + raw)
        yield coded[4 if pad else 0 : -8]
    yield b" ".join(b"%d" % byte for byte in raw[:20])
    yield raw.hex().encode()


async def _leaks(world: World) -> AsyncIterator[str]:
    forms = list(_forms(world.canary))

    def holds(data: bytes) -> bool:
        return any(form in data for form in forms)

    for name in ("log", "metrics"):
        for line in (world.directory / name).read_bytes().splitlines():
            if holds(line):
                yield f"{name}: {line.decode(errors='replace')[:600]}"
    for folder in ("home", "tmp"):
        for path in (world.directory / folder).rglob("*"):
            if path.is_file() and holds(path.read_bytes()):
                yield f"file {path.relative_to(world.directory)}"
    for resource in (EXTERNAL_SECRETS, SECRET_STORES, EVENTS, CONFIGMAPS, SECRETS, NAMESPACES):
        for item in (await world.admin.list(resource)).items:
            seen = {key: value for key, value in item.items() if resource is not SECRETS or key not in ("data",)}
            if holds(json.dumps(seen, ensure_ascii=False).encode()) or holds(json.dumps(seen).encode()):
                yield f"{resource.kind} {item['metadata']['name']}: {json.dumps(seen)[:1500]}"
