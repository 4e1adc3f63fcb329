"""Logs are JSON lines in which nothing that looks like a credential survives."""

from __future__ import annotations

import io
import json
import logging

import pytest

from controllers.runtime.logging import configure, redact
from controllers.runtime.settings import LogSettings


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("Authorization: Bearer abcdef123456789", "abcdef123456789"),
        ("key AKIAIOSFODNN7EXAMPLE here", "AKIAIOSFODNN7EXAMPLE"),
        ("clone https://user:hunter2@host/x", "hunter2"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----", "MIIE"),
        ("AGE-SECRET-KEY-1QQQQQQQQ", "1QQQQQQQQ"),
        ("token eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0xx.c2ln", "eyJzdWIiOiJ4In0xx"),
        ("{'password': 'hunter2', 'a': 1}", "hunter2"),
        ("aws_secret_access_key=wJalrXUtnFEMI", "wJalrXUtnFEMI"),
    ],
)
def test_what_looks_like_a_credential_is_masked(text: str, secret: str) -> None:
    assert secret not in redact(text)


def test_ordinary_text_stays() -> None:
    text = "kustomization/flux-system: applied revision main@sha1:abc; see https://example.com/x:y and ssh://git@host/x"
    assert redact(text) == text


def test_a_line_is_one_json_object_with_its_extras_and_traceback() -> None:
    root, stream = logging.getLogger(), io.StringIO()
    handlers, level = root.handlers[:], root.level
    try:
        configure(LogSettings(), stream)
        try:
            raise ValueError("password=hunter2")
        except ValueError:
            logging.getLogger("x").exception("failed %s", "here", extra={"kind": "Kustomization"})
        logging.getLogger("kopf.objects").info("noise")
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
    (line,) = [json.loads(text) for text in stream.getvalue().splitlines()]
    assert (line["level"], line["message"], line["kind"]) == ("error", "failed here", "Kustomization")
    assert "ValueError" in line["traceback"]
    assert "hunter2" not in line["traceback"]
