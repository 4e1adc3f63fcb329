"""Parameter Store and KMS through their edges."""

from __future__ import annotations

import hashlib

import pytest

from controllers.aws.errors import AccessDenied, AwsError, NotFound
from controllers.aws.identity import Identities, Identity
from controllers.aws.kms import Kms
from controllers.aws.parameterstore import ParameterStore
from controllers.runtime.sensitive import Sensitive
from tests.integration.aws.conftest import REGION, service_account
from tests.integration.conftest import Aws


@pytest.fixture
def ssm(identities: Identities, ops: Identity) -> ParameterStore:
    return ParameterStore(identities, ops, REGION)


async def test_names_versions_labels_and_arns_in_one_call(aws: Aws, ssm: ParameterStore) -> None:
    client = aws.client("ssm")
    for value in ("one", "two"):
        client.put_parameter(Name="/a/x", Value=value, Type="SecureString", Overwrite=True)
    client.label_parameter_version(Name="/a/x", ParameterVersion=1, Labels=["stable"])
    arn = client.get_parameter(Name="/a/x")["Parameter"]["ARN"]
    await aws.standin.calls(reset=True)
    found = await ssm.get(["/a/x", "/a/x:1", "/a/x:stable", arn, "/none", "/a/x:9"])
    values = {name: parameter.value.reveal_text() for name, parameter in found.values.items()}
    assert values == {"/a/x": "two", "/a/x:1": "one", "/a/x:stable": "one", arn: "two"}
    assert found.missing == ("/none", "/a/x:9")
    assert sum((await aws.standin.calls()).values()) == 1
    assert found.values["/a/x"].version == 2 and found.values["/a/x"].kind == "SecureString"
    assert "two" not in repr(found)


async def test_a_path_is_read_to_the_last_page(aws: Aws, ssm: ParameterStore) -> None:
    for number in range(23):
        aws.client("ssm").put_parameter(Name=f"/p/q/{number}", Value=str(number), Type="String")
    found = await ssm.by_path("/p")
    assert {p.value.reveal_text() for p in found} == {str(n) for n in range(23)}
    assert await ssm.by_path("/p", recursive=False) == []


async def test_tags_search_and_history(aws: Aws, ssm: ParameterStore) -> None:
    client = aws.client("ssm")
    client.put_parameter(Name="/t/a", Value="1", Type="String", Tags=[{"Key": "team", "Value": "a"}])
    client.put_parameter(Name="/t/a", Value="2", Type="String", Overwrite=True)
    client.put_parameter(Name="/t/b", Value="1", Type="String", Tags=[{"Key": "team", "Value": "b"}])
    entries = await ssm.describe([{"Key": "tag:team", "Option": "Equals", "Values": ["a"]}])
    assert [entry.name for entry in entries] == ["/t/a"]
    assert await ssm.tags("/t/a") == {"team": "a"}
    assert [(p.version, p.value.reveal_text()) for p in await ssm.history("/t/a")] == [(1, "1"), (2, "2")]
    with pytest.raises(NotFound):
        await ssm.history("/none")


async def test_one_forbidden_name_refuses_the_whole_call(aws: Aws, identities: Identities) -> None:
    aws.client("ssm").put_parameter(Name="/a/x", Value="1", Type="String")
    role = aws.irsa_role("a", subject="team-a:eso", allow=[("ssm:*", "arn:aws:ssm:*:*:parameter/a/*")])
    mine = ParameterStore(identities, service_account(role), REGION)
    assert (await mine.get(["/a/x"])).values["/a/x"].value == Sensitive("1")
    with pytest.raises(AccessDenied, match="parameter/b/x"):
        await mine.get(["/a/x", "/b/x"])
    with pytest.raises(ValueError, match="expected 1 to 10"):
        await mine.get([f"/a/{n}" for n in range(11)])


async def test_kms_decrypts_with_the_context_of_encryption_only(
    aws: Aws, identities: Identities, ops: Identity
) -> None:
    kms = Kms(identities, ops, REGION)
    key = aws.client("kms").create_key()["KeyMetadata"]["Arn"]
    blob = await kms.encrypt(Sensitive("plain"), key_id=key, context={"a": "1"})
    assert await kms.decrypt(blob, context={"a": "1"}) == Sensitive("plain")
    with pytest.raises(AwsError):
        await kms.decrypt(blob, context={"a": "2"})
    with pytest.raises(AwsError):
        await kms.decrypt(b"no ciphertext")


async def test_kms_signs_and_verifies(aws: Aws, identities: Identities, ops: Identity) -> None:
    kms = Kms(identities, ops, REGION)
    key = aws.client("kms").create_key(KeyUsage="SIGN_VERIFY", KeySpec="ECC_NIST_P256")["KeyMetadata"]["Arn"]
    digest = hashlib.sha256(b"x").digest()
    signature = await kms.sign(digest, key_id=key, algorithm="ECDSA_SHA_256")
    assert await kms.verify(digest, signature, key_id=key, algorithm="ECDSA_SHA_256")
    other = hashlib.sha256(b"y").digest()
    assert not await kms.verify(other, signature, key_id=key, algorithm="ECDSA_SHA_256")
    public = await kms.public_key(key)
    assert public.key_id == key and public.der[0] == 0x30
