"""AWS's answers become errors of one tree, with stable texts."""

from __future__ import annotations

import pytest
from botocore import exceptions as boto

from controllers.aws import errors
from controllers.aws.errors import AwsError

SM = "secretsmanager:GetSecretValue"


@pytest.mark.parametrize(
    ("operation", "code", "message", "expected"),
    [
        (SM, "ResourceNotFoundException", "Secrets Manager can't find the specified secret.", errors.NotFound),
        (SM, "InvalidRequestException", "… because it was marked for deletion.", errors.MarkedForDeletion),
        (SM, "InvalidRequestException", "… secret is already scheduled for deletion.", errors.MarkedForDeletion),
        (SM, "InvalidRequestException", "You can't specify both stage and id", errors.InvalidRequest),
        (SM, "AccessDeniedException", "User: x is not authorized to perform: y", errors.AccessDenied),
        (SM, "AccessDeniedException", "Access to KMS is not allowed", errors.KmsDenied),
        (SM, "DecryptionFailure", "", errors.KmsDenied),
        ("kms:Decrypt", "AccessDeniedException", "not authorized", errors.KmsDenied),
        ("ssm:GetParameters", "InvalidKeyId", "", errors.KmsDenied),
        ("ssm:GetParameters", "ParameterNotFound", "", errors.NotFound),
        ("ssm:GetParameters", "ThrottlingException", "Rate exceeded", errors.Throttled),
        ("sts:AssumeRole", "AccessDenied", "not authorized to perform: sts:AssumeRole", errors.CredentialsRefused),
        ("sts:AssumeRoleWithWebIdentity", "InvalidIdentityToken", "", errors.CredentialsRefused),
        (SM, "ExpiredTokenException", "", errors.CredentialsRefused),
        ("sqs:ReceiveMessage", "AWS.SimpleQueueService.NonExistentQueue", "", errors.NotFound),
        ("ecr:DescribeImages", "RepositoryNotFoundException", "", errors.NotFound),
        (SM, "InternalServiceError", "", errors.ServerError),
        (SM, "ValidationException", "", errors.InvalidRequest),
    ],
)
def test_code_and_message_decide_together(operation: str, code: str, message: str, expected: type[AwsError]) -> None:
    found = errors.from_code(code, message, operation=operation)
    assert type(found) is expected and found.code == code and str(found).startswith(f"{operation}: {code}")


def test_an_unknown_code_follows_its_status() -> None:
    assert type(errors.from_code("New", "", operation=SM, status=503)) is errors.ServerError
    assert type(errors.from_code("New", "", operation=SM, status=400)) is errors.InvalidRequest


@pytest.mark.parametrize(
    "message",
    [
        "Denied (RequestId: 6c1f6a3b-2a9d-4f0f-9d0e-0a0a0a0a0a0a)",
        "Denied\n  status code: 400, request id: 6c1f6a3b-2a9d-4f0f-9d0e-0a0a0a0a0a0b",
        "Denied; Request ID: ABCDEFGH12345678; Host ID: a/b+c/d+e/f==)",
    ],
)
def test_request_ids_are_left_out(message: str) -> None:
    found = errors.clean(message)
    assert "\n" not in found and found.startswith("Denied")
    assert not any(part in found for part in ("6c1f6a3b", "ABCDEFGH", "a/b+c"))


def test_an_arn_with_a_uuid_in_it_is_kept() -> None:
    arn = "arn:aws:kms:eu-west-1:123456789012:key/6c1f6a3b-2a9d-4f0f-9d0e-0a0a0a0a0a0a"
    assert arn in errors.clean(f"not authorized to perform: kms:Decrypt on resource: {arn} because no policy")


def test_texts_are_bounded() -> None:
    assert len(errors.clean("x" * 10_000)) == 500


def test_failures_without_an_answer_are_unreachable_and_name_no_address() -> None:
    error = boto.EndpointConnectionError(endpoint_url="https://secret-host.internal")
    found = errors.translate(error, operation=SM)
    assert type(found) is errors.Unreachable and "secret-host" not in str(found)
    assert type(errors.translate(boto.ReadTimeoutError(endpoint_url="x"), operation=SM)) is errors.Unreachable


def test_missing_credentials_are_a_matter_of_credentials() -> None:
    assert type(errors.translate(boto.NoCredentialsError(), operation=SM)) is errors.CredentialsRefused


def test_a_bug_is_not_disguised() -> None:
    with pytest.raises(KeyError):
        errors.translate(KeyError("x"), operation=SM)
