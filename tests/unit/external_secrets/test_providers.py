"""Which secret services are served, and how a store that names another one is answered."""

from __future__ import annotations

from typing import Any

import pytest

from controllers.api.resource import Manifest
from controllers.api.secret_stores import SecretStoreProvider
from controllers.external_secrets.providers.provider import StoreError
from controllers.external_secrets.providers.registry import PROVIDERS, provider_named, store_provider

FIELDS = {field.alias or name for name, field in SecretStoreProvider.model_fields.items()}
SERVED = {provider.field for provider in PROVIDERS}


def store(provider: dict[str, Any]) -> Manifest:
    meta = {"name": "store", "namespace": "shop"}
    return {"kind": "SecretStore", "metadata": meta, "spec": {"provider": provider}}


@pytest.mark.parametrize("field", sorted(FIELDS - SERVED))
def test_every_provider_of_the_schema_that_is_not_served_is_named_with_those_that_are(field: str) -> None:
    with pytest.raises(StoreError) as found:
        store_provider(store({field: {}}))
    assert found.value.reason == "InvalidProviderConfig"
    assert found.value.message == f"provider {field} is not served; served: {', '.join(dict.fromkeys(served()))}"


def served() -> list[str]:
    return [provider.field for provider in PROVIDERS]


def test_a_service_of_aws_that_is_not_served_is_named_with_those_that_are() -> None:
    with pytest.raises(StoreError, match="service CertificateManager is not served; served: SecretsManager, Param"):
        store_provider(store({"aws": {"service": "CertificateManager", "region": "eu-west-1"}}))


@pytest.mark.parametrize("service", ["SecretsManager", "ParameterStore"])
def test_a_store_of_aws_is_read_through_the_service_that_it_names(service: str) -> None:
    provider, _ = store_provider(store({"aws": {"service": service, "region": "eu-west-1"}}))
    assert provider.name == service
    assert provider_named(service) is provider


def test_no_two_providers_have_one_name_or_answer_for_one_source_of_events() -> None:
    names = [provider.name for provider in PROVIDERS]
    sources = [provider.event_source for provider in PROVIDERS if provider.event_source]
    assert len(set(names)) == len(names)
    assert len(set(sources)) == len(sources)
