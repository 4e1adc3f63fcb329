"""Our own identity, where the environment names credentials that cannot be used: file or address is named."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from controllers.aws.errors import CredentialsRefused
from controllers.aws.identity import OWN, Identities
from controllers.aws.settings import AwsSettings
from controllers.runtime.pools import Pools

TOKEN_FILE = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://10.1.2.3/x"}, "10.1.2.3"),
        ({"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:9/x", TOKEN_FILE: "{two_lines}"}, "{two_lines}"),
        ({"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:9/x", TOKEN_FILE: "{absent}"}, "{absent}"),
        ({"AWS_WEB_IDENTITY_TOKEN_FILE": "{absent}", "AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/x"}, "{absent}"),
        ({"AWS_EC2_METADATA_SERVICE_ENDPOINT": "nonsense", "AWS_EC2_METADATA_DISABLED": "false"}, "nonsense"),
        ({"AWS_CONFIG_FILE": "{two_lines}"}, "{two_lines}"),
    ],
)
async def test_what_keeps_the_own_identity_from_credentials_is_named(
    environment: dict[str, str], named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "two-lines").write_text("t0ken\nmore")
    places = {"two_lines": str(tmp_path / "two-lines"), "absent": str(tmp_path / "absent")}
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name, value in environment.items():
        monkeypatch.setenv(name, value.format(**places))
    identities = Identities(Pools(), settings=AwsSettings(endpoint="http://127.0.0.1:9"))
    with pytest.raises(CredentialsRefused) as caught:
        await identities.call(OWN, "eu-west-1", "sqs", "list_queues")
    assert named.format(**places) in caught.value.message and "t0ken" not in caught.value.message
