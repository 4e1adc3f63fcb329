"""What a refresh reads beside its own object: asked for once, and a change of it heard at once."""

from __future__ import annotations

import base64
from typing import Any

from controllers.api.core import CONFIGMAPS, SECRETS, SERVICE_ACCOUNTS
from controllers.api.resource import Resource
from controllers.runtime.manager import Manager
from tests.cluster import until

from .conftest import NAMESPACE, Bench, entry
from .test_identity import irsa


def reads(manager: Manager, resource: Resource) -> float:
    """GETs of a kind so far."""
    return sum(
        sample.value
        for metric in manager.metrics.requests.collect()
        for sample in metric.samples
        if sample.name.endswith("_total")
        and (sample.labels["method"], sample.labels["resource"]) == ("GET", resource.plural)
    )


async def put(bench: Bench, resource: Resource, name: str, **data: str) -> None:
    if resource is SECRETS:
        data = {key: base64.b64encode(text.encode()).decode() for key, text in data.items()}
    await bench.cluster.apply(
        {
            "apiVersion": "v1",
            "kind": resource.kind,
            "metadata": {"name": name, "namespace": NAMESPACE},
            "data": data,
        }
    )


async def test_a_changed_template_source_is_rendered_at_once_and_after_a_restart(bench: Bench) -> None:
    bench.create("db", "one")
    await bench.store()
    await put(bench, CONFIGMAPS, "shape", a="cm {{ .v }}")
    refs = [{name: {"name": "shape", "items": [{"key": key}]}} for name, key in (("configMap", "a"), ("secret", "b"))]
    await bench.secret("made", data=[entry("v", "db")], target={"template": {"templateFrom": refs}})
    async with bench.run():
        await bench.until_ready("made", "False", "Secret shape does not exist")
        await put(bench, SECRETS, "shape", b="secret {{ .v }}")
        await bench.until_data("made", a=b"cm one", b=b"secret one")
        await put(bench, CONFIGMAPS, "shape", a="other {{ .v }}")
        await bench.until_data("made", a=b"other one", b=b"secret one")
        await bench.cluster.admin.delete(SECRETS, "made", NAMESPACE)
        await bench.until_data("made", a=b"other one", b=b"secret one")
    await put(bench, SECRETS, "shape", b="changed {{ .v }}")
    async with bench.run():
        await bench.until_data("made", a=b"other one", b=b"changed one")


async def test_many_refreshes_of_one_store_read_its_account_and_keys_once_until_they_change(bench: Bench) -> None:
    for name in ("a", "b"):
        bench.create(name, name)
    await irsa(bench, "eso", [("secretsmanager:*", "*")])
    await bench.store("irsa", auth={"jwt": {"serviceAccountRef": {"name": "eso"}}})
    refs = {
        "accessKeyIDSecretRef": {"name": "keys", "key": "id"},
        "secretAccessKeySecretRef": {"name": "keys", "key": "key"},
    }
    await bench.store("static", auth={"secretRef": refs})
    for number in range(20):
        for ref in ("irsa", "static"):
            await bench.secret(f"{ref}{number}", secretStoreRef={"name": ref}, data=[entry("v", "a")])
    env: Any = bench.aws.standin.env()
    async with bench.run() as manager:
        await bench.until_ready("static0", "False", "Secret payments/keys does not exist")
        await put(bench, SECRETS, "keys", id=env["AWS_ACCESS_KEY_ID"], key=env["AWS_SECRET_ACCESS_KEY"])
        for number in range(20):
            await bench.until_ready(f"irsa{number}")
            await bench.until_ready(f"static{number}")
        assert reads(manager, SERVICE_ACCOUNTS) <= 8, "one LIST, one read, and some more where the watch is slow"
        assert reads(manager, SECRETS) <= 40 + 16, "one look for each target, and few for the keys"
        other = await irsa(bench, "other", [])
        body = {"metadata": {"annotations": {"eks.amazonaws.com/role-arn": other}}}
        await bench.cluster.admin.patch(SERVICE_ACCOUNTS, "eso", NAMESPACE, body=body)
        await bench.secret("late", secretStoreRef={"name": "irsa"}, data=[entry("v", "b")])

        async def refused() -> bool:
            return "AccessDenied" in (await bench.ready("late"))[2]

        await until(refused, what="the changed role to be used")
