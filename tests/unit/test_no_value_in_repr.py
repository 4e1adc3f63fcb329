"""No dataclass of the rooms that handle secret values prints bytes in its repr, for a repr ends up in logs."""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
from collections.abc import Iterator
from types import ModuleType

import pytest

from controllers.external_secrets.target.desired import DesiredSecret
from controllers.external_secrets.target.template import Rendered, TemplateSource
from controllers.sops.ciphertext import Comment, Timestamp
from controllers.sops.decrypt import Decrypted

ROOMS = ("external_secrets", "restart", "sealed_secrets", "sops")


def modules(room: str) -> Iterator[ModuleType]:
    package = importlib.import_module(f"controllers.{room}")
    yield package
    for info in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        yield importlib.import_module(info.name)


def printed_bytes(room: str) -> list[str]:
    """Every field of bytes, alone or within a container, that repr would show."""
    found = []
    for module in modules(room):
        for name, each in vars(module).items():
            if not (isinstance(each, type) and dataclasses.is_dataclass(each) and each.__module__ == module.__name__):
                continue
            if "__repr__" in vars(each) and not each.__dataclass_params__.repr:  # type: ignore[attr-defined]
                continue  # has a repr of its own
            shown = [field for field in dataclasses.fields(each) if field.repr and "bytes" in str(field.type)]
            found += [f"{module.__name__}.{name}.{field.name}" for field in shown]
    return found


@pytest.mark.parametrize("room", ROOMS)
def test_no_dataclass_prints_bytes(room: str) -> None:
    assert sorted(printed_bytes(room)) == []


def test_a_decrypted_leaf_or_document_is_not_printed() -> None:
    texts = f"{Timestamp('canary', 'canary')!r} {Comment('canary')!r}"
    names = {each.name for each in dataclasses.fields(Decrypted) if each.repr}
    assert "canary" not in texts
    assert names.isdisjoint({"plaintext", "documents"})


def test_what_templates_produced_is_not_printed_in_any_part() -> None:
    values = {"k": "canary"}
    rendered = Rendered({"k": b"canary"}, labels=values, annotations=values)
    desired = DesiredSecret("ns", "name", "", {"k": b"canary"}, labels=values, annotations=values)
    assert "canary" not in f"{rendered!r} {desired!r} {TemplateSource(values)!r}"
