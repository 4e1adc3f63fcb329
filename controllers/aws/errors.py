"""What AWS can answer instead of what was asked, as one tree.

    AwsError
    ├── AccessDenied            IAM says no
    │   └── KmsDenied           the value is there, its KMS key may not be used
    ├── CredentialsRefused      no, unknown, expired or untrusted credentials: nothing of this identity will work
    ├── NotFound                no such secret, version, parameter, repository, key
    │   └── MarkedForDeletion   a secret within its recovery window
    ├── InvalidRequest          AWS understood and refuses: a wrong name, a wrong state, bad ciphertext
    ├── Throttled               too many calls
    ├── ServerError             AWS failed
    └── Unreachable             no answer: network, DNS, TLS, timeout

Texts are stable (no request ids, no times, one line, bounded) because they go into conditions, and hold no value: AWS's
messages name resources and principals only. Services use one code for several things: code and message decide together.
"""

from __future__ import annotations

import os
import re

from botocore import exceptions as boto

_LIMIT = 500  # characters of AWS's message that we keep


class AwsError(Exception):
    """`code` is AWS's, empty when there was no answer; `operation` is "service:Action"."""

    def __init__(self, message: str, *, operation: str = "", code: str = "") -> None:
        super().__init__(message)
        self.message, self.operation, self.code = message, operation, code


class AccessDenied(AwsError):
    pass


class KmsDenied(AccessDenied):
    pass


class CredentialsRefused(AwsError):
    pass


class NotFound(AwsError):
    pass


class MarkedForDeletion(NotFound):
    pass


class InvalidRequest(AwsError):
    pass


class Throttled(AwsError):
    pass


class ServerError(AwsError):
    pass


class Unreachable(AwsError):
    pass


_CODES: dict[type[AwsError], frozenset[str]] = {
    CredentialsRefused: frozenset(
        {
            "ExpiredToken",
            "ExpiredTokenException",
            "IDPCommunicationError",
            "IncompleteSignature",
            "InvalidAccessKeyId",
            "InvalidClientTokenId",
            "InvalidIdentityToken",
            "InvalidIdentityTokenException",
            "InvalidSignatureException",
            "MissingAuthenticationToken",
            "MissingAuthenticationTokenException",
            "RequestExpired",
            "SignatureDoesNotMatch",
            "UnrecognizedClientException",
        }
    ),
    AccessDenied: frozenset({"AccessDenied", "AccessDeniedException", "NotAuthorized", "UnauthorizedOperation"}),
    NotFound: frozenset(
        {
            "AWS.SimpleQueueService.NonExistentQueue",
            "ImageNotFoundException",
            "NotFoundException",
            "ParameterNotFound",
            "ParameterVersionLabelLimitExceeded",
            "ParameterVersionNotFound",
            "QueueDoesNotExist",
            "RepositoryNotFoundException",
            "ResourceNotFoundException",
        }
    ),
    Throttled: frozenset(
        {
            "BandwidthLimitExceeded",
            "EC2ThrottledException",
            "KmsThrottled",
            "LimitExceededException",
            "PriorRequestNotComplete",
            "RequestLimitExceeded",
            "RequestThrottled",
            "RequestThrottledException",
            "SlowDown",
            "Throttling",
            "ThrottledException",
            "ThrottlingException",
            "TooManyRequestsException",
        }
    ),
    ServerError: frozenset(
        {
            "DependencyTimeoutException",
            "InternalError",
            "InternalFailure",
            "InternalServerError",
            "InternalServiceError",
            "KMSInternalException",
            "ServerException",
            "ServiceUnavailable",
        }
    ),
}
_KMS_CODES = frozenset({"DecryptionFailure", "InvalidKeyId", "KMSAccessDenied", "KMSAccessDeniedException"})
_IDS = re.compile(
    r"\s*[(;,]?\s*\b(?:request|extended request|host)[ _-]?id:?\s*[\w/+=-]{8,}\)?"
    r"|\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b(?=\s*(?:$|[).;,]))",
    re.IGNORECASE,
)


def from_code(code: str, message: str, *, operation: str, status: int = 400) -> AwsError:
    """The error for AWS's code and message."""
    kind = _kind(code, message, operation=operation, status=status)
    text = f"{operation}: {code or status}: {clean(message)}".rstrip(": ")
    return kind(text, operation=operation, code=code)


def _kind(code: str, message: str, *, operation: str, status: int) -> type[AwsError]:
    lowered = message.lower()
    if operation.startswith("sts:AssumeRole") and code in ("AccessDenied", "AccessDeniedException"):
        return CredentialsRefused  # for whoever asked for the role, it is the role that does not work
    if "delet" in lowered and ("marked" in lowered or "scheduled" in lowered) and "InvalidRe" in code:
        return MarkedForDeletion
    if code in _KMS_CODES or (code in _CODES[AccessDenied] and "kms" in f"{operation} {lowered}"):
        return KmsDenied
    for kind, codes in _CODES.items():
        if code in codes:
            return kind
    return ServerError if status >= 500 else InvalidRequest


def translate(error: Exception, *, operation: str) -> AwsError:
    """Any failure of a boto3 call as one of ours. Bugs are not disguised: what is no failure of AWS is raised again."""
    if isinstance(error, AwsError):
        return error
    if isinstance(error, boto.ClientError):
        found = error.response.get("Error", {})
        status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0) or 400)
        return from_code(str(found.get("Code", "")), str(found.get("Message", "")), operation=operation, status=status)
    if isinstance(error, OSError) and error.filename is not None:
        return CredentialsRefused(f"{operation}: {error.filename}: {error.strerror}", operation=operation)
    if isinstance(error, ValueError) and _in_credentials(error):
        return CredentialsRefused(f"{operation}: {_credentials_problem(error)}", operation=operation)
    if isinstance(error, _NO_CREDENTIALS):
        return CredentialsRefused(f"{operation}: {clean(str(error))}", operation=operation)
    if isinstance(error, boto.ParamValidationError):
        return InvalidRequest(f"{operation}: {clean(str(error))}", operation=operation)
    if isinstance(error, boto.HTTPClientError | boto.ConnectionError | OSError):
        return Unreachable(f"{operation}: {type(error).__name__}", operation=operation)
    if isinstance(error, boto.BotoCoreError):
        return InvalidRequest(f"{operation}: {clean(str(error))}", operation=operation)
    raise error


_CREDENTIALS = "botocore.credentials"
_TOKEN_FILE = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"  # noqa: S105 - a name


def _in_credentials(error: Exception) -> bool:
    """Whether botocore raised it while it loaded credentials: a refused address or token is a ValueError of its own."""
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_globals.get("__name__") == _CREDENTIALS:
            return True
        trace = trace.tb_next
    return False


def _credentials_problem(error: Exception) -> str:
    """botocore names the address that it refuses, but not the file whose token it refuses."""
    text = clean(str(error))
    return f"{_TOKEN_FILE}={os.environ.get(_TOKEN_FILE, '')}: {text}" if "token" in text.lower() else text


_NO_CREDENTIALS = (
    boto.ConfigParseError,
    boto.InvalidIMDSEndpointError,
    boto.InvalidIMDSEndpointModeError,
    boto.NoCredentialsError,
    boto.PartialCredentialsError,
    boto.CredentialRetrievalError,
    boto.MetadataRetrievalError,
    boto.UnauthorizedSSOTokenError,
    boto.ProfileNotFound,
)


def clean(message: str) -> str:
    """A message without what changes from call to call, on one line."""
    text = " ".join(_IDS.sub("", message).split())
    return text if len(text) <= _LIMIT else f"{text[: _LIMIT - 1]}…"
