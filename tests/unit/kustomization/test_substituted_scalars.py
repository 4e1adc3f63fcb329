"""What a substituted value is depends on how Kubernetes reads the text around it, as it does with Flux."""

from __future__ import annotations

from typing import Any

import pytest

from controllers.kustomization.build.postbuild import substitute_object


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("no", False), ("off", False),
        ("Y", True), ("true", True), ("3", 3), ("1e3", 1000), ("0o17", 15), ("null", None),
        ("5e48573", "5e48573"), ("2026-01-01", "2026-01-01"), ("'no'", "no"), ("nO", "nO"), ("", None),
    ],
)  # fmt: skip
def test_an_unquoted_value_is_read_by_yaml_1_1(value: str, expected: Any) -> None:
    manifest = {"apiVersion": "example.dev/v1", "kind": "Thing", "metadata": {"name": "x"}, "spec": {"field": "${S}"}}
    assert substitute_object(manifest, {"S": value})["spec"]["field"] == expected
