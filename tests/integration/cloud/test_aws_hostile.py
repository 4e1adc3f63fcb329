"""The facade bears whatever is sent to it: an error in AWS's shape, and the next call works."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.integration.conftest import Aws


def send(aws: Aws, *, target: str = "", body: bytes = b"", path: str = "/", signed: bool = True, **headers: str) -> int:
    request = AWSRequest(
        "POST", aws.url + path, data=body, headers={"X-Amz-Target": target, **headers} if target else headers
    )
    if signed:
        SigV4Auth(Credentials(*aws.standin.key()), "secretsmanager", "eu-west-1").add_auth(request)
    plain = urllib.request.Request(str(request.url), data=body, headers=dict(request.headers), method="POST")
    try:
        with urllib.request.urlopen(plain, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        json.loads(error.read()) if error.code != 403 else error.read()
        return error.code


@pytest.mark.parametrize(
    ("action", "body"),
    [
        ("GetSecretValue", b"no json"),
        ("GetSecretValue", b"[]"),
        ("GetSecretValue", b"[" * 100_000),
        ("GetSecretValue", b'{"SecretId": {"a": 1}}'),
        ("GetSecretValue", b'{"SecretId": ""}'),
        ("BatchGetSecretValue", b'{"SecretIdList": "abc"}'),
        ("BatchGetSecretValue", b'{"SecretIdList": [{}]}'),
        ("Nope", b"{}"),
    ],
)
async def test_broken_calls_get_an_error_of_aws(aws: Aws, action: str, body: bytes) -> None:
    status = await asyncio.to_thread(send, aws, target=f"secretsmanager.{action}", body=body)
    assert 400 <= status <= 501
    aws.client("secretsmanager").list_secrets()


async def test_without_a_signature_nothing_is_served(aws: Aws) -> None:
    target = "secretsmanager.ListSecrets"
    assert await asyncio.to_thread(send, aws, target=target, body=b"{}", signed=False) == 403
    bad = {"Authorization": "AWS4-HMAC-SHA256 Credential=a/b/c/d/e"}
    assert await asyncio.to_thread(send, aws, target=target, body=b"{}", signed=False, **bad) == 400
    assert await asyncio.to_thread(send, aws, path="/moto-api/reset", signed=False) == 404


async def test_a_signature_is_good_for_its_body_only(aws: Aws) -> None:
    request = AWSRequest("POST", aws.url + "/", data=b"{}", headers={"X-Amz-Target": "secretsmanager.ListSecrets"})
    SigV4Auth(Credentials(*aws.standin.key()), "secretsmanager", "eu-west-1").add_auth(request)

    def replay() -> int:
        other = urllib.request.Request(str(request.url), data=b'{"MaxResults": 1}', headers=dict(request.headers))
        try:
            with urllib.request.urlopen(other, timeout=10) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code

    assert await asyncio.to_thread(replay) == 400
