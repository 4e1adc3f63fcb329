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
    endpoint: str = setting("", "one URL for all AWS services; empty: AWS's own, or what the SDK's variables say")
    region: str = setting("", "region of our own calls; empty: the SDK's variables")
    connect: float = setting(5.0, "seconds to a connection")
    read: float = setting(30.0, "seconds for an answer; a long poll of SQS takes 20 of them")
    attempts: int = setting(3, "tries per call, the SDK's standard mode with jitter; later ones are the queue's")
    connections: int = setting(32, "connections per client; as many as threads that call")
    renew: float = setting(300.0, "seconds before expiry at which credentials are renewed")
    refused: float = setting(5.0, "seconds during which a refusal of credentials is remembered: no storm on STS")
    session: int = setting(3600, "seconds an assumed role lasts; chained roles get no more than an hour")

    def endpoint_for(self, service: str, environ: Mapping[str, str] = os.environ) -> str | None:
        """The URL to use for a service; None leaves it to the SDK."""
        return self.endpoint or environ.get(_UPSTREAM.get(service, ""), "") or None
