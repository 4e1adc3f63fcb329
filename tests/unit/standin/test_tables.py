"""Tables of built-in kinds: every kind has columns whose sources can be read, of any object."""

from __future__ import annotations

from typing import Any

import pytest

from controllers.standin.apiserver.serve.table_columns import reader, rows
from controllers.standin.apiserver.types.builtin import ROWS

KINDS = [line.split()[1] for line in ROWS.strip().splitlines()]


def cells(plural: str, obj: dict[str, Any]) -> dict[str, Any]:
    return {name: reader(source, lambda stamp: "1m" if stamp else None)(obj) for name, _, _, source in rows()[plural]}


@pytest.mark.parametrize("plural", KINDS)
def test_every_kind_has_columns_that_read_even_an_empty_object(plural: str) -> None:
    for value in cells(plural, {"metadata": {"name": "x"}, "spec": {}, "status": {}}).values():
        assert value is None or isinstance(value, str | int | bool)


def test_a_workload_shows_its_numbers_its_containers_and_its_selector() -> None:
    containers = [{"name": "main", "image": "a:1"}, {"name": "side", "image": "b:1"}]
    obj = {
        "metadata": {"name": "web", "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {
            "replicas": 3,
            "selector": {"matchLabels": {"b": "2", "a": "1"}},
            "template": {"spec": {"containers": containers}},
        },
        "status": {"readyReplicas": 2, "updatedReplicas": 3},
    }
    assert cells("deployments", obj) == {
        "Ready": "2/3", "Up-to-date": 3, "Available": 0, "Age": "1m", "Containers": "main,side", "Images": "a:1,b:1",
        "Selector": "a=1,b=2",
    }  # fmt: skip


def test_a_service_shows_its_addresses_and_ports() -> None:
    spec = {
        "type": "NodePort",
        "clusterIP": "10.96.0.11",
        "ports": [{"port": 80, "nodePort": 30080}, {"port": 53, "protocol": "UDP"}],
    }
    found = cells("services", {"metadata": {}, "spec": spec})
    assert (found["Type"], found["Cluster-IP"], found["External-IP"]) == ("NodePort", "10.96.0.11", "<none>")
    assert found["Port(s)"] == "80:30080/TCP,53/UDP"
