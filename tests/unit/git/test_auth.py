from __future__ import annotations

import asyncssh
import pytest

from controllers.git import GitAuth, RefusedError

HTTPS, SSH = "https://git.example.com/x.git", "ssh://git@git.example.com/x.git"
CA = b"-----BEGIN CERTIFICATE-----\n"


def test_basic_and_bearer_become_one_header() -> None:
    auth = GitAuth.from_secret({"username": b"u", "password": b"p:w", "ca.crt": CA}, HTTPS)
    assert auth.header() == "Basic dTpwOnc=" and auth.ca == CA
    assert GitAuth.from_secret({"bearerToken": b"t"}, HTTPS).header() == "Bearer t"
    assert GitAuth.from_secret({}, HTTPS).header() == ""


@pytest.mark.parametrize(
    ("data", "url", "text"),
    [
        ({"username": b"u"}, HTTPS, "key password: found nothing"),
        ({"password": b"u"}, HTTPS, "key username: found nothing"),
        ({"username": b"u", "password": b"p", "bearerToken": b"t"}, HTTPS, "found both"),
        ({"bearerToken": b"t\nX-Evil: 1"}, HTTPS, "control characters"),
        ({"username": b"u", "password": b"\xff"}, HTTPS, "not UTF-8"),
        ({"ca.crt": b"nonsense"}, HTTPS, "key ca.crt: found 8 bytes"),
        ({"tls.crt": CA}, HTTPS, "key tls.key"),
        ({"githubAppID": b"1"}, HTTPS, "provider: github"),
        ({"known_hosts": b"x"}, SSH, "key identity: found nothing"),
        ({"identity": b"x", "known_hosts": b" "}, SSH, "key known_hosts"),
        ({"identity": b"x", "known_hosts": b"h"}, SSH, "no private key"),
    ],
)
def test_what_is_wrong_in_a_secret_is_named_by_key_and_never_by_value(
    data: dict[str, bytes], url: str, text: str
) -> None:
    with pytest.raises(RefusedError, match=text):
        GitAuth.from_secret(data, url)


def test_an_encrypted_identity_is_opened_with_its_password_and_only_with_it() -> None:
    key = asyncssh.generate_private_key("ssh-ed25519")
    sealed = key.export_private_key("openssh", passphrase="pw")
    data = {"identity": sealed, "known_hosts": b"h ssh-ed25519 AAAA", "password": b"pw"}
    auth = GitAuth.from_secret(data, SSH)
    assert auth.identity is not None
    assert asyncssh.import_private_key(auth.identity.reveal()).public_data == key.public_data
    with pytest.raises(RefusedError, match="password"):
        GitAuth.from_secret({**data, "password": b"wrong"}, SSH)


def test_nothing_secret_is_printed_and_the_fingerprint_tells_identities_apart() -> None:
    one = GitAuth.from_secret({"username": b"user", "password": b"hunter2"}, HTTPS)
    other = GitAuth.from_secret({"username": b"user", "password": b"hunter3"}, HTTPS)
    assert "hunter" not in f"{one!r}{one}" and "user" not in repr(one).replace("username", "")
    assert one.fingerprint != other.fingerprint
    assert one.fingerprint == GitAuth.from_secret({"username": b"user", "password": b"hunter2"}, HTTPS).fingerprint
