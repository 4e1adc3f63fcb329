"""Knobs of the AWS edges."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from controllers.runtime.settings import setting

# Upstream's variables for single services, beside the SDK's own AWS_ENDPOINT_URL and AWS_ENDPOINT_URL_<SERVICE>.
_UPSTREAM = {
    "secretsmanager": "AWS_SECRETSMANAGER_ENDPOINT",
    "ssm": "AWS_SSM_ENDPOINT",
    "sts": "AWS_STS_ENDPOINT",
}


@dataclass(frozen=True, slots=True)
class AwsSettings:
    prefix: ClassVar[str] = "aws"
    endpoint: str = setting(
        "", "one URL for all AWS services; empty: the SDK's environment variables, or AWS's own endpoints"
    )
    region: str = setting("", "region of the controller's own calls; empty: the SDK's environment variables")
    connect: float = setting(5.0, "connect timeout, seconds")
    read: float = setting(30.0, "read timeout, seconds; an SQS long poll takes 20")
    attempts: int = setting(3, "attempts per call in the SDK's standard retry mode; the queue retries later")
    connections: int = setting(32, "connections per client; at least the number of AWS threads")
    renew: float = setting(300.0, "how long before expiry credentials are renewed, seconds")
    refused: float = setting(5.0, "how long a refusal of credentials is cached, seconds, to spare STS")
    session: int = setting(
        3600, "session duration of an assumed role, seconds; AWS allows chained roles one hour at most"
    )

    def endpoint_for(self, service: str, environ: Mapping[str, str] = os.environ) -> str | None:
        """The URL to use for a service; None leaves it to the SDK."""
        return self.endpoint or environ.get(_UPSTREAM.get(service, ""), "") or None
