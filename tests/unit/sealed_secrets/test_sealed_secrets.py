"""Seal and unseal: scopes, several keys, templates, diagnosis, re-sealing."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controllers.sealed_secrets.ciphertext import Scope, scope_of, seal_item, unwrap
from controllers.sealed_secrets.keys import KEY_LABEL, Learned, SealingKey, SealingKeys, generate_key, newest, parse_key
from controllers.sealed_secrets.templates import render
from controllers.sealed_secrets.unseal import reseal, unseal
from controllers.sops.errors import SealedError

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def make_key(name: str, age_days: int) -> SealingKey:
    key_pem, cert_pem = generate_key(NOW - timedelta(days=age_days), bits=2048)
    return parse_key(
        {
            "metadata": {"name": name, "labels": {KEY_LABEL: "active"}, "creationTimestamp": "2026-01-01T00:00:00Z"},
            "data": {"tls.key": base64.b64encode(key_pem).decode(), "tls.crt": base64.b64encode(cert_pem).decode()},
        }
    )


OLD, NEW = make_key("old", 60), make_key("new", 1)
RING = SealingKeys([OLD, NEW])


def sealed(
    items: dict[str, bytes], *, scope: Scope = Scope.STRICT, key: SealingKey = NEW, **template: Any
) -> dict[str, Any]:
    label = scope.label("payments", "webhook")
    return {
        "apiVersion": "bitnami.com/v1alpha1",
        "kind": "SealedSecret",
        "metadata": {"name": "webhook", "namespace": "payments", "uid": "u-1", "annotations": scope.annotations()},
        "spec": {
            "encryptedData": {
                name: seal_item(key.private_key.public_key(), label, value) for name, value in items.items()
            },
            "template": template,
        },
    }


def secret_data(secret: dict[str, Any]) -> dict[str, bytes]:
    return {name: base64.b64decode(value) for name, value in secret["data"].items()}


@given(st.binary(max_size=300), st.sampled_from(list(Scope)), st.sampled_from([OLD, NEW]))
@settings(max_examples=40, deadline=None)
def test_what_is_sealed_unseals_in_every_scope_under_every_active_key(
    value: bytes, scope: Scope, key: SealingKey
) -> None:
    manifest = sealed({"token": value}, scope=scope, key=key)
    assert scope_of(manifest["metadata"]["annotations"]) is scope
    assert secret_data(unseal(manifest, RING, render).secret) == {"token": value}


def test_all_items_open_or_nothing_is_wanted_and_the_message_names_the_item() -> None:
    manifest = sealed({"good": b"x", "bad": b"y"})
    manifest["spec"]["encryptedData"]["bad"] = sealed({"bad": b"y"}, key=make_key("foreign", 5))["spec"][
        "encryptedData"
    ]["bad"]
    with pytest.raises(SealedError) as refused:
        unseal(manifest, RING, render)
    assert refused.value.reason == "NoKey"
    assert "encryptedData.bad" in refused.value.message
    assert "encryptedData.good" not in refused.value.message


@pytest.mark.parametrize("wrong", [Scope.CLUSTER_WIDE, Scope.NAMESPACE_WIDE])
def test_a_wrong_scope_is_diagnosed_by_trying(wrong: Scope) -> None:
    manifest = sealed({"token": b"x"}, scope=wrong)
    manifest["metadata"]["annotations"] = {}
    with pytest.raises(SealedError) as refused:
        unseal(manifest, RING, render)
    assert refused.value.reason == "WrongScope"
    assert wrong.value in refused.value.message


def test_a_renamed_object_is_diagnosed_by_its_template_name() -> None:
    manifest = sealed({"token": b"x"}, metadata={"name": "webhook", "namespace": "payments"})
    manifest["metadata"]["name"] = "renamed"
    with pytest.raises(SealedError) as refused:
        unseal(manifest, RING, render)
    assert "sealed for payments/webhook, the object is payments/renamed" in refused.value.message


def test_the_template_shapes_the_secret_and_its_data_are_rendered_from_the_items() -> None:
    manifest = sealed(
        {"user": b"app", "pass": b'p"w'},
        type="Opaque",
        immutable=True,
        metadata={"labels": {"app": "checkout"}, "annotations": {"note": "1"}},
        data={"dsn": "{{ .user }}:{{ .pass }}@db", "gone": "{{ .absent }}"},
    )
    secret = unseal(manifest, RING, render).secret
    assert secret_data(secret) == {"user": b"app", "pass": b'p"w', "dsn": b'app:p"w@db', "gone": b"<no value>"}
    assert secret["immutable"] is True
    assert secret["metadata"]["labels"] == {"app": "checkout"}
    assert secret["metadata"]["ownerReferences"][0]["uid"] == "u-1"


def test_reseal_moves_old_items_to_the_key_and_leaves_current_ones_byte_for_byte() -> None:
    manifest = sealed({"a": b"1"}, key=OLD, data={"t": "{{ .a }}"})
    manifest["spec"]["encryptedData"] |= sealed({"b": b"2"}, key=NEW)["spec"]["encryptedData"]
    moved = reseal(manifest, RING, NEW)
    assert moved["spec"]["encryptedData"]["b"] == manifest["spec"]["encryptedData"]["b"]
    assert moved["spec"]["encryptedData"]["a"] != manifest["spec"]["encryptedData"]["a"]
    assert moved["spec"]["template"] == manifest["spec"]["template"]
    assert set(unseal(moved, SealingKeys([NEW]), render).keys.values()) == {NEW.fingerprint}


def test_the_newest_key_is_that_with_the_latest_certificate() -> None:
    found = newest([NEW, OLD])
    assert found is NEW


def test_a_known_item_costs_one_private_key_operation(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[str] = []
    import controllers.sealed_secrets.keys as ring_module

    def counting(key: Any, label: bytes, wrapped: bytes) -> bytes | None:
        tried.append(label.decode())
        return unwrap(key, label, wrapped)

    monkeypatch.setattr(ring_module, "unwrap", counting)
    ring = SealingKeys([NEW, OLD], learned=Learned())
    manifest = sealed({"a": b"1"}, key=OLD)
    unseal(manifest, ring, render)
    first, tried[:] = len(tried), []
    unseal(manifest, ring, render)
    assert (first, len(tried)) == (2, 1)
