"""The book of TenantPolicies fails closed, but for a cluster that has no such kind."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import yaml

from controllers.api.core import CRDS, NAMESPACES
from controllers.api.inhaul import TENANT_POLICIES
from controllers.api.tenancy import UseRole
from controllers.runtime.policies import PolicyBook

from .conftest import Cluster

ROLE = UseRole("arn:aws:iam::123456789012:role/payments")


async def test_it_answers_by_the_clusters_policies_from_the_moment_they_are_known(cluster: Cluster) -> None:
    book = PolicyBook(cluster.kube)
    assert not book.allowed("payments", ROLE)  # nothing has been read yet
    tasks = [asyncio.create_task(watch.run()) for watch in book.watches]
    try:
        await cluster.until(lambda: _settled(book))
        assert book.allowed("payments", ROLE)  # the kind does not exist: as upstream

        for crd in _crds():
            await cluster.kube.create(CRDS, crd)
        await cluster.until(lambda: cluster.kube.served(TENANT_POLICIES))
        namespace = {"metadata": {"name": "payments", "labels": {"team": "payments"}}}
        await cluster.kube.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", **namespace})
        spec = {"namespaceSelector": {"matchLabels": {"team": "payments"}}, "roleARNs": [ROLE.arn]}
        body = {
            "apiVersion": TENANT_POLICIES.api_version,
            "kind": "TenantPolicy",
            "metadata": {"name": "p"},
            "spec": spec,
        }
        await cluster.kube.create(TENANT_POLICIES, body)

        await cluster.until(lambda: _denied(book, "default"))
        assert book.allowed("payments", ROLE)
        assert not book.allowed("payments", UseRole("arn:aws:iam::123456789012:role/other"))

        await cluster.kube.delete(TENANT_POLICIES, "p")
        await cluster.until(lambda: _settled_and_open(book))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _crds() -> list[dict]:  # type: ignore[type-arg]
    root = Path(__file__).parents[3] / "crds"
    documents = [item for file in sorted(root.glob("*.yaml")) for item in yaml.safe_load_all(file.read_text())]
    return [json.loads(json.dumps(item)) for item in documents if item["spec"]["names"]["kind"] == "TenantPolicy"]


async def _settled(book: PolicyBook) -> bool:
    return book.settled()


async def _denied(book: PolicyBook, namespace: str) -> bool:
    return not book.allowed(namespace, ROLE)


async def _settled_and_open(book: PolicyBook) -> bool:
    return bool(book.allowed("default", ROLE))
