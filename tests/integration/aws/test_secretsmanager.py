"""Secrets Manager through its edge."""

from __future__ import annotations

import dataclasses

import pytest

from controllers.aws.errors import AccessDenied, InvalidRequest, KmsDenied, MarkedForDeletion, NotFound, Throttled
from controllers.aws.identity import Identities, Identity
from controllers.aws.secretsmanager import SecretsManager
from controllers.runtime.sensitive import Sensitive
from tests.integration.aws.conftest import REGION, service_account
from tests.integration.conftest import Aws


@pytest.fixture
def sm(identities: Identities, ops: Identity) -> SecretsManager:
    return SecretsManager(identities, ops, REGION)


async def test_a_value_by_name_by_arn_by_version_and_by_stage(aws: Aws, sm: SecretsManager) -> None:
    client = aws.client("secretsmanager")
    first = client.create_secret(Name="db", SecretString="one")
    second = client.put_secret_value(SecretId="db", SecretString="two")
    current = await sm.get("db")
    assert (current.value, current.version_id, current.arn) == (Sensitive("two"), second["VersionId"], first["ARN"])
    assert current.stages == ("AWSCURRENT",) and not current.binary
    assert (await sm.get(first["ARN"])).value == Sensitive("two")
    assert (await sm.get("db", stage="AWSPREVIOUS")).value == Sensitive("one")
    assert (await sm.get("db", version_id=first["VersionId"])).value == Sensitive("one")
    assert "two" not in repr(current)


async def test_binary_values_come_as_they_are(aws: Aws, sm: SecretsManager) -> None:
    aws.client("secretsmanager").create_secret(Name="bin", SecretBinary=b"\x00\xff")
    found = await sm.get("bin")
    assert found.binary and found.value == Sensitive(b"\x00\xff")


async def test_missing_marked_and_wrong_versions_are_told_apart(aws: Aws, sm: SecretsManager) -> None:
    client = aws.client("secretsmanager")
    client.create_secret(Name="gone", SecretString="x")
    client.delete_secret(SecretId="gone")
    with pytest.raises(NotFound) as caught:
        await sm.get("none")
    assert not isinstance(caught.value, MarkedForDeletion) and caught.value.code == "ResourceNotFoundException"
    with pytest.raises(MarkedForDeletion):
        await sm.get("gone")
    client.create_secret(Name="db", SecretString="x")
    with pytest.raises(NotFound):
        await sm.get("db", stage="NOPE")


async def test_a_batch_answers_each_key_by_what_was_asked(aws: Aws, sm: SecretsManager, identities: Identities) -> None:
    client = aws.client("secretsmanager")
    arn = client.create_secret(Name="a/one", SecretString="1")["ARN"]
    client.create_secret(Name="a/two", SecretString="2")
    client.create_secret(Name="b/one", SecretString="3")
    client.create_secret(Name="a/gone", SecretString="4")
    client.delete_secret(SecretId="a/gone")
    await aws.standin.calls(reset=True)
    found = await sm.batch([arn, "a/two", "none", "a/gone", "a/two"])
    assert {key: value.value for key, value in found.values.items()} == {arn: Sensitive("1"), "a/two": Sensitive("2")}
    assert set(found.errors) == {"none", "a/gone"}
    assert type(found.errors["none"]) is NotFound and isinstance(found.errors["a/gone"], MarkedForDeletion)
    assert sum((await aws.standin.calls()).values()) == 1
    allow = [("secretsmanager:BatchGetSecretValue", "*"), ("secretsmanager:GetSecretValue", "arn:*:secret:a/*")]
    tenant = service_account(aws.irsa_role("a", subject="team-a:eso", allow=allow))
    found = await SecretsManager(identities, tenant, REGION).batch(["a/two", "b/one"])
    assert set(found.values) == {"a/two"} and isinstance(found.errors["b/one"], AccessDenied)


async def test_a_secret_whose_key_may_not_be_used_is_a_matter_of_kms(aws: Aws, identities: Identities) -> None:
    key = aws.client("kms").create_key()["KeyMetadata"]["KeyId"]
    aws.client("secretsmanager").create_secret(Name="k", SecretString="v", KmsKeyId=key)
    tenant = service_account(aws.irsa_role("a", subject="team-a:eso", allow=[("secretsmanager:*", "*")]))
    sm = SecretsManager(identities, tenant, REGION)
    with pytest.raises(KmsDenied):
        await sm.get("k")
    assert isinstance((await sm.batch(["k"])).errors["k"], KmsDenied)


async def test_more_than_20_ids_are_a_bug_of_the_caller(sm: SecretsManager) -> None:
    with pytest.raises(ValueError, match="expected 1 to 20"):
        await sm.batch([f"s{n}" for n in range(21)])


async def test_lists_and_searches_go_to_the_last_page(aws: Aws, sm: SecretsManager) -> None:
    client = aws.client("secretsmanager")
    for number in range(45):
        client.create_secret(Name=f"app/{number:02}", SecretString=str(number), Tags=[{"Key": "team", "Value": "a"}])
    client.create_secret(Name="other", SecretString="x")
    listed = await sm.list([{"Key": "name", "Values": ["app/"]}])
    assert len(listed) == 45 and listed[0].tags == {"team": "a"}
    found = await sm.find([{"Key": "name", "Values": ["app/"]}])
    assert sorted(v.name for v in found.values.values()) == [f"app/{n:02}" for n in range(45)]
    assert (await sm.describe("other")).name == "other"


async def test_throttling_and_failure_have_their_own_names(aws: Aws, sm: SecretsManager) -> None:
    await aws.standin.throttle("secretsmanager:*", rate=0.001, burst=0.5)
    with pytest.raises(Throttled):
        await sm.get("x")
    await aws.standin.throttle("secretsmanager:*", rate=0)
    await aws.standin.fail("secretsmanager:*", code="InvalidParameterException", status=400)
    with pytest.raises(InvalidRequest):
        await sm.get("x")


async def test_a_tenant_sees_its_own_region_only(aws: Aws, identities: Identities, ops: Identity) -> None:
    aws.client("secretsmanager").create_secret(Name="x", SecretString="v")
    with pytest.raises(NotFound):
        await SecretsManager(identities, ops, "us-east-1").get("x")
    assert dataclasses.replace(SecretsManager(identities, ops, REGION), region="us-east-1").region == "us-east-1"
