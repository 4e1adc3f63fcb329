"""What an event changed, and what a store finds."""

from __future__ import annotations

from typing import Any

import pytest

from controllers.api.external_secrets import EXTERNAL_SECRETS
from controllers.api.resource import Key
from controllers.runtime.store import Store, StoreChange, change


def es(name: str = "a", *, version: str = "5", generation: int = 1, spec: Any = None, **meta: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "ns", "uid": "u", "resourceVersion": version, "generation": generation}
    return {"metadata": {**metadata, **meta}, "spec": spec or {}, "status": {}}


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        ({**es(version="6"), "status": {"conditions": []}}, StoreChange.NONE),
        (es(version="6", managedFields=[{"manager": "x"}]), StoreChange.NONE),
        (es(version="6", generation=2), StoreChange.SPEC),
        (es(version="6", uid="other"), StoreChange.SPEC),
        (es(version="6", deletionTimestamp="2024-01-01T00:00:00Z"), StoreChange.SPEC),
        (es(version="6", annotations={"reconcile.fluxcd.io/requestedAt": "1"}), StoreChange.SPEC),
        (es(version="6", annotations={"force-sync": "1"}), StoreChange.SPEC),
        (es(version="6", annotations={"note": "1"}), StoreChange.METADATA),
        (es(version="6", labels={"a": "b"}), StoreChange.METADATA),
        (es(version="6", finalizers=["x"]), StoreChange.METADATA),
        (es(version="6", labels={}), StoreChange.NONE),
    ],
)
def test_what_an_event_changed(after: dict[str, Any], expected: str) -> None:
    assert change(es(), after) == expected
    assert change(None, after) == StoreChange.SPEC


def test_kinds_without_a_generation_change_with_their_content() -> None:
    before = {"metadata": {"name": "c", "resourceVersion": "1"}, "data": {"a": "1"}}
    assert change(before, {**before, "data": {"a": "2"}}) == StoreChange.SPEC
    assert change(before, {**before, "metadata": {"name": "c", "resourceVersion": "2"}}) == StoreChange.NONE


def test_an_older_event_does_not_undo_what_a_write_answered() -> None:
    store = Store(EXTERNAL_SECRETS)
    store.put(es(version="9", generation=2))
    assert store.put(es(version="8")) == StoreChange.NONE
    kept = store.get(Key("ns", "a"))
    assert kept is not None
    assert kept["metadata"]["resourceVersion"] == "9"


def test_managed_fields_are_dropped_from_the_store_and_not_from_the_caller() -> None:
    store, manifest = Store(EXTERNAL_SECRETS), es(managedFields=[1])
    store.put(manifest)
    assert manifest["metadata"]["managedFields"] == [1]
    assert "managedFields" not in store.list()[0]["metadata"]


def test_an_index_follows_every_change() -> None:
    store = Store(EXTERNAL_SECRETS)
    store.put(es("early", spec={"store": "s1"}))
    store.index("store", lambda manifest: [manifest["spec"].get("store", "")])
    store.put(es("a", spec={"store": "s1"}))
    store.put(es("b", spec={"store": "s2"}))
    assert [item["metadata"]["name"] for item in store.by_index("store", "s1")] == ["a", "early"]
    store.put(es("a", version="6", spec={"store": "s2"}))
    store.drop(Key("ns", "b"))
    assert [item["metadata"]["name"] for item in store.by_index("store", "s2")] == ["a"]
    assert store.by_index("store", "nothing") == []


def test_listeners_hear_before_and_after_and_one_that_fails_stops_nobody() -> None:
    store, heard = Store(EXTERNAL_SECRETS), []

    def broken(before: Any, after: Any) -> None:
        raise RuntimeError

    store.subscribe(broken)
    store.subscribe(lambda before, after: heard.append((bool(before), bool(after))))
    store.put(es())
    store.put(es(version="6"))
    store.drop(Key("ns", "a"))
    assert store.drop(Key("ns", "a")) is False
    assert heard == [(False, True), (True, True), (True, False)]
