"""Credentials: from where, how often, and what happens when they are refused."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime as dt
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from controllers.aws.errors import AccessDenied, CredentialsRefused, Unreachable
from controllers.aws.identity import OWN, Identities, Identity, RoleStep
from controllers.aws.secretsmanager import SecretsManager
from controllers.aws.settings import AwsSettings
from controllers.runtime.pools import Pools
from controllers.runtime.sensitive import Sensitive
from tests.integration.aws.conftest import REGION, Tokens, service_account
from tests.integration.conftest import OTHER_ACCOUNT, Aws

ALL = [("secretsmanager:*", "*")]


async def whoami(identities: Identities, identity: Identity) -> str:
    return str((await identities.call(identity, REGION, "sts", "get_caller_identity"))["Arn"])


async def test_a_service_account_gets_its_annotated_role_once_for_many_calls(
    aws: Aws, identities: Identities, tokens: Tokens
) -> None:
    aws.client("secretsmanager").create_secret(Name="a", SecretString="v")
    identity = service_account(aws.irsa_role("a", subject="team-a:eso", allow=ALL))
    await aws.standin.calls(reset=True)
    edge = SecretsManager(identities, identity, REGION)
    values = await asyncio.gather(*(edge.get("a") for _ in range(8)))
    assert {v.value for v in values} == {Sensitive("v")}
    calls = await aws.standin.calls()
    assert sum(n for (name, _), n in calls.items() if name == "sts:AssumeRoleWithWebIdentity") == 1
    assert tokens.asked == [("team-a", "eso", ("sts.amazonaws.com",))]
    assert (await whoami(identities, identity)).endswith(":assumed-role/a/inhaul-team-a-eso")


async def test_a_chain_passes_external_id_tags_and_transitive_keys(aws: Aws, identities: Identities) -> None:
    first = aws.irsa_role("first", subject="team-a:eso", allow=[("sts:*", "*")])
    second = aws.role(
        "second", trust={"Effect": "Allow", "Principal": {"AWS": first}, "Action": "sts:*"}, allow=[("sts:*", "*")]
    )
    trust = {
        "Effect": "Allow",
        "Principal": {"AWS": second},
        "Action": ["sts:AssumeRole", "sts:TagSession"],
        "Condition": {
            "StringEquals": {"sts:ExternalId": "x1", "aws:RequestTag/namespace": "team-a"},
            "ForAllValues:StringEquals": {"sts:TransitiveTagKeys": ["namespace"]},
        },
    }
    third = aws.role("third", trust=trust, allow=ALL, account=OTHER_ACCOUNT)
    step = RoleStep(third, "x1", (("namespace", "team-a"),), ("namespace",))
    identity = dataclasses.replace(service_account(first), chain=(RoleStep(second), step))
    assert f"{OTHER_ACCOUNT}:assumed-role/third" in await whoami(identities, identity)
    wrong = dataclasses.replace(identity, chain=(RoleStep(second), dataclasses.replace(step, external_id="x2")))
    with pytest.raises(CredentialsRefused, match="third"):
        await whoami(identities, wrong)


async def test_a_refusal_is_remembered_for_a_moment_and_then_asked_again(
    aws: Aws, make: Callable[..., Identities]
) -> None:
    now = dt.datetime.now(dt.UTC)
    clock = [now]
    identities = make(clock=lambda: clock[0])
    role = aws.irsa_role("late", subject="someone:else")
    identity = service_account(role)
    await aws.standin.calls(reset=True)
    for _ in range(5):
        with pytest.raises(CredentialsRefused, match="Not authorized to perform sts:AssumeRoleWithWebIdentity") as told:
            await whoami(identities, identity)
        assert f"role {role} for ServiceAccount " in told.value.message
    assert sum((await aws.standin.calls()).values()) == 1
    from tests.integration.conftest import irsa_trust

    document = json.dumps({"Version": "2012-10-17", "Statement": [irsa_trust("team-a:eso")]})
    aws.client("iam").update_assume_role_policy(RoleName="late", PolicyDocument=document)
    clock[0] += dt.timedelta(seconds=6)
    assert "assumed-role/late" in await whoami(identities, identity)


async def test_credentials_are_renewed_before_they_expire_and_clients_follow(
    aws: Aws, make: Callable[..., Identities]
) -> None:
    clock = [dt.datetime.now(dt.UTC)]
    identities = make(clock=lambda: clock[0])
    identity = service_account(aws.irsa_role("a", subject="team-a:eso"))
    await whoami(identities, identity)
    client = await identities.client(identity, REGION, "sts")
    before = client._request_signer._credentials.get_frozen_credentials()
    clock[0] += dt.timedelta(minutes=54)
    assert (
        await identities.client(identity, REGION, "sts")
    )._request_signer._credentials.get_frozen_credentials() == before
    clock[0] += dt.timedelta(minutes=2)
    same = await identities.client(identity, REGION, "sts")
    assert same is client and client._request_signer._credentials.get_frozen_credentials() != before
    await whoami(identities, identity)


async def test_a_revoked_session_is_replaced_at_once(aws: Aws, identities: Identities) -> None:
    identity = service_account(aws.irsa_role("a", subject="team-a:eso"))
    await whoami(identities, identity)
    await aws.standin.expire_credentials()
    assert "assumed-role/a" in await whoami(identities, identity)


async def test_wrong_static_keys_are_refused_without_a_second_try(
    aws: Aws, identities: Identities, ops: Identity
) -> None:
    assert ops.static is not None
    wrong = Identity(static=dataclasses.replace(ops.static, secret_key=Sensitive("not-the-secret")))
    await aws.standin.calls(reset=True)
    with pytest.raises(CredentialsRefused) as caught:
        await whoami(identities, wrong)
    assert "not-the-secret" not in str(caught.value) and "not-the-secret" not in repr(wrong)
    assert "user/ops" in await whoami(identities, ops)


async def test_our_own_identity_comes_from_the_environment(
    aws: Aws, aws_environment: Callable[..., None], pools: Pools
) -> None:
    aws_environment(**aws.standin.env())
    assert "user/ops" in await whoami(Identities(pools), OWN)
    aws_environment()
    with pytest.raises(CredentialsRefused, match="credentials"):
        await whoami(Identities(pools), OWN)


async def test_our_own_identity_by_irsa(
    aws: Aws, aws_environment: Callable[..., None], pools: Pools, tmp_path: Path
) -> None:
    role = aws.irsa_role("own", subject="inhaul:controller")
    (tmp_path / "token").write_text(aws.tokens.service_account("inhaul:controller"))
    aws_environment(AWS_ROLE_ARN=role, AWS_WEB_IDENTITY_TOKEN_FILE=str(tmp_path / "token"))
    assert "assumed-role/own" in await whoami(Identities(pools), OWN)


async def test_our_own_identity_by_pod_identity_and_a_role_from_there(
    aws: Aws, aws_environment: Callable[..., None], pools: Pools, tmp_path: Path
) -> None:
    trust = {
        "Effect": "Allow",
        "Principal": {"Service": "pods.eks.amazonaws.com"},
        "Action": ["sts:AssumeRole", "sts:TagSession"],
    }
    own = aws.role("pod", trust=trust, allow=[("sts:*", "*")])
    team = aws.role("team", trust={"Effect": "Allow", "Principal": {"AWS": own}, "Action": "sts:*"})
    await aws.standin.associate(cluster="demo", namespace="inhaul", service_account="controller", role=own)
    token = aws.tokens.service_account("inhaul:controller", audience="pods.eks.amazonaws.com")
    (tmp_path / "token").write_text(token)
    aws_environment(
        AWS_CONTAINER_CREDENTIALS_FULL_URI=aws.standin.pod_identity_url,
        AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=str(tmp_path / "token"),
    )
    identities = Identities(pools)
    assert "assumed-role/pod" in await whoami(identities, OWN)
    assert "assumed-role/team" in await whoami(identities, Identity(chain=(RoleStep(team),)))


async def test_a_cancelled_caller_does_not_take_the_others_credentials(aws: Aws, identities: Identities) -> None:
    identity = service_account(aws.irsa_role("a", subject="team-a:eso"))
    await aws.standin.latency("sts:AssumeRoleWithWebIdentity", 0.2)
    first, second = (asyncio.create_task(whoami(identities, identity)) for _ in range(2))
    await asyncio.sleep(0.05)
    first.cancel()
    assert "assumed-role/a" in await second


async def test_denied_is_not_refused(aws: Aws, identities: Identities) -> None:
    identity = service_account(aws.irsa_role("a", subject="team-a:eso"))
    with pytest.raises(AccessDenied, match="not authorized to perform: secretsmanager:GetSecretValue"):
        await SecretsManager(identities, identity, REGION).get("x")


async def test_no_answer_is_unreachable(pools: Pools, ops: Identity) -> None:
    identities = Identities(pools, settings=AwsSettings(endpoint="http://127.0.0.1:9", attempts=1))
    with pytest.raises(Unreachable, match=r"^sts:GetCallerIdentity: EndpointConnectionError$"):
        await whoami(identities, ops)


async def test_the_session_carries_the_same_credentials(aws: Aws, identities: Identities) -> None:
    identity = service_account(aws.irsa_role("a", subject="team-a:eso"))
    session = await identities.session(identity, REGION)
    assert "assumed-role/a" in session.client("sts", endpoint_url=aws.url).get_caller_identity()["Arn"]


def test_a_role_that_is_none_is_refused_before_any_call() -> None:
    with pytest.raises(ValueError, match=r"role 'arn:aws:iam::1:role/x': expected"):
        Identity(chain=(RoleStep("arn:aws:iam::1:role/x"),))
