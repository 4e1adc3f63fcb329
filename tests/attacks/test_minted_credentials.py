"""A Secret of a type for which Kubernetes would add a credential to it is refused, with a policy and without any."""

from __future__ import annotations

import pytest

from controllers.api.tenancy import Decision, Request, allowed, policy_of
from controllers.kustomization.apply.preflight import check_objects
from controllers.runtime.result import NotReady
from tests.attacks import attack


class Policies:
    """Policies as manifests, asked as the controller asks them."""

    def __init__(self, *specs: dict[str, object]) -> None:
        self._policies = [
            policy_of({"metadata": {"name": f"p{number}"}, "spec": {"namespaceSelector": {}, **spec}})
            for number, spec in enumerate(specs)
        ]

    def allowed(self, namespace: str, request: Request) -> Decision:
        return allowed(self._policies, namespace=namespace, namespace_labels={}, request=request)


def secret(type_: str) -> dict[str, object]:
    meta = {"name": "token", "namespace": "payments", "annotations": {"kubernetes.io/service-account.name": "admin"}}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "type": type_}


TYPES = ["kubernetes.io/service-account-token", "bootstrap.kubernetes.io/token"]
MINTING = [
    pytest.param(type_, marks=attack("tenancy", f"Secret of type {type_}, into which Kubernetes writes a credential",
                                     guard="apply/preflight.py", without="a TenantPolicy that names the type"))
    for type_ in TYPES
]  # fmt: skip


@pytest.mark.parametrize("type_", MINTING)
@pytest.mark.parametrize("policies", [Policies(), Policies({})], ids=["no policy", "a policy that grants none"])
def test_a_kustomization_may_not_have_a_credential_made(type_: str, policies: Policies) -> None:
    with pytest.raises(NotReady) as refused:
        check_objects([secret(type_)], "payments", policies)
    assert refused.value.reason == "AccessDenied"
    assert type_ in refused.value.message and "token" in refused.value.message


@pytest.mark.parametrize("type_", TYPES)
def test_a_policy_that_names_the_type_lets_it_through(type_: str) -> None:
    check_objects([secret(type_)], "payments", Policies({"secretTypes": [type_]}))


def test_harmless_and_custom_types_are_left_to_rbac() -> None:
    check_objects([secret("Opaque"), secret("example.com/own")], "payments", Policies())
