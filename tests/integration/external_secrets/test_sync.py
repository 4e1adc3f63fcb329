"""An ExternalSecret becomes a Secret, and stays right."""

from __future__ import annotations

import base64
import json

from controllers.api.core import SECRETS
from controllers.api.external_secrets import EXTERNAL_SECRETS
from controllers.api.resource import Manifest

from .conftest import NAMESPACE, Bench, entry, external_secret, store


async def test_values_of_both_services_become_one_secret_with_provenance(bench: Bench) -> None:
    bench.create("db", json.dumps({"user": "app", "password": "p4ss"}))
    bench.aws.client("ssm").put_parameter(Name="/host", Value="db.local", Type="SecureString")
    await bench.store()
    await bench.store("ssm", "ParameterStore")
    host = {**entry("host", "/host"), "sourceRef": {"storeRef": {"name": "ssm"}}}
    await bench.secret("db", data=[entry("user", "db", property="user"), host])
    async with bench.run():
        await bench.until_data("db", user=b"app", host=b"db.local")
        await bench.until_ready("db", holds="secret synced")
        secret = await bench.found("db")
        assert secret is not None
        meta = secret["metadata"]
        assert meta["ownerReferences"][0]["kind"] == "ExternalSecret"
        assert meta["labels"]["reconcile.external-secrets.io/managed"] == "true"
        assert meta["managedFields"][0]["manager"] == "externalsecrets.external-secrets.io/db"
        source = json.loads(meta["annotations"]["secrets.inhaul.dev/provenance"])
        assert source["user"]["arn"].startswith("arn:aws:secretsmanager:")
        assert source["user"]["stage"] == "AWSCURRENT"
        assert source["host"]["version"] == "1"


async def test_a_template_extract_and_find_make_the_secret(bench: Bench) -> None:
    bench.create("team/a", json.dumps({"user": "app", "n": 12345678901234567890}))
    bench.create("team/b", "bee")
    await bench.store()
    await bench.secret(
        "made",
        dataFrom=[
            {"extract": {"key": "team/a"}},
            {"find": {"name": {"regexp": "^team/b$"}}, "rewrite": [{"regexp": {"source": "team/", "target": ""}}]},
        ],
        target={"template": {"data": {"dsn": "{{ .user }}:{{ .n }}@{{ .b | upper }}"}}},
    )
    async with bench.run():
        await bench.until_data("made", dsn=b"app:12345678901234567890@BEE")


async def test_drift_of_data_labels_and_deletion_is_repaired_without_asking_aws(bench: Bench) -> None:
    bench.create("db", "one")
    await bench.store()
    await bench.cluster.apply(
        {**external_secret("db", data=[entry("v", "db")]), "metadata": {
            "name": "db", "namespace": NAMESPACE, "labels": {"team": "payments"}}}
    )  # fmt: skip
    async with bench.run():
        await bench.until_data("db", v=b"one")
        await bench.until_ready("db")
        await bench.aws.standin.calls(reset=True)
        wrong = base64.b64encode(b"by hand").decode()
        await bench.cluster.admin.patch(SECRETS, "db", NAMESPACE, body={"data": {"v": wrong, "extra": wrong}})
        await bench.until_data("db", v=b"one")
        await bench.cluster.admin.patch(SECRETS, "db", NAMESPACE, body={"metadata": {"labels": {"team": "other"}}})

        async def label() -> bool:
            return bool(((await bench.found("db")) or {})["metadata"]["labels"]["team"] == "payments")

        from tests.cluster import until

        await until(label, what="the label to be repaired")
        await bench.cluster.admin.delete(SECRETS, "db", NAMESPACE)
        await bench.until_data("db", v=b"one")
        assert not [call for call in await bench.aws.standin.calls() if call[0].startswith("secretsmanager:")]


async def test_a_restart_finds_right_secrets_right_without_writing_or_asking(bench: Bench) -> None:
    bench.create("db", "one")
    await bench.store()
    for number in range(5):
        await bench.secret(f"db{number}", data=[entry("v", "db")])
    async with bench.run():
        for number in range(5):
            await bench.until_ready(f"db{number}")
    await bench.aws.standin.calls(reset=True)
    before = {s["metadata"]["name"]: s["metadata"]["resourceVersion"] for s in await _all(bench)}
    async with bench.run() as manager:
        from tests.cluster import until

        async def seen() -> bool:
            return bool(manager.metrics.reconciles.labels("externalsecrets", "success")._value.get() >= 5)

        await until(seen, what="five reconciles")
        writes = [
            sample
            for metric in manager.metrics.requests.collect()
            for sample in metric.samples
            if sample.labels.get("resource") in ("externalsecrets", "secrets")
            and sample.labels.get("method") in ("PATCH", "PUT", "POST", "GET")
            and sample.value and sample.name.endswith("_total")
        ]  # fmt: skip
        reads = {(s.labels["method"], s.labels["resource"]): s.value for s in writes}
        assert not {key for key in reads if key[0] != "GET"}
        assert reads.get(("GET", "secrets"), 0) <= 1  # the one LIST
    assert {s["metadata"]["name"]: s["metadata"]["resourceVersion"] for s in await _all(bench)} == before
    assert not [call for call in await bench.aws.standin.calls() if call[0].startswith("secretsmanager:")]


async def _all(bench: Bench) -> list[Manifest]:
    items = []
    for resource in (EXTERNAL_SECRETS, SECRETS):
        items += (await bench.cluster.admin.list(resource, NAMESPACE)).items
    return items


async def test_each_failure_has_its_own_clear_condition_while_others_go_on(bench: Bench) -> None:
    bench.create("db", json.dumps({"user": "app"}))
    await bench.store()
    await bench.cluster.apply(store("vault", {"vault": {"server": "https://vault"}}))
    await bench.store("noir", role="arn:aws:iam::123456789012:role/absent")
    await bench.secret("good", data=[entry("v", "db")])
    await bench.secret("nostore", secretStoreRef={"name": "none"}, data=[entry("v", "db")])
    await bench.secret("vaulted", secretStoreRef={"name": "vault"}, data=[entry("v", "db")])
    await bench.secret("refused", secretStoreRef={"name": "noir"}, data=[entry("v", "db")])
    await bench.secret("missing", data=[entry("v", "nothere"), entry("w", "nor/this")])
    await bench.secret("property", data=[entry("v", "db", property="pass")])
    await bench.secret("template", data=[entry("v", "db")], target={"template": {"data": {"x": "{{ .nokey }}"}}})
    async with bench.run():
        await bench.until_data("good", v=b'{"user": "app"}')
        await bench.until_ready("nostore", "False", "SecretStore none does not exist")
        await bench.until_ready("vaulted", "False", "provider vault is not served")
        await bench.until_ready("refused", "False", "noir")
        await bench.until_ready("missing", "False", "(and 1 more)")
        assert "v: NotFound: key nothere" in (await bench.ready("missing"))[2]
        await bench.until_ready("property", "False", "v: PropertyMissing: key pass does not exist in secret db")
        await bench.until_ready("template", "False", 'map has no entry for key "nokey"')
        bench.create("nothere", "1")
        bench.create("nor/this", "2")
        await bench.until_data("missing", v=b"1", w=b"2")
        await bench.store("none")
        await bench.until_data("nostore", v=b'{"user": "app"}')
