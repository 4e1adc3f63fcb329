"""The fake provider: no identity, no region, no calls. TenantPolicies' `secretKeys` apply as everywhere."""

from __future__ import annotations

from controllers.api.resource import Key, Manifest, Resource
from controllers.api.secret_stores import FakeProvider, SecretStoreProvider
from controllers.external_secrets.providers.provider import (
    Clients,
    PlanningProvider,
    SecretReader,
    StoreAccess,
    StoreError,
    StoreSettings,
    Validation,
)
from controllers.external_secrets.values.entries import StoreRef
from controllers.external_secrets.values.errors import EntryError, MissingValueError
from controllers.external_secrets.values.remote_key import RemoteKey
from controllers.lang.gjson import path as gjson

from .reader import FakeReader
from .values import FakeValues

NAME = "Fake"
_READY, _UNKNOWN = 0, 1
"""Of upstream's ValidationResult; anything else is an error."""


class FakeStoreProvider:
    name = NAME
    field = "fake"
    batch_size = 100
    event_source = ""
    planning: PlanningProvider | None = None

    # --- stores

    def serves(self, spec: SecretStoreProvider) -> bool:
        return spec.fake is not None

    def settings(self, spec: SecretStoreProvider) -> StoreSettings:
        for at, each in enumerate(_fake(spec).data):
            for field, text in (("key", each.key), ("value", each.value)):
                if not text:
                    where = f"spec.provider.fake.data[{at}].{field}"
                    raise StoreError("InvalidProviderConfig", f"{where}: found an empty text, expected a {field}")
        return StoreSettings()

    async def identity(
        self, access: StoreAccess, namespace: str, ref: StoreRef, spec: SecretStoreProvider
    ) -> FakeValues:
        _validated(_fake(spec))  # a store whose validation fails is read by nobody, also before it is reconciled
        return FakeValues(_fake(spec))

    def caller_identity(self, spec: SecretStoreProvider) -> FakeValues:
        return FakeValues(_fake(spec))

    async def validate(
        self, access: StoreAccess, clients: Clients, namespace: str, ref: StoreRef, spec: SecretStoreProvider
    ) -> Validation:
        return _validated(_fake(spec))

    def depends_on(self, store: Manifest) -> list[tuple[Resource, Key]]:
        return []

    def local(self, spec: SecretStoreProvider) -> FakeValues:
        return FakeValues(_fake(spec))

    # --- keys and values

    def remote_key(self, key: str, *, version: str = "", prefix: str = "", tags: bool = False) -> RemoteKey:
        """As upstream, metadataPolicy is not looked at: fake values have no metadata."""
        return RemoteKey(NAME, key, version)

    def select(self, document: str, name: str, *, key: str) -> str:
        """By gjson path alone; what it does not find counts as a missing secret, as upstream has it."""
        try:
            found = gjson.lookup(document, name)
        except gjson.PathTooDeepError as error:
            raise EntryError("InvalidParameter", f"property of key {key}: {error}") from None
        if found is None:
            raise MissingValueError(f"key {key}: the value has no property {name}")
        return gjson.text_of(found)

    def without_value(self, key: str) -> str:
        return f"no value for key {key}"

    def spellings(self, name: str) -> frozenset[str]:
        return frozenset({name})

    def owner(self, name: str) -> str:
        return ""

    def listed_name(self, name: str) -> frozenset[str]:
        return frozenset({name})

    def unlisted(self, version: str) -> bool:
        return True

    def reader(self, clients: Clients) -> SecretReader:
        return FakeReader()


def _fake(spec: SecretStoreProvider) -> FakeProvider:
    if spec.fake is None:
        raise StoreError("InvalidProviderConfig", "spec.provider.fake: found nothing, expected values under data")
    return spec.fake


def _validated(spec: FakeProvider) -> Validation:
    """Raises StoreError where the spec says that validation fails."""
    result = spec.validation_result or _READY
    if result == _UNKNOWN:
        return Validation("ValidationUnknown", "could not determine validation status")
    if result != _READY:
        message = f"unable to validate store: spec.provider.fake.validationResult is {result}; 0 is ready"
        raise StoreError("InvalidProviderConfig", message)
    return Validation()


FAKE = FakeStoreProvider()
