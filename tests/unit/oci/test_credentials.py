from __future__ import annotations

import base64
import json

import pytest

from controllers.api.resource import Manifest
from controllers.oci import RefusedError, Tls, login_from_configs


def _config(**auths: Manifest | str) -> bytes:
    return json.dumps({"auths": auths}).encode()


def test_the_longest_key_that_covers_the_repository_wins() -> None:
    config = json.dumps(
        {
            "auths": {
                "https://r.io/v1/": {"username": "host", "password": "p"},
                "r.io/team": {"auth": base64.b64encode(b"team:p:q").decode()},
                "r.io/tea": {"username": "no", "password": "p"},
                "docker.io": {"username": "hub", "password": "p"},
            }
        }
    ).encode()
    assert login_from_configs([config], "r.io", "team/app").username == "team"
    assert login_from_configs([config], "r.io", "teams/app").username == "host"
    assert login_from_configs([config], "index.docker.io", "library/alpine").username == "hub"
    assert login_from_configs([config], "r.io.evil.com", "team/app").basic == ""
    password = login_from_configs([config], "r.io", "team/app").password
    assert password is not None and password.reveal() == b"p:q"


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"{", "no JSON object"),
        (b"[]", "no JSON object"),
        (_config(**{"r.io": {"auth": "!"}}), r"auths\[r.io\]\.auth"),
        (_config(**{"r.io": {"username": 1, "password": "p"}}), "expected a string"),
        (_config(**{"r.io": {"username": "a\nb", "password": "p"}}), "control characters"),
        (_config(**{"r.io": "x"}), "no object"),
    ],
)
def test_a_config_that_is_none_names_the_key(content: bytes, text: str) -> None:
    with pytest.raises(RefusedError, match=text):
        login_from_configs([content], "r.io", "a")


def test_half_a_client_certificate_and_garbage_are_refused() -> None:
    with pytest.raises(RefusedError, match="expected both"):
        Tls.from_secret({"tls.crt": b"x"})
    with pytest.raises(RefusedError, match="neither"):
        Tls.from_secret({})
    with pytest.raises(RefusedError, match="do not load"):
        Tls.from_secret({"ca.crt": b"garbage"}).context()


@pytest.mark.parametrize(
    ("key", "host", "covers"),
    [
        ("*.azurecr.io", "team.azurecr.io", True),
        ("*.azurecr.io", "a.team.azurecr.io", False),
        ("*.dkr.ecr.*.amazonaws.com", "123.dkr.ecr.eu-west-1.amazonaws.com", True),
        ("https://*.r.io/v2/", "a.r.io", True),
        ("r?.io", "r1.io", True),
        ("*.r.io", "a.r.io:5000", False),
        ("*.r.io:5000", "a.r.io:5000", True),
        ("*.r.io/team", "a.r.io", True),
        ("*.r.io/other", "a.r.io", False),
        ("*", "localhost", True),
        ("*", "r.io", False),
    ],
)
def test_a_wildcard_covers_labels_as_the_kubelet_reads_them(key: str, host: str, covers: bool) -> None:
    config = _config(**{key: {"username": "u", "password": "p"}})
    assert bool(login_from_configs([config], host, "team/app").basic) is covers


def test_an_exact_host_wins_over_a_wildcard_and_a_longer_path_over_both() -> None:
    config = _config(
        **{
            "*.r.io": {"username": "glob", "password": "p"},
            "a.r.io": {"username": "exact", "password": "p"},
            "*.r.io/team": {"username": "path", "password": "p"},
        }
    )
    assert login_from_configs([config], "a.r.io", "app").username == "exact"
    assert login_from_configs([config], "a.r.io", "team/app").username == "path"
    assert login_from_configs([config], "b.r.io", "app").username == "glob"


@pytest.mark.parametrize("auth", ["dTpwdw", "dTpwdw==", " dTpwdw==\n"])
def test_base64_with_and_without_padding_is_read(auth: str) -> None:
    login = login_from_configs([_config(**{"r.io": {"auth": auth}})], "r.io", "a")
    assert login.username == "u" and login.password is not None and login.password.reveal() == b"pw"
