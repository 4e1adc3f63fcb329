"""Tokens, impersonation, escalation and admission policies, over HTTP as a client meets them."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from controllers.api.core import NAMESPACES
from controllers.runtime.kube import ApiError, Forbidden, KubeClient
from controllers.standin.apiserver import ApiServer

ADMISSION = Path(__file__).parents[3] / "kustomize" / "base" / "admission.yaml"
RBAC = "/apis/rbac.authorization.k8s.io/v1"
ACCOUNTS = "/api/v1/namespaces/default/serviceaccounts"


def body(kind: str, name: str, api_version: str = "v1", **fields: Any) -> dict[str, Any]:
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name}, **fields}


async def grant(admin: KubeClient, user: str, *rules: dict[str, Any]) -> None:
    where = f"{RBAC}/namespaces/default"
    version = "rbac.authorization.k8s.io/v1"
    await admin.request("POST", f"{where}/roles", body=body("Role", user, version, rules=list(rules)))
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": user}
    subjects = [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}]
    binding = body("RoleBinding", user, version, roleRef=reference, subjects=subjects)
    await admin.request("POST", f"{where}/rolebindings", body=binding)


def unb64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


async def test_a_token_verifies_against_the_published_keys(server: ApiServer, admin: KubeClient) -> None:
    await admin.request("POST", ACCOUNTS, body=body("ServiceAccount", "robot"))
    token = await admin.token_request("default", "robot", audiences=["sts.amazonaws.com"], expiration=900)
    head, claims, signature = token.token.reveal().decode().split(".")
    async with aiohttp.ClientSession() as session, session.get(f"{server.url}/openid/v1/jwks", ssl=False) as answer:
        keys = (await answer.json(content_type=None))["keys"]
    key = next(key for key in keys if key["kid"] == json.loads(unb64(head))["kid"])
    numbers = (int.from_bytes(unb64(key[part])) for part in ("e", "n"))
    rsa.RSAPublicNumbers(*numbers).public_key().verify(
        unb64(signature), f"{head}.{claims}".encode(), padding.PKCS1v15(), hashes.SHA256()
    )
    said = json.loads(unb64(claims))
    assert said["aud"] == ["sts.amazonaws.com"]
    assert said["sub"] == "system:serviceaccount:default:robot"
    assert said["exp"] - said["iat"] == 900
    assert said["iss"] == server.url


async def test_a_token_ends_with_its_account_and_holds_for_its_audience(server: ApiServer, admin: KubeClient) -> None:
    await admin.request("POST", ACCOUNTS, body=body("ServiceAccount", "robot"))
    own = await admin.token_request("default", "robot", audiences=[])
    foreign = await admin.token_request("default", "robot", audiences=["elsewhere"])

    async def code(token: str) -> int:
        headers = {"Authorization": f"Bearer {token}"}
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{server.url}{ACCOUNTS}", headers=headers, ssl=False) as answer,
        ):
            return answer.status

    assert await code(own.token.reveal().decode()) == 403
    assert await code(foreign.token.reveal().decode()) == 401
    assert await code(own.token.reveal().decode()[:-4] + "AAAA") == 401
    await admin.request("DELETE", f"{ACCOUNTS}/robot")
    assert await code(own.token.reveal().decode()) == 401


async def test_nobody_grants_what_they_do_not_hold(admin: KubeClient) -> None:
    maker = {"verbs": ["create"], "apiGroups": ["rbac.authorization.k8s.io"], "resources": ["roles"]}
    await grant(admin, "jane", maker, {"verbs": ["get"], "apiGroups": [""], "resources": ["configmaps"]})
    jane = admin.impersonate("jane")
    version = "rbac.authorization.k8s.io/v1"
    rules = [{"verbs": ["get", "delete"], "apiGroups": [""], "resources": ["configmaps"]}]
    with pytest.raises(Forbidden, match=r'not currently held:\n\{APIGroups:\[""\], .* Verbs:\["delete"\]\}'):
        await jane.request("POST", f"{RBAC}/namespaces/default/roles", body=body("Role", "more", version, rules=rules))
    rules[0]["verbs"] = ["get"]
    await jane.request("POST", f"{RBAC}/namespaces/default/roles", body=body("Role", "same", version, rules=rules))


async def test_impersonation_is_a_right_of_its_own(admin: KubeClient) -> None:
    rule = {"verbs": ["impersonate"], "apiGroups": [""], "resources": ["serviceaccounts"], "resourceNames": ["robot"]}
    await grant(admin, "system:serviceaccount:default:actor", rule)
    await admin.request("POST", ACCOUNTS, body=body("ServiceAccount", "actor"))
    for name, allowed in (("robot", True), ("other", False)):
        assert allowed is await admin.can(
            verb="impersonate", resource=admin_accounts(), namespace="default", name=name,
            user="system:serviceaccount:default:actor",
        )  # fmt: skip


def admin_accounts() -> Any:
    from controllers.api.core import SERVICE_ACCOUNTS

    return SERVICE_ACCOUNTS


async def test_our_admission_policies_narrow_what_the_controllers_may(admin: KubeClient) -> None:
    for document in yaml.safe_load_all(ADMISSION.read_text()):
        resource = await admin.resource_for(document["apiVersion"], document["kind"])
        await admin.apply(resource, document, field_manager="test")
    await admin.apply(NAMESPACES, body("Namespace", "inhaul-system"), field_manager="test")
    await admin.request("POST", ACCOUNTS, body=body("ServiceAccount", "app"))
    user = "system:serviceaccount:inhaul-system:external-secrets"
    ours = admin.impersonate(user, ("system:masters",))
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest"}
    with pytest.raises(Forbidden, match="AWS STS only"):
        await ours.request("POST", f"{ACCOUNTS}/app/token", body={**request, "spec": {}})
    with pytest.raises(Forbidden, match="one hour at most"):
        spec = {"audiences": ["sts.amazonaws.com"], "expirationSeconds": 7200}
        await ours.request("POST", f"{ACCOUNTS}/app/token", body={**request, "spec": spec})
    good = {"audiences": ["sts.amazonaws.com"], "expirationSeconds": 900}
    await ours.request("POST", f"{ACCOUNTS}/app/token", body={**request, "spec": good})
    await admin.request("POST", f"{ACCOUNTS}/app/token", body={**request, "spec": {}})
    minting = body("Secret", "mint", type="bootstrap.kubernetes.io/token")
    with pytest.raises(Forbidden, match="mints credentials"):
        await ours.request("POST", "/api/v1/namespaces/default/secrets", body=minting)
    await ours.request("POST", "/api/v1/namespaces/default/secrets", body=body("Secret", "plain"))


async def test_a_policy_that_does_not_compile_is_refused(admin: KubeClient) -> None:
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["secrets"]}
    spec = {"matchConstraints": {"resourceRules": [rule]}, "validations": [{"expression": "object."}]}
    version = "admissionregistration.k8s.io/v1"
    with pytest.raises(ApiError, match="compilation failed") as refused:
        path = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies"
        await admin.request("POST", path, body=body("ValidatingAdmissionPolicy", "bad", version, spec=spec))
    assert refused.value.status == 422
