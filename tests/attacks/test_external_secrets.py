"""A tenant who may write SecretStores, ExternalSecrets and generators in his namespace, after other tenants' values.

The confused deputy: the controller may read everything, so what a tenant gets through it is decided by its own checks.
Each attempt is refused with a condition that says why, and works where its one guard is gone: granted by a policy,
written by the cluster's admin, or the check taken out.
"""

from __future__ import annotations

import base64
from typing import Any
from urllib.parse import urlsplit

import botocore.session
import pytest

from controllers.api.core import SECRETS, SERVICE_ACCOUNTS
from controllers.api.external_secrets import Template as TargetTemplate
from controllers.api.resource import Manifest
from controllers.api.secret_stores import AWSProvider
from controllers.external_secrets.providers.aws import store as stores
from controllers.external_secrets.providers.aws.store import session_tags
from controllers.external_secrets.providers.provider import StoreError
from controllers.external_secrets.providers.registry import store_provider, store_view
from controllers.external_secrets.target import template as templates
from controllers.external_secrets.target.template import Engine, Rendered, TemplateSource, render
from controllers.external_secrets.values.entries import StoreRef
from controllers.external_secrets.values.errors import TargetTemplateError
from controllers.templating import EXTERNAL_SECRETS, StringMap, Template, TemplateError
from controllers.templating.evaluator import Budget
from controllers.templating.registry import functions
from tests.attacks import attack
from tests.cluster import until
from tests.integration.conftest import Aws, aws, aws_environment, aws_process, token_mint
from tests.integration.external_secrets.conftest import NAMESPACE, Bench, bench, entry, external_secret, store
from tests.integration.external_secrets.test_generators import generator, source

__all__ = ["Aws", "aws", "aws_environment", "aws_process", "bench", "token_mint"]
AREA, VICTIM = "external secrets", "billing"
GRANTED = "a TenantPolicy that grants it"
BY_POLICY = {
    "role": "A store that names another team's role",
    "key": "A key of another team, by name",
    "arn": "A key of another team, by its ARN",
    "prefix": "A key of another team, put together by a store's prefix",
    "find": "A find over another team's names",
    "ecr": "A registry token as the controller itself, by a generator without credentials",
}
BY_ADMIN = {
    "account": "A store that names another namespace's service account",
    "keys": "A store that names another namespace's credentials",
    "cluster": "A cluster store that does not admit the namespace",
}


def policy(namespace: str, **grants: Any) -> Manifest:
    selector = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
    meta, spec = {"name": namespace}, {"namespaceSelector": selector, "secretTypes": ["Opaque"], **grants}
    return {"apiVersion": "inhaul.dev/v1alpha1", "kind": "TenantPolicy", "metadata": meta, "spec": spec}


def cluster_store(name: str, provider: dict[str, Any], *namespaces: str) -> Manifest:
    made = store(name, {"aws": provider})
    conditions = [{"namespaces": list(namespaces)}] if namespaces else []
    meta = {"name": name}
    return {**made, "kind": "ClusterSecretStore", "metadata": meta, "spec": {**made["spec"], "conditions": conditions}}


async def prepare(bench: Bench) -> dict[str, Any]:
    """The victim's values, role, service account, credentials and templates; the providers of the attacks."""
    await bench.cluster.namespace(VICTIM)
    server, aws = bench.cluster.config.server, bench.aws
    await aws.standin.trust_issuer(server, jwks_url=f"{server}/openid/v1/jwks", ca_pem=bench.cluster.config.ca)
    issuer = server.removeprefix("https://")
    trust = {
        "Effect": "Allow",
        "Principal": {"Federated": f"arn:aws:iam::123456789012:oidc-provider/{issuer}", "AWS": "*"},
        "Action": ["sts:AssumeRoleWithWebIdentity", "sts:AssumeRole"],
    }
    role = aws.role("billing", trust=trust, allow=[("secretsmanager:*", "*")])
    annotations = {"eks.amazonaws.com/role-arn": role}
    account = {"metadata": {"name": "eso", "namespace": VICTIM, "annotations": annotations}}
    await bench.cluster.admin.create(SERVICE_ACCOUNTS, account, VICTIM)
    env = aws.standin.env()
    keys = {"id": env["AWS_ACCESS_KEY_ID"], "key": env["AWS_SECRET_ACCESS_KEY"], "shape": "{{ .v }}"}
    data = {name: base64.b64encode(text.encode()).decode() for name, text in keys.items()}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "own", "namespace": VICTIM}, "data": data}
    await bench.cluster.apply(secret)
    here = {"service": "SecretsManager", "region": aws.standin.region}
    ref = {"name": "own", "namespace": VICTIM}
    return {
        "plain": here,
        "role": {**here, "role": role},
        "prefix": {**here, "prefix": "billing/"},
        "account": {**here, "auth": {"jwt": {"serviceAccountRef": {"name": "eso", "namespace": VICTIM}}}},
        "keys": {**here, "auth": {"secretRef": {"accessKeyIDSecretRef": {**ref, "key": "id"},
                                                "secretAccessKeySecretRef": {**ref, "key": "key"}}}},
    }  # fmt: skip


def listed(test: Any) -> Any:
    """Puts the attacks on the test that runs them all."""
    own = "stores.py: a store's own namespace, a cluster store's conditions"
    for title in BY_POLICY.values():
        test = attack(AREA, title, guard="stores.py, generators.py: TenantPolicy before any call", without=GRANTED)(
            test
        )
    for title in BY_ADMIN.values():
        test = attack(AREA, title, guard=own, without="a cluster store of the admin's that admits it")(test)
    guard, without = "refresh.py: the ExternalSecret's namespace, always", "the same ExternalSecret in that namespace"
    return attack(AREA, "Templates from another namespace's Secret", guard=guard, without=without)(test)


async def without_the_guard(
    bench: Bench,
    provider: dict[str, dict[str, Any]],
    tries: dict[str, dict[str, Any]],
    shaped: dict[str, Any],
    at_once: dict[str, str],
) -> None:
    """The same tries succeed where the tenant may have everything: it was the guard that refused them."""
    theirs = [entry("v", "billing/db")]
    everything = {"secretKeys": ["**"], "roleARNs": ["arn:aws:iam::*:role/*"], "registries": ["**"]}
    await bench.cluster.apply(policy(NAMESPACE, **everything))
    await bench.cluster.apply(cluster_store("cluster", provider["plain"]))
    for name in ("account", "keys"):
        await bench.cluster.apply(cluster_store(name, provider[name]))
        spec = {"secretStoreRef": {"kind": "ClusterSecretStore", "name": name}, "data": theirs}
        await bench.secret(name, **spec)
    await bench.secret("role", secretStoreRef={"name": "role"}, data=theirs)
    for name in ("key", "arn", "prefix", "cluster", "ecr"):
        await bench.secret(name, **{**tries[name], **at_once})
    for name in ("role", "key", "arn", "prefix", "account", "keys"):
        await bench.until_ready(name)
        await bench.until_data(name, v=b"hidden-value")
    await bench.until_data("cluster", v=b"own")
    await bench.until_data("find", payments_db=b"own", billing_db=b"hidden-value")
    await bench.until_ready("ecr")
    there = [{**store("plain", {"aws": provider["plain"]}), "metadata": {"name": "plain", "namespace": VICTIM}}]
    there += [{**external_secret("shape", **shaped), "metadata": {"name": "shape", "namespace": VICTIM}}]
    await bench.cluster.apply(*there)

    async def made() -> bool:
        return await bench.cluster.find(SECRETS, "shape", VICTIM) is not None

    await until(made, patience=30, what="the same ExternalSecret to work at home")


@listed
async def test_a_tenant_gets_nothing_of_another_and_would_without_the_guard(bench: Bench) -> None:
    arn = bench.create("billing/db", "hidden-value")
    bench.create("payments/db", "own")
    provider = await prepare(bench)
    await bench.cluster.apply(policy(NAMESPACE, secretKeys=["payments/**"]), policy(VICTIM, secretKeys=["**"]))
    for name, each in provider.items():
        await bench.cluster.apply(store(name, {"aws": each}))
    await bench.cluster.apply(cluster_store("cluster", provider["plain"], VICTIM))
    await bench.cluster.apply(generator("ECRAuthorizationToken", "ecr", region=bench.aws.standin.region))
    theirs, mine = [entry("v", "billing/db")], [entry("v", "payments/db")]
    plain, at_once = {"secretStoreRef": {"name": "plain"}}, {"refreshInterval": "1s"}
    shape = {"name": "own", "items": [{"key": "shape"}]}
    shaped = {"target": {"template": {"templateFrom": [{"secret": shape}]}}, **plain, "data": mine}
    tries: dict[str, tuple[dict[str, Any], str]] = {
        "role": ({"secretStoreRef": {"name": "role"}, "data": mine}, "does not grant role"),
        "key": ({**plain, "data": theirs}, "v: Refused"),
        "arn": ({**plain, "data": [entry("v", arn)]}, "v: Refused"),
        "prefix": ({"secretStoreRef": {"name": "prefix"}, "data": [entry("v", "db")]}, "does not grant key billing/db"),
        "ecr": ({"secretStoreRef": None, "dataFrom": [source("ECRAuthorizationToken", "ecr")]},
                "as the controller itself: TenantPolicy payments does not grant image repository"),
        "account": ({"secretStoreRef": {"name": "account"}, "data": mine}, "Account payments/eso does not exist"),
        "keys": ({"secretStoreRef": {"name": "keys"}, "data": mine}, "Secret payments/own does not exist"),
        "cluster": ({"secretStoreRef": {"kind": "ClusterSecretStore", "name": "cluster"}, "data": mine},
                    "does not admit namespace payments"),
        "shape": (shaped, "templateFrom[0]: Secret own does not exist"),
    }  # fmt: skip
    find = {**plain, **at_once, "dataFrom": [{"find": {"name": {"regexp": "db$"}}}]}
    for name, (spec, _) in tries.items():
        await bench.secret(name, **spec)
    await bench.secret("find", **find)
    async with bench.run():
        for name, (_, says) in tries.items():
            await bench.until_ready(name, "False", says)
            assert await bench.found(name) is None
        await bench.until_data("find", payments_db=b"own")
        assert not [call for call, _ in await bench.aws.standin.calls() if call.startswith("sts:")]
        await without_the_guard(bench, provider, {name: spec for name, (spec, _) in tries.items()}, shaped, at_once)


@attack(AREA, "A region that leads to the metadata address", guard="stores.py: REGION, and botocore's own check",
        without="the address that is called is 169.254.169.254")  # fmt: skip
@pytest.mark.parametrize("region", ["@169.254.169.254/#", "x@169.254.169.254:80/latest/?", "169.254.169.254/", ""])
def test_a_region_is_no_address(region: str, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = store("aws", {"aws": {"service": "SecretsManager", "region": region}})
    with pytest.raises(StoreError, match="expected one as eu-west-1"):
        store_provider(manifest)
    if "@" in region:
        monkeypatch.setattr(stores, "check_region", lambda region, where: None)
        monkeypatch.setattr(botocore.session, "validate_region_name", lambda region: None)
        monkeypatch.setattr("botocore.utils.validate_region_name", lambda region: None)
        let_through = store_view(StoreRef("SecretStore", "aws"), *store_provider(manifest)).region
        client = botocore.session.Session().create_client(
            "secretsmanager", region_name=let_through, aws_access_key_id="a", aws_secret_access_key="b"
        )
        assert urlsplit(client.meta.endpoint_url).hostname == "169.254.169.254"


@attack(AREA, "Session tags that say another namespace asks", guard="stores.py: session_tags",
        without="the check taken out: IAM sees the forged namespace")  # fmt: skip
@pytest.mark.parametrize("field", ["sessionTags", "customSessionTags"])
def test_a_store_may_not_forge_who_asks(field: str, monkeypatch: pytest.MonkeyPatch) -> None:
    forged: Any = (
        {"esoNamespace": VICTIM} if field == "customSessionTags" else [{"key": "esoNamespace", "value": VICTIM}]
    )
    given = {"service": "SecretsManager", "region": "eu-west-1", "sessionTagsPolicy": "Custom", field: forged}
    provider, ref = AWSProvider.model_validate(given), StoreRef("SecretStore", "aws")
    with pytest.raises(StoreError, match="session tag esoNamespace says who asks"):
        session_tags(NAMESPACE, ref, provider)
    assert session_tags(VICTIM, ref, provider)["esoNamespace"] == VICTIM, "the truth may be said"
    monkeypatch.setattr(stores, "AUTOMATIC_TAGS", ())
    assert session_tags(NAMESPACE, ref, provider)["esoNamespace"] == VICTIM


@attack(AREA, "A template that reads the controller's environment or asks DNS", guard="templating: no such function",
        without="a function set that has it")  # fmt: skip
@pytest.mark.parametrize("call", ['env "AWS_SECRET_ACCESS_KEY"', 'expandenv "$HOME"', 'getHostByName "x"'])
def test_a_template_has_no_way_out(call: str) -> None:
    name, text = call.split()[0], f"{{{{ {call} }}}}"
    with pytest.raises(TargetTemplateError, match=f'function "{name}" not defined'):
        render(TargetTemplate(data={"x": text}), {}, engine=Engine())
    leaky = Engine(EXTERNAL_SECRETS | functions({name: ("s", lambda text: f"leaked {text}")}))
    assert render(TargetTemplate(data={"x": text}), {}, engine=leaky).data["x"].startswith(b"leaked ")


@attack(AREA, "A template that never ends or fills the memory", guard="templating/evaluator.py: Budget",
        without="a larger budget: it is rendered")  # fmt: skip
@pytest.mark.parametrize(
    ("bomb", "large"),
    [
        ("{{ range until 900 }}{{ range until 900 }}{{ end }}{{ end }}", Budget(steps=10_000_000)),
        ('{{ range until 50 }}{{ repeat 100000 "x" }}{{ end }}', Budget(output=8 << 20)),
        ('{{ define "t" }}{{ if . }}{{ template "t" rest . }}{{ end }}{{ end }}{{ template "t" until 120 }}',
         Budget(depth=400)),
    ],
    ids=["steps", "output", "depth"],
)  # fmt: skip
def test_a_bomb_in_a_template_is_refused(bomb: str, large: Budget) -> None:
    with pytest.raises(TargetTemplateError, match="unable to execute template"):
        render(TargetTemplate(data={"x": bomb}), {}, engine=Engine())
    parsed = Template.parse(bomb, name="x", functions=EXTERNAL_SECRETS)
    with pytest.raises(TemplateError):
        parsed.render_bytes(StringMap({}))
    parsed.render_bytes(StringMap({}), budget=large)


@attack(AREA, "A Secret larger than the API server takes, made by templates", guard="template.py: MAX_SECRET",
        without="a higher limit: it is made")  # fmt: skip
def test_a_secret_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = TargetTemplate(data={str(at): '{{ repeat 200000 "x" }}' for at in range(6)})
    with pytest.raises(TargetTemplateError, match="would exceed"):
        render(spec, {}, engine=Engine())
    monkeypatch.setattr(templates, "MAX_SECRET", 2 << 20)
    assert len(render(spec, {}, engine=Engine()).data) == 6


@attack(AREA, "YAML that doubles itself, through KeysAndValues", guard="templating/goyaml.py: MAX_NODES after aliases",
        without="a YAML reader that follows aliases without counting")  # fmt: skip
def test_aliases_that_double_rendered_yaml_are_refused() -> None:
    import yaml

    text = "a: &a [x, x]\n" + "".join(
        f"{chr(98 + at)}: &{chr(98 + at)} [*{chr(97 + at)}, *{chr(97 + at)}]\n" for at in range(16)
    )
    with pytest.raises(TargetTemplateError, match="did not render to YAML"):
        Engine().apply(TemplateSource({"x": text}, "KeysAndValues"), {}, Rendered())
    assert str(yaml.safe_load(text)).count("x") > 1000
