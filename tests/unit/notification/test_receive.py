"""What each sender must show."""

from __future__ import annotations

import hmac

import pytest

from controllers.notification.receive import Call, RequestRefusedError, authenticate

BODY = b'{"push_data":{},"repository":{},"docker_url":"x","updated_tags":[],"action":"push","target":{}}'


def _sign(algorithm: str) -> str:
    return hmac.new(b"t", BODY, algorithm).hexdigest()


@pytest.mark.parametrize(
    ("kind", "headers"),
    [
        ("generic", {}),
        ("generic-hmac", {"x-signature": f"sha512={_sign('sha512')}"}),
        ("github", {"x-hub-signature": f"sha1={_sign('sha1')}"}),
        ("gitlab", {"x-gitlab-token": "t"}),
        ("harbor", {"authorization": "t"}),
        ("nexus", {"x-nexus-webhook-signature": _sign("sha1")}),
        ("dockerhub", {}),
        ("quay", {}),
        ("acr", {}),
    ],
)
def test_a_sender_that_shows_the_token_is_believed_and_a_tampered_body_or_no_token_is_not(
    kind: str, headers: dict[str, str]
) -> None:
    authenticate(kind, b"t", Call(headers, BODY))
    if headers:
        with pytest.raises(RequestRefusedError) as refused:
            authenticate(kind, b"t", Call({}, BODY))
        assert refused.value.status == 400
        with pytest.raises(RequestRefusedError):
            authenticate(kind, b"u", Call(headers, BODY))
    if any("signature" in name for name in headers):
        with pytest.raises(RequestRefusedError):
            authenticate(kind, b"t", Call(headers, BODY + b" "))


@pytest.mark.parametrize("body", [b"[]", b"null", b"{", b"[" * 100_000, b"{}"])
def test_a_body_that_is_not_the_senders_is_refused(body: bytes) -> None:
    with pytest.raises(RequestRefusedError):
        authenticate("dockerhub", b"t", Call({}, body))
