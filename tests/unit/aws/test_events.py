"""EventBridge messages become changes; anything else is None or Malformed, never a crash."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controllers.api.resource import Manifest
from controllers.aws.events import AwsChange, MalformedMessageError, parse, secret_name

ARN = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:team-a/db-AbC123"
BASE = {
    "version": "0",
    "id": "e1",
    "account": "123456789012",
    "time": "2026-07-01T10:00:00Z",
    "region": "eu-west-1",
    "resources": [],
}


def message(source: str, kind: str, detail: Manifest, **more: Any) -> str:
    return json.dumps({**BASE, "source": source, "detail-type": kind, "detail": detail, **more})


def call(name: str, request: Manifest | None, response: Manifest | None = None, **more: Any) -> str:
    detail = {"eventName": name, "awsRegion": "eu-west-1", "requestParameters": request, "responseElements": response}
    return message("aws.secretsmanager", "AWS API Call via CloudTrail", {**detail, **more})


def change(body: str) -> AwsChange:
    found = parse(body)
    assert found is not None
    return found


def test_an_api_call_names_the_secret_as_its_caller_did() -> None:
    found = parse(call("PutSecretValue", {"secretId": "team-a/db", "clientRequestToken": "v2"}, {"arn": ARN}))
    assert found == AwsChange(
        service="secretsmanager",
        action="PutSecretValue",
        name="team-a/db",
        arn=ARN,
        account="123456789012",
        region="eu-west-1",
        time=dt.datetime(2026, 7, 1, 10, tzinfo=dt.UTC),
        version_id="v2",
        event_id="e1",
    )
    by_arn = change(call("UpdateSecretVersionStage", {"secretId": ARN, "moveToVersionId": "v3"}))
    assert (by_arn.name, by_arn.arn, by_arn.version_id) == ("team-a/db", ARN, "v3")


def test_a_rotation_is_named_by_arn() -> None:
    detail = {"eventName": "RotationSucceeded", "requestParameters": None, "additionalEventData": {"SecretId": ARN}}
    found = change(message("aws.secretsmanager", "AWS Service Event via CloudTrail", detail))
    assert (found.action, found.name, found.arn) == ("RotationSucceeded", "team-a/db", ARN)


def test_reads_and_failed_calls_are_no_change() -> None:
    assert parse(call("GetSecretValue", {"secretId": "x"})) is None
    assert parse(call("PutSecretValue", {"secretId": "x"}, errorCode="AccessDenied")) is None
    assert parse(message("aws.ec2", "EC2 Instance State-change Notification", {})) is None
    image = {"result": "FAILURE", "repository-name": "r", "action-type": "PUSH"}
    assert parse(message("aws.ecr", "ECR Image Action", image)) is None


def test_deletions_are_known_as_such() -> None:
    assert change(call("DeleteSecret", {"secretId": "x"})).deletes
    assert not change(call("RestoreSecret", {"secretId": "x"})).deletes


def test_a_parameter_change() -> None:
    detail = {"operation": "LabelParameterVersion", "name": "/a/x", "type": "String", "label": "stable"}
    arn = "arn:aws:ssm:eu-west-1:123456789012:parameter/a/x"
    found = change(message("aws.ssm", "Parameter Store Change", detail, resources=[arn]))
    assert (found.service, found.name, found.arn, found.tag) == ("ssm", "/a/x", arn, "stable")


def test_an_image_push_also_when_sns_wraps_it() -> None:
    detail = {
        "result": "SUCCESS",
        "repository-name": "shop/pay",
        "image-digest": "sha256:ab",
        "action-type": "PUSH",
        "image-tag": "v1",
    }
    plain = message("aws.ecr", "ECR Image Action", detail)
    found = change(plain)
    assert (found.service, found.name, found.tag, found.digest) == ("ecr", "shop/pay", "v1", "sha256:ab")
    assert parse(json.dumps({"Type": "Notification", "Message": plain})) == found
    untagged = {key: value for key, value in detail.items() if key != "image-tag"}
    assert change(message("aws.ecr", "ECR Image Action", untagged)).tag == ""


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ("no json", "message"),
        ("[]", "message"),
        ("[" * 100_000, "message"),
        ("{}", "source"),
        (json.dumps({**BASE, "source": "aws.ecr", "detail-type": "ECR Image Action"}), "detail"),
        (call("PutSecretValue", {}), "detail"),
        (message("aws.ecr", "ECR Image Action", {"result": "SUCCESS", "action-type": "PUSH"}), "repository-name"),
        (message("aws.ssm", "Parameter Store Change", {"name": 5}), "name"),
        (message("aws.ssm", "Parameter Store Change", {"name": "x" * 5000}), "name"),
        (message("aws.ssm", "Parameter Store Change", {"name": "x"}, time="yesterday"), "time"),
        (b"\xff\xfe", "message"),
    ],
)
def test_what_is_broken_says_which_field(body: bytes | str, field: str) -> None:
    with pytest.raises(MalformedMessageError, match=field):
        parse(body)


@pytest.mark.parametrize(
    ("arn", "name"),
    [
        (ARN, "team-a/db"),
        ("arn:aws:secretsmanager:r:1:secret:a-bcdefg-AbC123", "a-bcdefg"),
        ("arn:aws:secretsmanager:r:1:secret:short", "short"),
        ("plain", "plain"),
    ],
)
def test_the_name_in_an_arn_loses_only_its_random_end(arn: str, name: str) -> None:
    assert secret_name(arn) == name


_json: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, 7, 1e400, "", "x", "arn:aws:x", [], ["x"], {}, {"secretId": 5}, {"arn": []}]
)


@settings(max_examples=100, deadline=None)
@given(
    source=st.sampled_from(["aws.secretsmanager", "aws.ssm", "aws.ecr"]) | _json,
    kind=st.sampled_from(["AWS API Call via CloudTrail", "Parameter Store Change", "ECR Image Action"]) | _json,
    detail=st.dictionaries(
        st.sampled_from(["eventName", "requestParameters", "responseElements", "name", "result", "action-type"]),
        st.sampled_from(["PutSecretValue", "SUCCESS", {"secretId": 3}]) | _json,
    )
    | _json,
    rest=st.dictionaries(st.sampled_from(["account", "region", "time", "resources", "id"]), _json),
)
def test_any_json_is_a_change_or_none_or_malformed(source: Any, kind: Any, detail: Any, rest: dict[str, Any]) -> None:
    try:
        found = parse(json.dumps({**BASE, "source": source, "detail-type": kind, "detail": detail, **rest}))
    except MalformedMessageError:
        return
    assert found is None or isinstance(found.name, str)
