"""Generated values: ECR tokens and passwords become Secrets, and stand until their own time is over."""

from __future__ import annotations

import json
from typing import Any

from controllers.api.core import SECRETS, SERVICE_ACCOUNTS
from controllers.api.external_secrets import EXTERNAL_SECRETS
from controllers.api.resource import Manifest
from tests.cluster import until

from .conftest import NAMESPACE, Bench, entry
from .test_identity import irsa


def generator(kind: str, name: str, /, **spec: Any) -> Manifest:
    meta = {"name": name} if kind == "ClusterGenerator" else {"name": name, "namespace": NAMESPACE}
    return {"apiVersion": "generators.external-secrets.io/v1alpha1", "kind": kind, "metadata": meta, "spec": spec}


def source(kind: str, name: str, *rewrite: dict[str, Any]) -> dict[str, Any]:
    ref = {"apiVersion": "generators.external-secrets.io/v1alpha1", "kind": kind, "name": name}
    return {"sourceRef": {"generatorRef": ref}, **({"rewrite": list(rewrite)} if rewrite else {})}


async def annotate(bench: Bench, name: str, **annotations: str) -> None:
    given = {key.replace("_", "-"): text for key, text in annotations.items()}
    await bench.cluster.admin.patch(EXTERNAL_SECRETS, name, NAMESPACE, body={"metadata": {"annotations": given}})


async def test_a_password_outlives_restarts_events_and_drift_and_ends_with_its_recipe(bench: Bench) -> None:
    bench.create("db", "one")
    await bench.store()
    await bench.cluster.apply(generator("Password", "pw", length=40, allowRepeat=True))
    short = {"passwordSpec": {"length": 8, "symbols": 0, "secretKeys": ["pin"]}}
    await bench.cluster.apply(generator("ClusterGenerator", "all", kind="Password", generator=short))
    rename = {"regexp": {"source": "^password$", "target": "pass"}}
    await bench.secret("mixed", data=[entry("db", "db")], dataFrom=[source("Password", "pw", rename)])
    await bench.secret("alone", secretStoreRef=None, dataFrom=[source("ClusterGenerator", "all")])
    template = {"data": {"dsn": "postgres://{{ .password | urlquery }}@db"}}
    await bench.secret("told", dataFrom=[source("Password", "pw")], target={"template": template})
    async with bench.run():
        for name in ("mixed", "alone", "told"):
            await bench.until_ready(name)
        first = await bench.data("mixed") or {}
        assert (len(first["pass"]), first["db"]) == (40, b"one")
        assert len((await bench.data("alone") or {})["pin"]) == 8
        told = (await bench.data("told") or {})["dsn"]
        assert told.startswith(b"postgres://") and first["pass"] not in told
        meta = (await bench.found("mixed") or {})["metadata"]["annotations"]
        assert json.loads(meta["secrets.inhaul.dev/provenance"])["pass"] == {"generator": "Password pw"}
        assert first["pass"].decode() not in json.dumps(meta)
    bench.put("db", "two")
    await annotate(bench, "mixed", force_sync="2026-06-01T12:00:00Z event=1")
    async with bench.run():
        await bench.until_data("mixed", db=b"two", **{"pass": first["pass"]})
        await bench.cluster.admin.delete(SECRETS, "mixed", NAMESPACE)
        await bench.until_data("mixed", db=b"two", **{"pass": first["pass"]})

        async def another(name: str, key: str, than: bytes) -> bytes:
            async def look() -> bytes:
                found = (await bench.data(name) or {}).get(key, than)
                return b"" if found == than else found

            return bytes(await until(look, what=f"another {key} of {name}"))

        await annotate(bench, "mixed", force_sync="I want a new one")
        second = await another("mixed", "pass", first["pass"])
        await bench.cluster.apply(generator("Password", "pw", length=50, allowRepeat=True))
        assert len(await another("mixed", "pass", second)) == 50
        await another("told", "dsn", told)


async def test_an_ecr_token_is_asked_for_as_whom_the_generator_names(bench: Bench) -> None:
    region = bench.aws.standin.region
    allow = [("ecr:GetAuthorizationToken", "*"), ("ecr-public:GetAuthorizationToken", "*")]
    await irsa(bench, "puller", [*allow, ("sts:GetServiceBearerToken", "*")])
    await irsa(bench, "nobody", [])
    for name, account in (("good", "puller"), ("bad", "nobody"), ("none", "absent")):
        auth = {"jwt": {"serviceAccountRef": {"name": account, "namespace": "elsewhere"}}}
        await bench.cluster.apply(generator("ECRAuthorizationToken", name, region=region, auth=auth))
    auth = {"jwt": {"serviceAccountRef": {"name": "puller"}}}
    await bench.cluster.apply(generator("ECRAuthorizationToken", "open", region=region, scope="public", auth=auth))
    other = {"stsSessionTokenSpec": {"region": region}}
    await bench.cluster.apply(generator("ClusterGenerator", "sts", kind="STSSessionToken", generator=other))
    text = '{"auths":{"{{ .proxy_endpoint }}":{"username":"{{ .username }}","password":"{{ .password }}"}}}'
    template = {"type": "kubernetes.io/dockerconfigjson", "data": {".dockerconfigjson": text}}
    token = "ECRAuthorizationToken"
    plain: dict[str, Any] = {"secretStoreRef": None, "refreshInterval": "720h"}
    await bench.secret("pull", **plain, dataFrom=[source(token, "good")], target={"template": template})
    await bench.secret("public", **plain, dataFrom=[source(token, "open")])
    for name in ("bad", "none", "absent"):
        await bench.secret(name, **plain, dataFrom=[source(token, name)])
    await bench.secret("sts", **plain, dataFrom=[source("ClusterGenerator", "sts")])
    await bench.secret("vault", **plain, dataFrom=[source("VaultDynamicSecret", "x")])
    async with bench.run():
        await bench.until_ready("pull")
        ((host, login),) = json.loads((await bench.data("pull") or {})[".dockerconfigjson"])["auths"].items()
        assert login["username"] == "AWS" and bench.aws.standin.ecr_login(login["password"]) and host
        await bench.until_ready("public")
        assert (await bench.data("public") or {}).keys() == {"username", "password", "expires_at"}
        await bench.until_ready("bad", "False", "spec.dataFrom[0]: AccessDenied: ECRAuthorizationToken bad")
        await bench.until_ready("none", "False", f"ServiceAccount {NAMESPACE}/absent does not exist")
        await bench.until_ready("absent", "False", "ECRAuthorizationToken absent does not exist in namespace")
        await bench.until_ready(
            "sts", "False", "UnsupportedField: ClusterGenerator sts: kind STSSessionToken is not served"
        )
        await bench.until_ready(
            "vault", "False", "UnsupportedField: generators of kind VaultDynamicSecret are not served"
        )
        state = json.loads((await bench.found("pull") or {})["metadata"]["annotations"]["secrets.inhaul.dev/generated"])
        assert state["spec.dataFrom[0]"]["expires"] > state["spec.dataFrom[0]"]["at"]
        assert login["password"] not in json.dumps(state)
        await bench.cluster.apply(generator(token, "absent", region=region, auth=auth))
        await bench.until_ready("absent")
    assert await bench.cluster.find(SERVICE_ACCOUNTS, "absent", NAMESPACE) is None
