"""The AWS facade: what moto leaves out."""

from __future__ import annotations

import asyncio
import json
import time
import urllib.error
import urllib.request

import boto3
import pytest
from botocore.exceptions import ClientError

from controllers.api.resource import Manifest
from controllers.standin.cloud.aws import AwsStandin
from controllers.standin.cloud.registry import Authenticator, RegistryServer, push_image
from tests.integration.conftest import ISSUER, OTHER_ACCOUNT, UNSIGNED, Aws, TokenMint, irsa_trust

SECRETS = "arn:aws:secretsmanager:eu-west-1:123456789012:secret"


def code(error: pytest.ExceptionInfo[ClientError]) -> str:
    return error.value.response["Error"]["Code"]


def assume_error(aws: Aws, role: str, token: str) -> str:
    sts = boto3.client("sts", endpoint_url=aws.url, region_name="eu-west-1", config=UNSIGNED)
    with pytest.raises(ClientError) as caught:
        sts.assume_role_with_web_identity(RoleArn=role, RoleSessionName="test", WebIdentityToken=token)
    return code(caught)


async def test_a_service_account_reads_what_its_role_allows_and_nothing_else(aws: Aws) -> None:
    sm = aws.client("secretsmanager")
    sm.create_secret(Name="a/db", SecretString="one")
    sm.create_secret(Name="b/db", SecretString="two")
    role = aws.irsa_role("a", subject="team-a:eso", allow=[("secretsmanager:GetSecretValue", f"{SECRETS}:a/*")])
    mine = aws.client_as(aws.assume(role, subject="team-a:eso"), "secretsmanager")
    assert mine.get_secret_value(SecretId="a/db")["SecretString"] == "one"
    for name in ("b/db", "none"):
        with pytest.raises(ClientError) as caught:
            mine.get_secret_value(SecretId=name)
        assert code(caught) == "AccessDeniedException"
        assert "assumed-role/a/test is not authorized to perform: secretsmanager:GetSecretValue" in str(caught.value)


async def test_a_deny_wins(aws: Aws) -> None:
    aws.client("secretsmanager").create_secret(Name="a/root", SecretString="x")
    deny = {"Effect": "Deny", "Action": "*", "Resource": f"{SECRETS}:a/root*"}
    role = aws.irsa_role("a", subject="t:s", allow=[("secretsmanager:*", "*"), deny])
    with pytest.raises(ClientError, match="explicit deny"):
        aws.client_as(aws.assume(role, subject="t:s"), "secretsmanager").get_secret_value(SecretId="a/root")


async def test_web_identity_tokens_are_verified(aws: Aws) -> None:
    role, mint = aws.irsa_role("a", subject="team-a:eso"), aws.tokens
    assert assume_error(aws, role, mint.service_account("team-b:eso")) == "AccessDenied"
    assert assume_error(aws, role + "x", mint.service_account("team-a:eso")) == "AccessDenied"
    assert assume_error(aws, role, mint.service_account("team-a:eso", audience="other")) == "InvalidIdentityToken"
    assert assume_error(aws, role, mint.service_account("team-a:eso", iss="https://evil")) == "InvalidIdentityToken"
    assert assume_error(aws, role, mint.service_account("team-a:eso", exp=time.time() - 1)) == "ExpiredTokenException"
    assert assume_error(aws, role, "garbage") == "InvalidIdentityToken"
    good = mint.service_account("team-a:eso")
    assert assume_error(aws, role, good[:-8] + "AAAAAAAA") == "InvalidIdentityToken"
    assert assume_error(aws, role, TokenMint().service_account("team-a:eso")) == "InvalidIdentityToken"
    claims = {"iss": ISSUER, "sub": "system:serviceaccount:team-a:eso", "aud": "sts.amazonaws.com", "exp": 9e9}
    assert assume_error(aws, role, mint.sign(claims, algorithm="none")) == "InvalidIdentityToken"


async def test_unknown_keys_wrong_signatures_and_expired_sessions_are_told_apart(aws: Aws) -> None:
    aws.irsa_role("a", subject="t:s", allow=[("*", "*")])
    good = aws.assume("arn:aws:iam::123456789012:role/a", subject="t:s")
    for change, expected in (
        ({"AccessKeyId": "AKIANONE"}, "UnrecognizedClientException"),
        ({"SessionToken": "other"}, "UnrecognizedClientException"),
        ({"SecretAccessKey": "other"}, "InvalidSignatureException"),
    ):
        with pytest.raises(ClientError) as caught:
            aws.client_as({**good, **change}, "ssm").get_parameter(Name="x")
        assert code(caught) == expected
    await aws.standin.expire_credentials()
    with pytest.raises(ClientError) as caught:
        aws.client_as(good, "ssm").get_parameter(Name="x")
    assert code(caught) == "ExpiredTokenException"
    with pytest.raises(ClientError) as caught:
        aws.client_as({**good, "AccessKeyId": "AKIANONE"}, "sts").get_caller_identity()
    assert code(caught) == "InvalidClientTokenId"


async def test_a_role_chain_needs_trust_external_id_and_the_right_to_tag(aws: Aws) -> None:
    first = aws.irsa_role("first", subject="t:s", allow=[(["sts:AssumeRole", "sts:TagSession"], "*")])
    trust = {
        "Effect": "Allow",
        "Principal": {"AWS": first},
        "Action": ["sts:AssumeRole", "sts:TagSession"],
        "Condition": {"StringEquals": {"sts:ExternalId": "inhaul"}},
    }
    tagged = "arn:aws:secretsmanager:eu-west-1:*:secret:${aws:PrincipalTag/namespace}/*"
    second = aws.role("second", trust=trust, allow=[("secretsmanager:*", tagged)], account=OTHER_ACCOUNT)
    sts = aws.client_as(aws.assume(first, subject="t:s"), "sts")
    arguments = {"RoleArn": second, "RoleSessionName": "chain"}
    with pytest.raises(ClientError) as caught:
        sts.assume_role(**arguments)
    assert code(caught) == "AccessDenied"
    found = sts.assume_role(
        **arguments,
        ExternalId="inhaul",
        Tags=[{"Key": "namespace", "Value": "t"}],
        TransitiveTagKeys=["namespace"],
    )["Credentials"]
    other = aws.client("secretsmanager", OTHER_ACCOUNT)
    other.create_secret(Name="t/x", SecretString="mine")
    other.create_secret(Name="u/x", SecretString="theirs")
    chained = aws.client_as(found, "secretsmanager")
    assert chained.get_secret_value(SecretId="t/x")["SecretString"] == "mine"
    with pytest.raises(ClientError):
        chained.get_secret_value(SecretId="u/x")
    assert aws.client_as(found, "sts").get_caller_identity()["Account"] == OTHER_ACCOUNT
    with pytest.raises(ClientError, match="900 to 3600"):
        sts.assume_role(**arguments, ExternalId="inhaul", DurationSeconds=7200)


async def test_trust_by_account_alone_needs_the_callers_own_permission(aws: Aws) -> None:
    trust = {"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::123456789012:root"}, "Action": "sts:AssumeRole"}
    target = aws.role("target", trust=trust)
    for name, allow, works in (("no", [], False), ("yes", [("sts:AssumeRole", target)], True)):
        role = aws.irsa_role(name, subject="t:s", allow=allow)
        sts = aws.client_as(aws.assume(role, subject="t:s"), "sts")
        if works:
            assert sts.assume_role(RoleArn=target, RoleSessionName="ok")["Credentials"]
        else:
            with pytest.raises(ClientError):
                sts.assume_role(RoleArn=target, RoleSessionName="ok")


async def test_pod_identity_gives_credentials_with_session_tags(aws: Aws) -> None:
    trust = {
        "Effect": "Allow",
        "Principal": {"Service": "pods.eks.amazonaws.com"},
        "Action": ["sts:AssumeRole", "sts:TagSession"],
    }
    resource = f"{SECRETS}:${{aws:PrincipalTag/kubernetes-namespace}}/*"
    role = aws.role("pod", trust=trust, allow=[("secretsmanager:*", resource)])
    await aws.standin.associate(cluster="demo", namespace="ns", service_account="eso", role=role)
    aws.client("secretsmanager").create_secret(Name="ns/x", SecretString="v")
    token = aws.tokens.service_account("ns:eso", audience="pods.eks.amazonaws.com")

    def agent(token: str) -> dict[str, str]:
        request = urllib.request.Request(aws.standin.pod_identity_url, headers={"Authorization": token})
        with urllib.request.urlopen(request) as answer:
            return dict(json.load(answer))

    found = await asyncio.to_thread(agent, token)
    credentials = {**found, "SessionToken": found["Token"]}
    assert aws.client_as(credentials, "secretsmanager").get_secret_value(SecretId="ns/x")["SecretString"] == "v"
    for bad in (
        "x",
        aws.tokens.service_account("ns:eso"),
        aws.tokens.service_account("no:eso", audience="pods.eks.amazonaws.com"),
    ):
        with pytest.raises(urllib.error.HTTPError):
            await asyncio.to_thread(agent, bad)
    eks = boto3.client("eks-auth", **aws.standin.client_arguments())
    answer = eks.assume_role_for_pod_identity(clusterName="demo", token=token)
    assert answer["subject"] == {"namespace": "ns", "serviceAccount": "eso"} and answer["credentials"]["accessKeyId"]


async def test_a_batch_of_secrets_names_the_refused_ones_and_takes_20_at_most(aws: Aws) -> None:
    sm = aws.client("secretsmanager")
    for name in ("a/1", "b/1"):
        sm.create_secret(Name=name, SecretString=name)
    allow = [("secretsmanager:BatchGetSecretValue", "*"), ("secretsmanager:GetSecretValue", f"{SECRETS}:a/*")]
    role = aws.irsa_role("a", subject="t:s", allow=[*allow, ("secretsmanager:ListSecrets", "*")])
    mine = aws.client_as(aws.assume(role, subject="t:s"), "secretsmanager")
    found = mine.batch_get_secret_value(SecretIdList=["a/1", "b/1", "a/none"])
    assert [v["Name"] for v in found["SecretValues"]] == ["a/1"]
    errors = {e["SecretId"]: e["ErrorCode"] for e in found["Errors"]}
    assert errors == {"b/1": "AccessDeniedException", "a/none": "ResourceNotFoundException"}
    with pytest.raises(ClientError):
        mine.batch_get_secret_value(SecretIdList=[f"a/{n}" for n in range(21)])
    filtered = mine.batch_get_secret_value(Filters=[{"Key": "name", "Values": ["a/", "b/"]}])
    assert [v["Name"] for v in filtered["SecretValues"]] == ["a/1"] and len(filtered["Errors"]) == 1


async def test_a_secret_under_a_key_of_ones_own_needs_decrypt_on_that_key(aws: Aws) -> None:
    key = aws.client("kms").create_key()["KeyMetadata"]
    aws.client("secretsmanager").create_secret(Name="k", SecretString="v", KmsKeyId=key["KeyId"])
    no = aws.irsa_role("no", subject="t:s", allow=[("secretsmanager:*", "*")])
    yes = aws.irsa_role("yes", subject="t:s", allow=[("secretsmanager:*", "*"), ("kms:Decrypt", key["Arn"])])
    with pytest.raises(ClientError, match="Access to KMS is not allowed"):
        aws.client_as(aws.assume(no, subject="t:s"), "secretsmanager").get_secret_value(SecretId="k")
    mine = aws.client_as(aws.assume(yes, subject="t:s"), "secretsmanager")
    assert mine.get_secret_value(SecretId="k")["SecretString"] == "v"


async def test_parameters_and_keys_are_authorised_by_their_arn(aws: Aws) -> None:
    aws.client("ssm").put_parameter(Name="/a/x", Value="1", Type="String")
    kms = aws.client("kms")
    mine, other = (kms.create_key()["KeyMetadata"]["Arn"] for _ in range(2))
    role = aws.irsa_role(
        "a",
        subject="t:s",
        allow=[("ssm:Get*", "arn:aws:ssm:eu-west-1:123456789012:parameter/a/*"), ("kms:Decrypt", mine)],
    )
    credentials = aws.assume(role, subject="t:s")
    ssm = aws.client_as(credentials, "ssm")
    assert ssm.get_parameters(Names=["/a/x:1", "/a/none"])["InvalidParameters"] == ["/a/none"]
    with pytest.raises(ClientError) as caught:
        ssm.get_parameters(Names=["/a/x", "/b/x"])
    assert code(caught) == "AccessDeniedException"
    blobs = {key: kms.encrypt(KeyId=key, Plaintext=b"p")["CiphertextBlob"] for key in (mine, other)}
    assert aws.client_as(credentials, "kms").decrypt(CiphertextBlob=blobs[mine])["Plaintext"] == b"p"
    with pytest.raises(ClientError):
        aws.client_as(credentials, "kms").decrypt(CiphertextBlob=blobs[other])


def queue_of(aws: Aws, *sources: str) -> str:
    sqs, events = aws.client("sqs"), aws.client("events")
    url = sqs.create_queue(QueueName="changes")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    events.put_rule(Name="changes", EventPattern=json.dumps({"source": list(sources)}))
    events.put_targets(Rule="changes", Targets=[{"Id": "1", "Arn": arn}])
    return str(url)


def messages(aws: Aws, url: str) -> list[Manifest]:
    sqs, found = aws.client("sqs"), []
    while batch := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        found += [json.loads(m["Body"]) for m in batch]
    return found


async def test_changes_of_secrets_and_parameters_reach_the_queue_without_values(aws: Aws) -> None:
    url = queue_of(aws, "aws.secretsmanager", "aws.ssm")
    sm = aws.client("secretsmanager")
    arn = sm.create_secret(Name="db", SecretString="S3CRET")["ARN"]
    sm.put_secret_value(SecretId="db", SecretString="S3CRET2")
    sm.rotate_secret(SecretId="db", RotationRules={"AutomaticallyAfterDays": 1})
    sm.delete_secret(SecretId=arn)
    sm.restore_secret(SecretId=arn)
    aws.client("ssm").put_parameter(Name="/a", Value="S3CRET3", Type="SecureString")
    found = messages(aws, url)
    assert "S3CRET" not in json.dumps(found)
    names = [m["detail"].get("eventName") or m["detail"]["operation"] for m in found]
    assert names == ["CreateSecret", "PutSecretValue", "RotationSucceeded", "DeleteSecret", "RestoreSecret", "Create"]
    assert found[1]["detail"]["requestParameters"]["secretId"] == "db"
    assert found[2]["detail"]["additionalEventData"]["SecretId"] == arn
    assert found[5]["resources"] == ["arn:aws:ssm:eu-west-1:123456789012:parameter/a"]


async def test_a_push_to_the_registry_is_seen_in_ecr_and_announced(aws: Aws) -> None:
    url = queue_of(aws, "aws.ecr")
    registry = RegistryServer(
        auth=Authenticator("basic", ecr_login=aws.standin.ecr_login), on_push=aws.standin.mirror_push
    )
    await registry.start()
    try:
        await aws.standin.use_registry(registry.url)
        ecr = aws.client("ecr")
        data = ecr.get_authorization_token()["authorizationData"][0]
        assert data["proxyEndpoint"] == registry.url and data["expiresAt"].timestamp() > time.time() + 11 * 3600
        import base64

        user, _, password = base64.b64decode(data["authorizationToken"]).decode().partition(":")
        digest = await push_image(registry.url, "shop/pay", "v1", auth=(user, password))
    finally:
        await registry.stop()
    (image,) = ecr.describe_images(repositoryName="shop/pay")["imageDetails"]
    assert image["imageDigest"] == digest and image["imageTags"] == ["v1"]
    (event,) = messages(aws, url)
    assert event["detail-type"] == "ECR Image Action" and isinstance(event["time"], str)
    assert (event["detail"]["image-tag"], event["detail"]["image-digest"]) == ("v1", digest)
    assert not aws.standin.ecr_login(password[:-1] + "x") and not aws.standin.ecr_login("")


async def test_images_come_in_pages(aws: Aws) -> None:
    ecr = aws.client("ecr")
    ecr.create_repository(repositoryName="repo")
    for number in range(7):
        manifest = json.dumps({"schemaVersion": 2, "mediaType": "m", "n": number})
        put = ecr.put_image(repositoryName="repo", imageManifest=manifest, imageTag=f"v{number}")
        assert put["image"]["imageId"]["imageDigest"].startswith("sha256:")
    first = ecr.describe_images(repositoryName="repo", maxResults=3)
    assert len(first["imageDetails"]) == 3
    pages = ecr.get_paginator("describe_images").paginate(repositoryName="repo", PaginationConfig={"PageSize": 3})
    assert sorted(d["imageTags"][0] for p in pages for d in p["imageDetails"]) == [f"v{n}" for n in range(7)]


async def test_throttles_faults_and_counters(aws: Aws) -> None:
    await aws.standin.calls(reset=True)
    await aws.standin.throttle("ssm:GetParameter", rate=0.001, burst=2)
    ssm = aws.client("ssm")
    ssm.put_parameter(Name="x", Value="1", Type="String")
    for _ in range(2):
        ssm.get_parameter(Name="x")
    with pytest.raises(ClientError) as caught:
        ssm.get_parameter(Name="x")
    assert code(caught) == "ThrottlingException"
    await aws.standin.fail("kms:*", code="KMSInternalException", count=1)
    with pytest.raises(ClientError):
        aws.client("kms").list_keys()
    aws.client("kms").list_keys()
    calls = await aws.standin.calls()
    assert calls["ssm:GetParameter", "ops"] == 3 and calls["kms:ListKeys", "ops"] == 2


async def test_accounts_do_not_see_each_other(aws: Aws) -> None:
    aws.client("secretsmanager").create_secret(Name="x", SecretString="1")
    assert aws.client("secretsmanager", OTHER_ACCOUNT).list_secrets()["SecretList"] == []


async def test_the_process_ends_with_its_parent() -> None:
    aws = AwsStandin()
    await aws.start()
    process = aws._process
    assert process is not None and process.stdin is not None
    process.stdin.close()
    assert await asyncio.to_thread(process.wait, 10) == 0
    await aws.stop()


def test_the_trust_of_the_fixtures_is_the_one_of_the_documentation() -> None:
    assert irsa_trust("a:b")["Condition"]["StringLike"] == {"oidc.example.com/id/TEST:sub": "system:serviceaccount:a:b"}
