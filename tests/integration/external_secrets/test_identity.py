"""Who reads as whom: IRSA per store, the batch that IAM refuses, tenants' bounds."""

from __future__ import annotations

from typing import Any

import pytest

from controllers.api.core import SERVICE_ACCOUNTS

from .conftest import NAMESPACE, Bench, entry


async def irsa(bench: Bench, account: str, allow: list[tuple[Any, Any]]) -> str:
    """A role for a ServiceAccount of the namespace, and the account annotated with it."""
    server = bench.cluster.config.server
    await bench.aws.standin.trust_issuer(server, jwks_url=f"{server}/openid/v1/jwks", ca_pem=bench.cluster.config.ca)
    provider = server.removeprefix("https://")
    trust = {
        "Effect": "Allow",
        "Principal": {"Federated": f"arn:aws:iam::123456789012:oidc-provider/{provider}"},
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Condition": {"StringEquals": {f"{provider}:sub": f"system:serviceaccount:{NAMESPACE}:{account}"}},
    }
    role = bench.aws.role(account, trust=trust, allow=allow)
    meta = {"name": account, "namespace": NAMESPACE, "annotations": {"eks.amazonaws.com/role-arn": role}}
    body = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta}
    await bench.cluster.admin.create(SERVICE_ACCOUNTS, body, NAMESPACE)
    return role


async def test_a_store_reads_as_its_service_account_and_a_denied_key_harms_no_other(bench: Bench) -> None:
    bench.create("payments/a", "1")
    bench.create("payments/b", "2")
    bench.create("billing/c", "3")
    read = ["secretsmanager:GetSecretValue"]
    await irsa(bench, "eso", [(read, "arn:*:secret:payments/*"), ("secretsmanager:BatchGetSecretValue", "*")])
    await bench.store("irsa", auth={"jwt": {"serviceAccountRef": {"name": "eso"}}})
    ref = {"name": "irsa"}
    await bench.secret("good", secretStoreRef=ref, data=[entry("a", "payments/a"), entry("b", "payments/b")])
    await bench.secret("bad", secretStoreRef=ref, data=[entry("c", "billing/c"), entry("a", "payments/a")])
    async with bench.run():
        await bench.until_data("good", a=b"1", b=b"2")
        await bench.until_ready("bad", "False", "c: AccessDenied: key billing/c")
        assert await bench.data("bad") is None


async def test_where_iam_lacks_the_batch_call_keys_are_read_one_by_one(bench: Bench) -> None:
    for name in ("payments/a", "payments/b"):
        bench.create(name, name)
    await irsa(bench, "single", [("secretsmanager:GetSecretValue", "*")])
    await bench.store("irsa", auth={"jwt": {"serviceAccountRef": {"name": "single"}}})
    data = [entry("a", "payments/a"), entry("b", "payments/b")]
    await bench.secret("es", secretStoreRef={"name": "irsa"}, data=data)
    async with bench.run():
        await bench.until_data("es", a=b"payments/a", b=b"payments/b")


@pytest.mark.parametrize(
    ("store", "key", "says"),
    [
        ({}, "billing/c", "does not grant key billing/c"),
        ({"role": "arn:aws:iam::123456789012:role/billing"}, "payments/a", "does not grant role"),
    ],
    ids=["a key outside the globs", "a role of another team"],
)
async def test_what_no_tenant_policy_grants_is_refused_without_a_call(
    bench: Bench, store: dict[str, str], key: str, says: str
) -> None:
    bench.create("payments/a", "1")
    bench.create("billing/c", "3")
    policy = {
        "apiVersion": "inhaul.dev/v1alpha1",
        "kind": "TenantPolicy",
        "metadata": {"name": "payments"},
        "spec": {
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": NAMESPACE}},
            "secretKeys": ["payments/**"],
        },
    }
    await bench.cluster.apply(policy)
    await bench.store("aws")
    await bench.store("other", **store)
    await bench.secret("good", data=[entry("v", "payments/a")])
    await bench.secret("bad", secretStoreRef={"name": "other"}, data=[entry("v", key)])
    async with bench.run():
        await bench.until_data("good", v=b"1")
        await bench.until_ready("bad", "False", says)
        calls = await bench.aws.standin.calls()
        assert sum(count for (call, _), count in calls.items() if call == "secretsmanager:GetSecretValue") == 1
        assert not [call for call, _ in calls if call.startswith("sts:")]
